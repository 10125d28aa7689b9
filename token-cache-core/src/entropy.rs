//! Real randomness for the jitter, so that a fleet that started together does not refresh together.

/// Between 0 and 1, from the operating system. Where that has none to give, there is no jitter.
pub(crate) fn draw() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.0,
    }
}
