//! [`AssumeRole`]: a role to act in, on top of any credentials.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_types::SdkConfig;
use aws_types::sdk_config::SharedTimeSource;

use crate::cache::{AwsTokenCache, builder};
use crate::http;
use crate::source::SdkSource;

/// A role, and how to assume it. STS says what is allowed of it; nothing is checked here.
///
/// `Debug` shows neither the external id nor the policies.
#[derive(Clone, PartialEq, Eq, Hash)]
#[must_use = "give it to `AwsTokenCache::assume_role`"]
pub struct AssumeRole {
    arn: String,
    external_id: Option<String>,
    session_name: Option<String>,
    duration: Option<Duration>,
    policy: Option<String>,
    policy_arns: Vec<String>,
}

impl AssumeRole {
    /// The role of this ARN.
    pub fn new(arn: impl Into<String>) -> Self {
        let arn = arn.into();
        Self { arn, external_id: None, session_name: None, duration: None, policy: None, policy_arns: Vec::new() }
    }

    /// What the role's trust policy asks for when the role belongs to somebody else. Default: none.
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// The name that the session has in CloudTrail and in its ARN, of 2 to 64 letters, digits and `_+=,.@-`. Default: one
    /// of the SDK's, with the time.
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// How long each session lives, in whole seconds. AWS allows 15 minutes up to what the role is set to, and one hour at
    /// most for a role that is assumed by another role. Default: STS's own, one hour.
    pub const fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// A session policy, as JSON: the session may do what both it and the role allow. Default: none.
    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// A managed policy as a session policy, by its ARN. May be given several times. Default: none.
    pub fn policy_arn(mut self, arn: impl Into<String>) -> Self {
        self.policy_arns.push(arn.into());
        self
    }

    /// The role's sessions as a source, for a cache with settings of one's own. `base` gives the credentials that assume
    /// the role, from its own cache, and the region and the endpoint of STS.
    pub async fn source(&self, base: &AwsTokenCache) -> SdkSource {
        SdkSource::of_role(self.provider(base).await, &self.arn)
    }

    /// Boxed, because the SDK's future is large, and so would be every one that holds it.
    fn provider(&self, base: &AwsTokenCache) -> Pin<Box<dyn Future<Output = AssumeRoleProvider> + Send>> {
        let mut role = AssumeRoleProvider::builder(&self.arn).configure(&complete(base.config()));
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
        Box::pin(role.build_from_provider(base.clone()))
    }
}

impl AwsTokenCache {
    /// A cache of its own for a role that is assumed with these credentials, at the same region and endpoint. They are
    /// taken from this cache, so that many roles over one base cost one fetch of it a rotation; and roles can be chained.
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
    ///
    /// Nothing is fetched yet. An error names the role that could not be assumed.
    pub async fn assume_role(&self, role: &AssumeRole) -> Self {
        Self::new(builder(role.source(self).await).build(), self.config())
    }
}

/// What [`AwsTokenCache::from_provider`] leaves out and the client of STS cannot do without.
fn complete(config: &SdkConfig) -> SdkConfig {
    let mut whole = config.to_builder();
    if config.behavior_version().is_none() {
        whole.set_behavior_version(Some(aws_config::BehaviorVersion::latest()));
    }
    if config.time_source().is_none() {
        whole.set_time_source(Some(SharedTimeSource::default()));
    }
    if config.http_client().is_none() {
        whole.set_http_client(http::client());
    }
    whole.build()
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
