//! The crates for Azure, Google, OAuth 2.0 and RDS, against third-party servers. `tests/servers` starts the servers and runs a command.
//!
//! | server | what it checks | what is tested against it |
//! |---|---|---|
//! | oidc-provider | clients and their secrets, refresh tokens and their rotation; it counts the requests | all sources but that of RDS |
//! | azurite | times, issuer and audience of a token | `azure` |
//! | fake-gcs-server, behind a proxy that introspects each token at oidc-provider | expiry and revocation | `google`, `oauth2` |
//! | ministack, in front of PostgreSQL | signature, times and session of a password | `rds` |
//!
//! In each test of a store 4 workers write and read without retries while the tokens rotate. Then the test compares the number
//! of rotations with the requests for tokens that the provider has counted.

#![allow(clippy::unwrap_used, reason = "tests")]

mod azure;
mod gcs;
mod google;
mod load;
mod metadata;
mod oauth2;
mod provider;
mod rds;
mod serve;

use std::time::Duration;

/// The lifetime of most tokens. The cache refreshes them after half of it, and the last quarter is left for requests on their
/// way. Tokens expire on whole seconds, so that may be 1 s less.
const LIFETIME: Duration = Duration::from_secs(8);

const SECOND: Duration = Duration::from_secs(1);

/// How many times a load lets the token rotate.
const ROTATIONS: u64 = 3;

/// A variable that the script `servers` sets.
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run by examples/clouds/tests/servers"))
}
