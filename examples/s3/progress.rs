//! [`Progress`]: the state of a run, and the progress bar that shows it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

/// The state of a run while it is under way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Progress {
    pub(crate) requests: u64,
    pub(crate) rotations: u64,
    /// Remaining lifetime of the session in milliseconds; `None` if the session never expires.
    pub(crate) remaining_ms: Option<u64>,
}

impl Progress {
    /// Updates the bar. `note` is appended to its text.
    pub(crate) fn show(&self, bar: &ProgressBar, elapsed: Duration, note: &str) {
        let remaining = match self.remaining_ms {
            Some(ms) => format!("session expires in {:.1} s", ms as f64 / 1e3),
            None => "session never expires".to_owned(),
        };
        bar.set_position(elapsed.as_secs());
        bar.set_message(format!("{} requests · {} rotations · {remaining}{note}", self.requests, self.rotations));
    }
}

/// A progress bar for a run of `seconds`. It is hidden if standard error is not a terminal.
pub(crate) fn new_bar(seconds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:24} {pos:>3}/{len} s · {msg}");
    ProgressBar::new(seconds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
