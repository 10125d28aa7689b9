//! The AWS kit, held against real clients: object_store for S3, the SDK's own providers for the issuer.

#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "the kit lives by the real clock, and so do its tests")]

mod common;
mod container;
mod faults;
mod imds;
mod kit;
mod s3;
mod sso;
mod sts;
