//! Shared by the tests of this workspace. Not published.
//!
//! - [`ChildProcess`] runs a test or an example in a process with its own environment.
//! - [`Load`] repeats operations on several workers until a condition holds, and counts them.
//! - [`TraceLog`] has what a subscriber at `TRACE` gets to see.
//! - [`wait_until`] waits for a condition of the real world.
//! - `servers.sh` has the shell functions that install, start and stop third-party servers.
//!
//! No verdict may depend on the speed of the machine. So nothing here has a time limit that a slow machine could reach.

mod child;
mod load;
mod trace_log;
mod wait;

pub use crate::child::{ChildOutput, ChildProcess, is_child, report};
pub use crate::load::{Load, LoadReport, Operations, RoundTrip, Worker, round_trips};
pub use crate::trace_log::TraceLog;
pub use crate::wait::wait_until;
