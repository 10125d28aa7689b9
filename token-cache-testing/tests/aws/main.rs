//! Fake AWS under real clients: object_store for S3, and the credential providers of the SDK for the issuer.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod container;
mod faults;
mod imds;
mod lifecycle;
mod s3;
mod sso;
mod sts;
