//! What a fleet of caches does, on virtual time.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clocks;
mod garbage;
mod harness;
mod issuer;
mod keys;
mod killed;
mod pushed;
mod rotation;
mod store_outages;
