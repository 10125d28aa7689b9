//! Credentials without an expiry that are replaced while they are in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, future};
use token_cache_aws::{AssumeRole, AwsTokenCache, Registry, SdkSource, credential_cache};
use token_cache_core::{Clock, Freshness, SystemClock, TemporaryToken, source_fn};
use token_cache_testing::VirtualClock;

use super::harness::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

/// Returns new credentials on each call.
#[derive(Clone, Debug, Default)]
struct Rotating(Arc<AtomicUsize>);

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        future::ProvideCredentials::ready(Ok(Credentials::new(format!("key-{n}"), "secret", None, None, "test")))
    }
}

/// <https://github.com/aws/aws-sdk-go-v2/issues/2135>, <https://github.com/awslabs/aws-sigv4-proxy/issues/154>
#[tokio::test]
async fn keys_without_an_expiry_are_read_again_after_their_maximal_age() {
    for (source, minutes) in
        [(SdkSource::new(Rotating::default()), 15), (SdkSource::new(Rotating::default()).max_age(5 * MINUTE), 5)]
    {
        let clock = VirtualClock::new();
        clock.set_wall(SystemClock::new().now().wall());
        let cache = credential_cache(source).clock(clock.clone()).build();
        assert_eq!(cache.get().await.unwrap().access_key_id(), "key-0");
        clock.advance((minutes - 1) * MINUTE);
        cache.get().await.unwrap();
        assert_eq!(cache.status().generation, 1);
        clock.advance(2 * MINUTE);
        assert_eq!(cache.get().await.unwrap().access_key_id(), "key-0", "nobody waits");
        wait_until(|| cache.status().generation == 2).await;
        assert_eq!(cache.get().await.unwrap().access_key_id(), "key-1");
    }
    let clock = VirtualClock::new();
    let cache =
        credential_cache(SdkSource::new(Rotating::default()).max_age(Duration::MAX)).clock(clock.clone()).build();
    cache.get().await.unwrap();
    clock.advance(1000 * HOUR);
    assert_eq!(cache.get().await.unwrap().access_key_id(), "key-0");
    assert_eq!(cache.status().freshness, Freshness::Fresh);
}

/// A role over a base without an expiry, both on the clock of `aws`.
async fn role_over(aws: &TestAws, base: &AwsTokenCache) -> AwsTokenCache {
    let source = AssumeRole::new(ROLE).source(base).await;
    AwsTokenCache::new(credential_cache(source).clock(aws.clock.clone()).build(), &aws.config().await)
}

async fn base(aws: &TestAws, sessions: usize) -> AwsTokenCache {
    let (issuer, count) = (aws.issuer().clone(), AtomicUsize::new(0));
    let first = credentials(&issuer.new_session());
    let source = source_fn(move || {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let is_static = sessions == 1;
        let session = if is_first || is_static { first.clone() } else { credentials(&issuer.new_session()) };
        async { Ok::<_, std::io::Error>(TemporaryToken::never_expires(session)) }
    });
    let config = aws.config().await.into_builder().endpoint_url(aws.issuer().sts_endpoint()).build();
    AwsTokenCache::new(credential_cache(source).clock(aws.clock.clone()).build(), &config)
}

#[tokio::test]
async fn a_base_that_sts_rejects_is_fetched_again_through_chains() {
    let aws = TestAws::start().await;
    let base = base(&aws, usize::MAX).await;
    let role = role_over(&aws, &base).await;
    let chained = AssumeRole::new(ROLE).source(&AwsTokenCache::new(role.cache().clone(), &base.sdk_config())).await;
    let chained = credential_cache(chained).clock(aws.clock.clone()).build();
    chained.get().await.unwrap();
    for generation in 2..4 {
        aws.issuer().end_sessions();
        aws.clock.advance(MINUTE);
        chained.refresh().await.unwrap();
        let generations = [base.cache(), role.cache(), &chained].map(|cache| cache.status().generation);
        assert_eq!(generations, [generation; 3]);
    }
}

#[tokio::test]
async fn a_base_that_sts_rejects_is_fetched_again_through_the_registry() {
    let (aws, registry) = (TestAws::start().await, Registry::new(8));
    let base = base(&aws, usize::MAX).await;
    let identity = registry.insert("base", base.clone()).assume_role(AssumeRole::new(ROLE));
    let role = registry.get(&identity).await.unwrap();
    let first = role.get().await.unwrap();
    aws.issuer().end_sessions();
    aws.clock.advance(MINUTE);
    let second = role.cache().replace(&first).await.unwrap();
    assert_eq!(base.cache().status().generation, 2, "the base was rejected, and the one in the registry is the same");
    assert_ne!(second.access_key_id(), first.access_key_id());
    let same = registry.get(&identity).await.unwrap();
    assert_eq!(same.get().await.unwrap().access_key_id(), second.access_key_id());
}

#[tokio::test]
async fn a_base_without_a_replacement_stays_and_the_error_is_that_of_sts() {
    let aws = TestAws::start().await;
    let base = base(&aws, 1).await;
    let role = role_over(&aws, &base).await;
    role.get().await.unwrap();
    aws.issuer().end_sessions();
    for _ in 0..3 {
        aws.clock.advance(10 * MINUTE);
        let error = role.cache().refresh().await.unwrap_err();
        assert_contains(&error.to_string(), &["STS has refused", "ExpiredToken"]);
        base.get().await.unwrap();
    }
}
