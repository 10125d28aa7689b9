//! Run delay: the time for which a thread was runnable but waited for a core.
//!
//! On a machine that runs other programs, a read takes milliseconds now and then, whatever it reads. Linux counts the run
//! delay of each thread in [`schedstat`](https://docs.kernel.org/scheduler/sched-stats.html), so that it can be
//! subtracted. On other systems it counts as zero.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

thread_local! {
    /// The counter of this thread, when it was last read.
    static COUNTER: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// The end of this thread's last read.
    static LAST_END: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A shorter time contains no run delay worth reading the counter for, which takes some microseconds.
const NEGLIGIBLE: Duration = Duration::from_micros(50);

/// To be called when a read starts.
pub(crate) fn start(start: Instant) {
    // A run delay between two reads belongs to neither.
    if LAST_END.get().is_none_or(|last| start.saturating_duration_since(last) > NEGLIGIBLE) {
        COUNTER.set(read_counter());
    }
}

/// To be called when a read ends, on the thread on which it started. Returns `took` without the run delay.
pub(crate) fn subtract(end: Instant, took: Duration) -> Duration {
    LAST_END.set(Some(end));
    if took <= NEGLIGIBLE {
        return took;
    }
    let counter = read_counter();
    took.saturating_sub(counter.saturating_sub(COUNTER.replace(counter)))
}

/// The second of the three numbers, in nanoseconds.
fn read_counter() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let number = text.split(' ').nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(number.unwrap_or_default())
}
