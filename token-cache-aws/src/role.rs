//! [`AssumeRole`]: an IAM role to assume with other credentials.

mod base;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;

use crate::builder::builder;
use crate::cache::AwsTokenCache;
use crate::defaults::with_sdk_defaults;
use crate::role::base::BaseCredentials;
pub(crate) use crate::role::base::{Role, is_rejected_by_sts};
use crate::source::SdkSource;

/// An IAM role and the parameters to assume it with. STS validates them; nothing is checked here.
///
/// `Debug` shows neither the external id nor the policies.
#[derive(Clone, PartialEq, Eq, Hash)]
#[must_use = "pass it to `AwsTokenCache::assume_role`"]
pub struct AssumeRole {
    arn: String,
    external_id: Option<String>,
    session_name: Option<String>,
    duration: Option<Duration>,
    policy: Option<String>,
    policy_arns: Vec<String>,
}

impl AssumeRole {
    /// The role with this ARN.
    pub fn new(arn: impl Into<String>) -> Self {
        let arn = arn.into();
        Self { arn, external_id: None, session_name: None, duration: None, policy: None, policy_arns: Vec::new() }
    }

    /// The external id that the role's trust policy requires, usually for a role in another organization. Default:
    /// none.
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// The session name, which appears in CloudTrail and in the session's ARN: 2 to 64 letters, digits and `_+=,.@-`.
    /// Default: chosen by the SDK, with a timestamp.
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// The lifetime of each session, rounded down to whole seconds. AWS allows 15 minutes to the role's maximum, and
    /// at most one hour if the role is assumed with the credentials of another role. Default: one hour, set by STS.
    pub const fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// A session policy, as JSON. The session is allowed what both the role and this policy allow. Default: none.
    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// Adds a managed policy, by ARN, as a session policy. Default: none.
    pub fn policy_arn(mut self, arn: impl Into<String>) -> Self {
        self.policy_arns.push(arn.into());
        self
    }

    /// The role's sessions as a token source, for a cache with custom settings. `base` provides the credentials that
    /// assume the role, from its own cache, and the region and endpoint of STS.
    ///
    /// If STS rejects the credentials of `base`, as after a rotation of keys without an expiry, `base` fetches others.
    pub async fn source(&self, base: &AwsTokenCache) -> SdkSource {
        let role = Role { arn: self.arn.as_str().into(), base: BaseCredentials::new(base) };
        SdkSource::for_role(self.provider(base, role.base.clone()).await, role)
    }

    /// Boxed: the SDK's future is large, and each future that contains it would be as large.
    fn provider(
        &self,
        base: &AwsTokenCache,
        credentials: BaseCredentials,
    ) -> Pin<Box<dyn Future<Output = AssumeRoleProvider> + Send>> {
        let mut role = AssumeRoleProvider::builder(&self.arn).configure(&with_sdk_defaults(base.config()));
        if let Some(id) = &self.external_id {
            role = role.external_id(id);
        }
        if let Some(name) = &self.session_name {
            role = role.session_name(name);
        }
        if let Some(duration) = self.duration {
            role = role.session_length(duration);
        }
        if let Some(policy) = &self.policy {
            role = role.policy(policy);
        }
        if !self.policy_arns.is_empty() {
            role = role.policy_arns(self.policy_arns.clone());
        }
        Box::pin(role.build_from_provider(credentials))
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
        Self::new(builder(role.source(self).await).build(), self.config())
    }
}

impl fmt::Debug for AssumeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRole")
            .field("arn", &self.arn)
            .field("session_name", &self.session_name)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}
