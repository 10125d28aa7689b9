//! How early AWS credentials are refreshed.

use std::time::Duration;

/// By lifetime, as the AWS SDKs have agreed to among themselves: the longer credentials live, the longer an outage of their
/// issuer may last without being noticed.
pub(crate) fn expiry_buffer(lifetime: Duration) -> Duration {
    const MINUTE: Duration = Duration::from_secs(60);
    if lifetime <= 20 * MINUTE {
        (5 * MINUTE).min(lifetime / 2)
    } else if lifetime < 90 * MINUTE {
        15 * MINUTE
    } else {
        60 * MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_follows_the_lifetime() {
        let minutes = |lifetime: f64| expiry_buffer(Duration::from_secs_f64(lifetime * 60.0)).as_secs_f64() / 60.0;
        let lifetimes = [0.1, 8.0, 15.0, 20.0, 20.1, 60.0, 89.9, 90.0, 720.0];
        assert_eq!(lifetimes.map(minutes), [0.05, 4.0, 5.0, 5.0, 15.0, 15.0, 15.0, 60.0, 60.0]);
    }
}
