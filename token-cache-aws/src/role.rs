//! [`AssumeRole`]: an IAM role to assume with other credentials.

mod base;
#[cfg(feature = "fleet")]
mod fleet;
mod mfa;
mod provider;

use std::fmt;
use std::time::Duration;

use aws_config::Region;
use token_cache_core::BoxError;

use self::mfa::Mfa;
use self::provider::RoleProvider;
use crate::cache::AwsTokenCache;
use crate::credential_cache::credential_cache;
use crate::role::base::BaseCredentials;
pub(crate) use crate::role::base::{Role, is_rejected_by_sts};
use crate::source::SdkSource;

/// An IAM role and the parameters to assume it with. STS validates them; nothing is checked here.
///
/// `Debug` shows neither the external id, nor the policies, nor the tags.
#[derive(Clone, PartialEq, Eq, Hash)]
#[must_use = "pass it to `AwsTokenCache::assume_role`"]
pub struct AssumeRole {
    arn: String,
    external_id: Option<String>,
    session_name: Option<String>,
    duration: Option<Duration>,
    policy: Option<String>,
    policy_arns: Vec<String>,
    tags: Vec<SessionTag>,
    source_identity: Option<String>,
    mfa: Option<Mfa>,
    region: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct SessionTag {
    key: String,
    value: String,
    is_transitive: bool,
}

impl AssumeRole {
    /// The role with this ARN.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader");
    /// ```
    pub fn new(arn: impl Into<String>) -> Self {
        let arn = arn.into();
        Self {
            arn,
            external_id: None,
            session_name: None,
            duration: None,
            policy: None,
            policy_arns: Vec::new(),
            tags: Vec::new(),
            source_identity: None,
            mfa: None,
            region: None,
        }
    }

    /// The external id that the role's trust policy requires, usually for a role in another organization. Default:
    /// none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").external_id("tenant-7");
    /// ```
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// The session name, which appears in CloudTrail and in the session's ARN: 2 to 64 letters, digits and `_+=,.@-`.
    /// Default: chosen by the SDK, with a timestamp.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").session_name("nightly-job");
    /// ```
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// The lifetime of each session, rounded down to whole seconds. AWS allows 15 minutes to the role's maximum, and
    /// at most one hour if the role is assumed with the credentials of another role. Default: one hour, set by STS.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").duration(Duration::from_secs(900));
    /// ```
    pub const fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// A session policy, as JSON. The session is allowed what both the role and this policy allow. Default: none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").policy(r#"{"Version":"2012-10-17","Statement":[]}"#);
    /// ```
    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// Adds a managed policy, by ARN, as a session policy. Default: none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess");
    /// ```
    pub fn policy_arn(mut self, arn: impl Into<String>) -> Self {
        self.policy_arns.push(arn.into());
        self
    }

    /// Adds a session tag, for conditions in policies. Default: none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").tag("team", "data");
    /// ```
    pub fn tag(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.with_tag(key.into(), value.into(), false)
    }

    /// Adds a session tag that also applies to the roles that are assumed with this one. Default: none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").transitive_tag("team", "data");
    /// ```
    pub fn transitive_tag(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.with_tag(key.into(), value.into(), true)
    }

    fn with_tag(mut self, key: String, value: String, is_transitive: bool) -> Self {
        self.tags.push(SessionTag { key, value, is_transitive });
        self
    }

    /// Who has started the session. It appears in CloudTrail, also for roles that are assumed with this one, and cannot
    /// be changed there. Default: none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").source_identity("alice");
    /// ```
    pub fn source_identity(mut self, identity: impl Into<String>) -> Self {
        self.source_identity = Some(identity.into());
        self
    }

    /// The serial number or the ARN of an MFA device, and a function that returns its current code. Each fetch calls it
    /// once: a session can only be renewed with a new code. Default: none.
    ///
    /// Two `AssumeRole` are equal only if they have the same function, as clones have.
    ///
    /// ```
    /// # use token_cache_aws::AssumeRole;
    /// # async fn ask_user() -> std::io::Result<String> { Ok("123456".to_owned()) }
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/admin")
    ///     .mfa("arn:aws:iam::111111111111:mfa/user", || async { Ok(ask_user().await?) });
    /// ```
    pub fn mfa<F, Fut>(mut self, serial: impl Into<String>, code: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        self.mfa = Some(Mfa::new(serial.into(), code));
        self
    }

    /// The region of the STS endpoint. Default: the region of the base. If that has none, the role's cache gets this
    /// one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::AssumeRole;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").region("eu-north-1");
    /// ```
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The role's sessions as a token source, for a cache with custom settings. `base` provides the credentials that
    /// assume the role, from its own cache, and the region and endpoint of STS.
    ///
    /// If STS rejects the credentials of `base`, as after a rotation of keys without an expiry, `base` fetches others.
    ///
    /// ```
    /// # use token_cache_aws::{AssumeRole, credential_cache};
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader");
    /// let cache = credential_cache(role.source(&aws).await).name("reader").build();
    /// cache.get().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn source(&self, base: &AwsTokenCache) -> SdkSource {
        let role = Role { arn: self.arn.as_str().into(), base: BaseCredentials::new(base) };
        SdkSource::for_role(RoleProvider::new(self.clone(), base, role.base.clone()), role)
    }
}

impl AwsTokenCache {
    /// Returns a new cache for a role that is assumed with these credentials, in the same region and at the same
    /// endpoint.
    ///
    /// The credentials that assume the role come from this cache: any number of roles on one base cost one fetch of
    /// the base per rotation. Roles can be chained. Nothing is fetched yet. Errors of the new cache name the role.
    ///
    /// ```no_run
    /// use token_cache_aws::{AssumeRole, AwsTokenCache};
    ///
    /// # async fn example() {
    /// let base = AwsTokenCache::from_env().await;
    /// let hub = base.assume_role(&AssumeRole::new("arn:aws:iam::111111111111:role/hub")).await;
    /// let spoke = AssumeRole::new("arn:aws:iam::222222222222:role/reader").external_id("tenant-7");
    /// let aws = hub.assume_role(&spoke).await;
    /// # }
    /// ```
    pub async fn assume_role(&self, role: &AssumeRole) -> Self {
        let mut config = self.config().clone();
        if let (None, Some(region)) = (config.region(), &role.region) {
            config = config.into_builder().region(Region::new(region.clone())).build();
        }
        Self::new(credential_cache(role.source(self).await).build(), &config)
    }
}

impl fmt::Debug for AssumeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRole")
            .field("arn", &self.arn)
            .field("session_name", &self.session_name)
            .field("duration", &self.duration)
            .field("source_identity", &self.source_identity)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}
