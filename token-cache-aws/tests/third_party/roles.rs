//! Roles: with an external id, chained, and many over one base.

use aws_types::SdkConfig;
use token_cache_aws::{AssumeRole, AwsTokenCache, SdkSource, credential_cache, defaults};
use token_cache_core::ErrorKind;

use crate::load;
use crate::ministack::{Audit, LIFETIME, User, endpoint, role};

async fn config(user: &User) -> SdkConfig {
    defaults().region("us-east-1").endpoint_url(endpoint()).credentials_provider(user.credentials()).load().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn a_role_with_an_external_id() {
    let (user, audit) = (User::new("external").await, Audit::start());
    let arn = user.role("external", Some("tenant-7")).await;
    let base = AwsTokenCache::from_sdk_config(&config(&user).await).unwrap();
    let role = AssumeRole::new(&arn).external_id("tenant-7").session_name("load").duration(LIFETIME);
    let outcome = load::through_rotations(&base.assume_role(&role).await).await;
    assert_eq!(audit.calls(&arn).await, outcome.rotations + 1, "{outcome:?}");
    println!("role with external id: {outcome:?}");
}

#[tokio::test]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn a_role_without_its_external_id_is_refused() {
    let user = User::new("refused").await;
    let arn = user.role("refused", Some("tenant-7")).await;
    let base = AwsTokenCache::from_sdk_config(&config(&user).await).unwrap();
    for role in [AssumeRole::new(&arn), AssumeRole::new(&arn).external_id("tenant-8")] {
        let error = base.assume_role(&role).await.get().await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Source);
        for part in [&*arn, "AccessDenied", "not authorized to perform: sts:AssumeRole", "next attempt in"] {
            assert!(text.contains(part), "no {part} in: {text}");
        }
        assert!(!text.contains("tenant-"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn chained_roles_rotate_independently() {
    let (user, audit) = (User::new("chained").await, Audit::start());
    let hub = user.role("hub", None).await;
    let spoke = role("spoke", &hub, Some("tenant-7")).await;
    let base = AwsTokenCache::from_sdk_config(&config(&user).await).unwrap();
    let hub_role = AssumeRole::new(&hub).session_name("hub").duration(2 * LIFETIME);
    let hub_cache = base.assume_role(&hub_role).await;
    let spoke_role = AssumeRole::new(&spoke).external_id("tenant-7").session_name("spoke").duration(LIFETIME);
    let aws = hub_cache.assume_role(&spoke_role).await;
    let outcome = load::through_rotations(&aws).await;
    assert_eq!(audit.calls(&spoke).await, outcome.rotations + 1, "{outcome:?}");
    load::wait_for_fetch(&hub_cache).await;
    let hubs = hub_cache.cache().status().generation;
    assert!(hubs >= 2, "{hubs}");
    assert_eq!(audit.calls(&hub).await, hubs);
    println!("chained roles: {outcome:?}, {hubs} sessions of the first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn many_roles_share_one_fetch_of_their_base() {
    let (user, audit) = (User::new("many").await, Audit::start());
    let hub = user.role("many-hub", None).await;
    let base = AwsTokenCache::from_sdk_config(&config(&user).await).unwrap();
    let hub_cache = base.assume_role(&AssumeRole::new(&hub).session_name("hub")).await;
    let mut spokes = Vec::new();
    for n in 0..5 {
        spokes.push(role(&format!("many-{n}"), &hub, None).await);
    }
    let caches = spokes.iter().map(|spoke| {
        let (hub, role) = (hub_cache.clone(), AssumeRole::new(spoke).session_name("spoke"));
        async move { hub.assume_role(&role).await.get().await.unwrap() }
    });
    futures::future::join_all(caches).await;
    assert_eq!(audit.calls(&hub).await, 1);
    for spoke in &spokes {
        assert_eq!(audit.calls(spoke).await, 1);
    }
}

/// Sessions of one hour, like those of a profile's role.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs ministack: tests/third_party/servers"]
async fn a_refresh_under_load_is_one_call() {
    let (user, audit) = (User::new("refreshed").await, Audit::start());
    let arn = user.role("refreshed", None).await;
    let config = config(&user).await;
    let base = AwsTokenCache::from_sdk_config(&config).unwrap();
    let source: SdkSource = AssumeRole::new(&arn).session_name("refreshed").source(&base).await;
    let aws = AwsTokenCache::new(credential_cache(source).build(), &config);
    let outcome = load::through_refreshes(&aws).await;
    assert_eq!(audit.calls(&arn).await, outcome.rotations + 1);
    println!("explicit refreshes: {outcome:?}");
}
