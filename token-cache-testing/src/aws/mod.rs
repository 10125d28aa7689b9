//! A fake AWS in the test's own process: an S3 server, and an issuer of temporary sessions that work on it.
//!
//! The clients under test are the real ones, pointed at another endpoint. The test decides when a session ends
//! ([`Issuer::end_sessions`]), when the issuer fails ([`Issuer::fail`], [`Issuer::outage_at_next_request`]) and, with
//! [`FakeAwsBuilder::clock`], how fast time passes.
//!
//! ```
//! use std::time::Duration;
//!
//! use token_cache_testing::aws::{FakeAws, Fault};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let aws = FakeAws::builder().session_lifetime(Duration::from_secs(3600)).start().await?;
//! aws.s3().create_bucket("data")?;
//! for (name, value) in aws.container_env() {
//!     println!("{name}={value}"); // the environment of the program under test
//! }
//!
//! aws.issuer().fail(Fault::Down);
//! // ... the program keeps reading and writing with the session it has ...
//! aws.issuer().clear_fault();
//! assert_eq!(aws.s3().counts().rejected("ExpiredToken"), 0);
//! # Ok(())
//! # }
//! ```
//!
//! The servers listen on 127.0.0.1 only, and speak plain HTTP/1.1.
//!
//! # Time
//!
//! The expiry of sessions and IMDS tokens, delays and outages follow one [`Clock`](token_cache_core::Clock): the machine's,
//! unless the builder is given another. Share a [`VirtualClock`](crate::VirtualClock) with the cache under test, and no test
//! waits for real time or depends on the speed of the machine.
//!
//! Two things keep following the machine's clock. Clients date their signatures by it, and the servers check that date by it.
//! Some clients also compare an expiry with it; the SDK's IMDS provider, for one, extends an expiry that has passed. Start a
//! virtual clock at the machine's time for them:
//!
//! ```
//! use token_cache_core::{Clock, SystemClock};
//! use token_cache_testing::VirtualClock;
//! use token_cache_testing::aws::FakeAws;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let clock = VirtualClock::new();
//! clock.set_wall(SystemClock::new().now().wall());
//! let aws = FakeAws::builder().clock(clock.clone()).start().await?;
//! # Ok(())
//! # }
//! ```

mod builder;
mod container;
mod directory;
mod fault;
mod imds;
mod issuer;
mod keys;
mod routes;
mod s3;
#[cfg(feature = "aws-sdk")]
mod sdk;
mod serve;
mod sigv4;
mod sso;
mod state;
mod store;
mod sts;

use std::fmt;

pub use self::builder::FakeAwsBuilder;
use self::directory::Directory;
pub use self::fault::{Fault, OutageState};
pub use self::issuer::Issuer;
pub use self::keys::AccessKey;
pub use self::s3::{S3, S3Counts};
use self::serve::Server;
pub use self::state::IssuerCounts;
pub use self::sts::AssumeRoleRequest;

/// A running fake AWS: one S3 server and one [`Issuer`], which share a table of access keys.
///
/// Both run on a separate thread until this value is dropped. Dropping it closes both ports and all connections, deletes the
/// stored objects, and blocks until that is done, which takes milliseconds. Those of a process that was killed are deleted when
/// the next one starts.
pub struct FakeAws {
    s3: S3,
    issuer: Issuer,
    long_term_key: AccessKey,
    // Dropped in this order: the server stops writing before its directory is deleted.
    _server: Server,
    _directory: Directory,
}

impl FakeAws {
    /// Returns a builder with the default settings. Each setting documents its default.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// let builder = FakeAws::builder();
    /// assert!(format!("{builder:?}").contains("us-east-1"));
    /// ```
    pub fn builder() -> FakeAwsBuilder {
        FakeAwsBuilder::default()
    }

    /// The S3 server.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let unsigned = reqwest::get(aws.s3().endpoint()).await?;
    /// assert_eq!(unsigned.status(), 403);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn s3(&self) -> &S3 {
        &self.s3
    }

    /// The issuer of sessions.
    ///
    /// ```
    /// use token_cache_testing::aws::{FakeAws, Fault};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// aws.issuer().fail(Fault::Status(503));
    /// assert_eq!(reqwest::get(aws.issuer().container_uri()).await?.status(), 503);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The region in the environments and in IMDS.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// assert_eq!(aws.region(), "us-east-1");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn region(&self) -> &str {
        self.issuer.region()
    }

    /// The access key of an IAM user, which never expires. Use it to set up a test, and to assume roles.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// assert_eq!(aws.long_term_key().expires_at(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn long_term_key(&self) -> &AccessKey {
        &self.long_term_key
    }

    /// The environment of a container with a role: `AWS_CONTAINER_CREDENTIALS_FULL_URI`, `AWS_REGION`, `AWS_ENDPOINT_URL_S3`
    /// and, if the builder was given one, `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    ///
    /// ```
    /// use std::process::Command;
    ///
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let mut program = Command::new("true"); // the program under test
    /// program.env_clear().envs(aws.container_env());
    /// let names: Vec<_> = aws.container_env().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_REGION", "AWS_ENDPOINT_URL_S3"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn container_env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.issuer.container_uri())];
        if let Some(token) = self.issuer.container_token() {
            env.push(("AWS_CONTAINER_AUTHORIZATION_TOKEN", token.to_owned()));
        }
        env.extend(self.common_env());
        env
    }

    /// The environment of an instance with a role: `AWS_EC2_METADATA_SERVICE_ENDPOINT`, `AWS_REGION` and
    /// `AWS_ENDPOINT_URL_S3`.
    ///
    /// ```
    /// use std::process::Command;
    ///
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let mut program = Command::new("true"); // the program under test
    /// program.env_clear().envs(aws.imds_env());
    /// let names: Vec<_> = aws.imds_env().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_REGION", "AWS_ENDPOINT_URL_S3"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn imds_env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.issuer.imds_endpoint())];
        env.extend(self.common_env());
        env
    }

    /// The environment of a user with the [long-term key](Self::long_term_key), who may assume roles: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL_STS`, `AWS_REGION` and `AWS_ENDPOINT_URL_S3`.
    ///
    /// ```
    /// use std::process::Command;
    ///
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let mut program = Command::new("true"); // the program under test
    /// program.env_clear().envs(aws.long_term_env());
    /// assert_eq!(aws.long_term_env()[0].1, aws.long_term_key().access_key_id());
    /// # Ok(())
    /// # }
    /// ```
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
