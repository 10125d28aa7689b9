//! The crate against servers that this project did not write. `tests/third_party/servers` starts them and runs this.
//!
//! | server | what it checks | what is shown on it |
//! |---|---|---|
//! | ministack | signatures, session tokens, expiry (400 `ExpiredToken`), trust policies with external ids | environment, profiles, roles, chained roles, and as the issuer behind container, IMDSv2 and SSO endpoints |
//! | SeaweedFS | signatures, session tokens, expiry (403 `InvalidAccessKeyId`); signature, audience and expiry of a JWT | web identity |
//! | moto | signatures and session tokens | `credential_process` |
//!
//! In each test 8 workers write and read while the credentials rotate, with no retry of any kind; then the calls to the issuer
//! are counted by the server.

#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "other people's servers live by the real clock")]

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

/// How many times the credentials are to be replaced under load.
const ROTATIONS: u64 = 3;

/// What `servers` has set.
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run token-cache-aws/tests/third_party/servers"))
}
