//! The crate against third-party servers. `tests/third_party/servers` starts them and runs these tests.
//!
//! | server | what it checks | what is tested against it |
//! |---|---|---|
//! | ministack | signatures, session tokens, expiry (400 `ExpiredToken`), trust policies with external ids | environment, profiles, roles, chained roles; it also issues the sessions of the container, IMDSv2 and SSO endpoints |
//! | SeaweedFS | signatures, session tokens, expiry (403 `InvalidAccessKeyId`); signature, audience and expiry of a JWT | web identity |
//! | moto | signatures and session tokens | `credential_process` |
//!
//! In most tests 8 workers write and read without retries while the credentials rotate. Then the test compares the number of
//! rotations with the calls that the issuer has counted.

#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "the servers use the real clock")]

mod chain;
mod early_end;
mod files;
mod load;
mod ministack;
mod moto;
mod roles;
mod seaweedfs;
mod wire;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// How many times a load lets the credentials rotate.
const ROTATIONS: u64 = 3;

/// A variable that the script `servers` sets.
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run token-cache-aws/tests/third_party/servers"))
}
