//! Sessions of a role that all processes of a fleet share.

use std::fmt::Write;

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use sha2::{Digest, Sha256};
use token_cache_fleet::{Keys, SharedSource, Store};

use super::AssumeRole;
use crate::cache::AwsTokenCache;
use crate::codec::AwsCodec;
use crate::credential_cache::{OPERATION_TIMEOUT, expiry_buffer};
use crate::source::SdkSource;

impl AssumeRole {
    /// The role's sessions as a source that all processes with the same store and keys share: one of them assumes the role, the
    /// others take its session.
    ///
    /// For a cache with the defaults of AWS pass it to [`credential_cache`](crate::credential_cache), and that to
    /// [`AwsTokenCache::new`]. Each cache needs its own source.
    ///
    /// ```no_run
    /// use token_cache_aws::{AssumeRole, AwsTokenCache, credential_cache, defaults};
    /// use token_cache_fleet::{Files, Keys};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let base = AwsTokenCache::from_env().await;
    /// let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader");
    /// let source = role.shared_source(&base, Files::new("/run/tokens")?, Keys::from_file("/etc/tokens.key")?).await;
    /// let aws = AwsTokenCache::new(credential_cache(source).build(), &defaults().load().await);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// There is no such method for a chain: what a chain finds depends on the host, and one host that has lost its configuration
    /// must not give the role of its machine to all others. Use [`SharedSource::new`] and a name of yours if you are sure.
    pub async fn shared_source(
        &self,
        base: &AwsTokenCache,
        store: impl Store,
        keys: Keys,
    ) -> SharedSource<SdkSource, AwsCodec> {
        SharedSource::new(self.source(base).await, AwsCodec, store, self.shared_name(base), keys)
            .expiry_buffer_by(expiry_buffer)
            .max_wait(OPERATION_TIMEOUT * 2)
    }

    /// The name of the role's sessions in a store: that of the role, and a digest of everything that makes a session another one.
    /// These are the ARN, external id, session name, duration, policies, tags, source identity and MFA device, and the region and
    /// endpoint of STS. It contains none of them but the name of the role.
    ///
    /// ```
    /// use token_cache_aws::{AssumeRole, AwsTokenCache};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let base = AwsTokenCache::from_env().await;
    /// let name = AssumeRole::new("arn:aws:iam::222222222222:role/reader").shared_name(&base);
    /// assert!(name.contains("reader"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn shared_name(&self, base: &AwsTokenCache) -> String {
        let config = base.config();
        let region = self.region.as_deref().or_else(|| base.region());
        let mut digest = Sha256::new();
        for part in [
            Some(&*self.arn),
            self.external_id.as_deref(),
            self.session_name.as_deref(),
            self.duration.map(|duration| duration.as_secs().to_string()).as_deref(),
            self.policy.as_deref(),
            self.source_identity.as_deref(),
            self.mfa.as_ref().map(|mfa| &*mfa.serial),
            region,
            config.endpoint_url(),
            sts_endpoint(config).as_deref(),
            config.use_fips().map(|fips| fips.to_string()).as_deref(),
            config.use_dual_stack().map(|dual_stack| dual_stack.to_string()).as_deref(),
        ] {
            add(&mut digest, part);
        }
        let mut lists: Vec<_> = self.policy_arns.iter().map(|arn| ["policy", arn, "", ""]).collect();
        lists.extend(
            self.tags.iter().map(|tag| ["tag", &tag.key, &tag.value, if tag.is_transitive { "t" } else { "" }]),
        );
        // STS does not depend on their order.
        lists.sort_unstable();
        lists.into_iter().flatten().for_each(|part| add(&mut digest, Some(part)));

        let mut name = format!("aws-{}-", self.arn.rsplit('/').next().unwrap_or_default());
        for byte in &digest.finalize()[..16] {
            // A string does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

/// `AWS_ENDPOINT_URL_STS`, or that of the profile.
fn sts_endpoint(config: &SdkConfig) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id("sts").profile("endpoint_url").env("AWS_ENDPOINT_URL").build().ok()?;
    config.service_config()?.load_config(key)
}

/// With its length, so that no two lists of parts are alike.
fn add(digest: &mut Sha256, part: Option<&str>) {
    digest.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
    digest.update(part.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_credential_types::Credentials;
    use aws_types::region::Region;

    use super::*;
    use crate::credential_cache::credential_cache;

    #[test]
    fn everything_that_makes_a_session_is_in_its_name() {
        let base = |region: &'static str, endpoint: Option<&str>| {
            let config = SdkConfig::builder().region(Region::new(region));
            let config = match endpoint {
                Some(endpoint) => config.endpoint_url(endpoint),
                None => config,
            };
            let provider = Credentials::new("id", "secret", None, None, "test");
            AwsTokenCache::new(credential_cache(SdkSource::new(provider)).build(), &config.build())
        };
        let role = || AssumeRole::new("arn:aws:iam::222222222222:role/path/reader");
        let eu = base("eu-north-1", None);
        let other_bases = [base("us-east-1", None), base("eu-north-1", Some("http://127.0.0.1:4566"))];
        let mut names = vec![role().shared_name(&eu)];
        names.extend(other_bases.iter().map(|base| role().shared_name(base)));
        let others = [
            AssumeRole::new("arn:aws:iam::333333333333:role/path/reader"),
            role().external_id("id"),
            role().session_name("id"),
            role().duration(Duration::from_secs(900)),
            role().policy("{}"),
            role().policy_arn("id"),
            role().tag("a", "b"),
            role().tag("a", "b").tag("c", "d"),
            role().tag("ab", ""),
            role().transitive_tag("a", "b"),
            role().source_identity("id"),
            role().mfa("id", || async { Ok(String::new()) }),
            role().region("us-west-2"),
        ];
        names.extend(others.iter().map(|role| role.shared_name(&eu)));
        assert!(names.iter().all(|name| name.starts_with("aws-reader-") && !name.contains("222")), "{names:?}");
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");

        let one = role().tag("a", "b").tag("c", "d").policy_arn("p").policy_arn("q");
        let same = role().policy_arn("q").tag("c", "d").policy_arn("p").tag("a", "b");
        assert_eq!(one.shared_name(&eu), same.shared_name(&eu));
    }
}
