//! The crate between fake AWS on loopback and real clients: the chain of the SDK, and object_store with real signatures.

#![allow(clippy::unwrap_used, reason = "tests")]

mod bounds;
mod chain;
mod fleet;
mod harness;
mod identity;
mod kept_identity;
mod outages;
mod providers;
mod rejected;
mod reqsign;
mod roles;
mod rotation;
mod secrets;
mod settings;
