//! AWS in the test's own process: an S3 server, and an issuer of short
//! sessions for it.
//!
//! What takes an hour against AWS takes seconds here: a session that ends in
//! the middle of an upload, a metadata service that is down just when the
//! credentials are to be renewed, a role that is assumed again and again.
//! The clients are the real ones; they are only pointed at another endpoint.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use std::time::Duration;
//!
//! use token_cache_testing::aws::{FakeAws, Fault};
//!
//! let aws = FakeAws::builder().session_lifetime(Duration::from_secs(8)).start().await?;
//! aws.s3().create_bucket("data")?;
//! for (name, value) in aws.container_env() {
//!     println!("{name}={value}"); // what the program under test is to run with
//! }
//!
//! aws.issuer().outage_at_next_request(Fault::Down, Duration::from_secs(5));
//! // ... it goes on reading and writing ...
//! assert_eq!(aws.s3().counts().rejected("ExpiredToken"), 0);
//! # Ok(())
//! # }
//! ```
//!
//! It listens on 127.0.0.1 only, speaks plain HTTP/1.1, and lives by the real
//! clock: sessions end by [`SystemTime`](std::time::SystemTime), whatever a
//! test does with tokio's time.

mod builder;
mod clock;
mod container;
mod fault;
mod imds;
mod issuer;
mod keys;
mod routes;
mod s3;
mod serve;
mod sigv4;
mod sso;
mod state;
mod store;
mod sts;

use std::fmt;

use tempfile::TempDir;

pub use self::builder::FakeAwsBuilder;
pub use self::fault::{Fault, OutageState};
pub use self::issuer::Issuer;
pub use self::keys::AccessKey;
pub use self::s3::{S3, S3Counts};
use self::serve::Server;
pub use self::state::IssuerCounts;

/// A running kit: one S3 server and one [`Issuer`], with one table of access
/// keys.
///
/// Both run on a thread of their own until this value is dropped. Dropping it
/// closes both ports and all connections, removes the folder of the objects,
/// and waits until that is done, which takes milliseconds.
pub struct FakeAws {
    s3: S3,
    issuer: Issuer,
    long_term_key: AccessKey,
    // In this order: the folder goes when nothing writes to it any more.
    _server: Server,
    _folder: TempDir,
}

impl FakeAws {
    /// Begins with the defaults, which are told at each setting.
    pub fn builder() -> FakeAwsBuilder {
        FakeAwsBuilder::default()
    }

    /// The S3 server.
    #[must_use]
    pub fn s3(&self) -> &S3 {
        &self.s3
    }

    /// The issuer of sessions.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The region that the environments and IMDS tell.
    #[must_use]
    pub fn region(&self) -> &str {
        self.issuer.region()
    }

    /// The access key of a user, which never expires: for setting up a test,
    /// and for assuming roles.
    #[must_use]
    pub fn long_term_key(&self) -> &AccessKey {
        &self.long_term_key
    }

    /// The environment of a container that has the issuer's role:
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`, `AWS_REGION`,
    /// `AWS_ENDPOINT_URL_S3` and, if the builder was given one,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    #[must_use]
    pub fn container_env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.issuer.container_uri())];
        if let Some(token) = self.issuer.container_token() {
            env.push(("AWS_CONTAINER_AUTHORIZATION_TOKEN", token.to_owned()));
        }
        env.extend(self.common_env());
        env
    }

    /// The environment of a machine that has the issuer's role:
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`, `AWS_REGION` and
    /// `AWS_ENDPOINT_URL_S3`.
    #[must_use]
    pub fn imds_env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.issuer.imds_endpoint())];
        env.extend(self.common_env());
        env
    }

    /// The environment of a user with the
    /// [long-term key](Self::long_term_key), who may assume roles:
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL_STS`,
    /// `AWS_REGION` and `AWS_ENDPOINT_URL_S3`.
    #[must_use]
    pub fn long_term_env(&self) -> Vec<(&'static str, String)> {
        let key = &self.long_term_key;
        let mut env = vec![
            ("AWS_ACCESS_KEY_ID", key.access_key_id().to_owned()),
            ("AWS_SECRET_ACCESS_KEY", key.secret_access_key().to_owned()),
            ("AWS_ENDPOINT_URL_STS", self.issuer.sts_endpoint()),
        ];
        env.extend(self.common_env());
        env
    }

    fn common_env(&self) -> [(&'static str, String); 2] {
        [("AWS_REGION", self.region().to_owned()), ("AWS_ENDPOINT_URL_S3", self.s3.endpoint())]
    }
}

impl fmt::Debug for FakeAws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeAws").field("s3", &self.s3).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
