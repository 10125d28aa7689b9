//! [`on_ctrl_c`]: lets a run clean up before it exits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Returns a flag that becomes true on the first Ctrl-C. The second Ctrl-C ends the process with exit code 130.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub(crate) fn on_ctrl_c() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    tokio::spawn({
        let interrupted = Arc::clone(&interrupted);
        async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if interrupted.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        }
    });
    interrupted
}
