//! `BearerLayer` over a service that runs in the test's own runtime, on virtual time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod body;
mod frames;
mod harness;
mod header;
mod ready_check;
mod rejection;
mod server;
