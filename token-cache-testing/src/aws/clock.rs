//! The one place where the kit reads a clock; everything else takes `now`.
#![expect(clippy::disallowed_methods, reason = "sessions end by the real clock, whatever a test does with tokio's")]

use std::time::{Instant, SystemTime};

/// Wall time: what an expiry is compared with.
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// Monotonic time: what an outage and an IMDS token are measured by.
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
