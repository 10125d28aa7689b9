//! [`Core`]: for how long a thread that could have run had to wait for a core, because the kernel ran another one there.
//!
//! A machine that builds something else takes milliseconds away from a read now and then, whatever is read. On Linux the
//! kernel counts them.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

/// What is known of the thread it is called on.
pub(crate) struct Core;

thread_local! {
    /// What the kernel had counted when it was last asked.
    static COUNTED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Below this, nobody was in the way.
const NOTICED: Duration = Duration::from_micros(50);

impl Core {
    /// A read begins.
    pub(crate) fn begins(began: Instant) {
        // What was lost between two reads is no part of the next one.
        if LAST.get().is_none_or(|last| began.saturating_duration_since(last) > NOTICED) {
            COUNTED.set(counted());
        }
    }

    /// A read has ended that began on the same thread and `took` so long: how much of that is its own.
    pub(crate) fn ends(ended: Instant, took: Duration) -> Duration {
        LAST.set(Some(ended));
        if took <= NOTICED {
            return took;
        }
        let now = counted();
        took.saturating_sub(now.saturating_sub(COUNTED.replace(now)))
    }
}

/// The second number of three: nanoseconds.
fn counted() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let number = text.split(' ').nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(number.unwrap_or_default())
}
