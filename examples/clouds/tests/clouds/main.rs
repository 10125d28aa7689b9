//! The sources of this package under real stores, against servers that this project did not write. `tests/servers` starts
//! them, and runs what it is given.
//!
//! | server | what it checks | what is shown on it |
//! |---|---|---|
//! | oidc-provider | clients and their secrets, refresh tokens and their rotation; it counts what it is asked | every source but that of RDS |
//! | azurite | times, issuer and audience of a token | `azure` |
//! | fake-gcs-server, behind a check of each token by introspection at oidc-provider | expiry and revocation | `google`, `oauth2` |
//! | ministack, before PostgreSQL | signature, times and session of a password | `rds` |
//!
//! In each test of a store 4 workers write and read while the tokens rotate, with no retry of any kind; then the requests for tokens are
//! counted by the provider.

#![allow(clippy::unwrap_used, reason = "tests")]

mod azure;
mod gate;
mod google;
mod load;
mod metadata;
mod oauth2;
mod provider;
mod rds;
mod secrets;
mod serve;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// How many times the token is to be replaced under load.
const ROTATIONS: u64 = 3;

/// What `servers` has set.
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run by examples/clouds/tests/servers"))
}
