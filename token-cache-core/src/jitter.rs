//! Randomness for jitter and backoff, so that a fleet that started together does not refresh together.

/// A number from 0 to 1 from the operating system, or 0 if it has no randomness: then there is no jitter.
pub(crate) fn sample() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.0,
    }
}
