//! `BearerLayer` over a service that runs in the test's own runtime, on virtual time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod body;
mod frames;
mod grpc;
mod harness;
mod header;
mod https;
mod ready_check;
mod rejection;
mod server;
