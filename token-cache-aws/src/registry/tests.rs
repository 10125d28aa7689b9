//! When a registry keeps, releases and refuses caches.

use std::time::Duration;

use aws_credential_types::Credentials;
use token_cache_testing::{VirtualClock, settled};

use super::*;
use crate::role::AssumeRole;

/// In steps, so that the sweeper sleeps again in between.
async fn advance(clock: &VirtualClock, seconds: u32) {
    for _ in 0..seconds {
        settled().await;
        clock.advance(Duration::from_secs(1));
    }
    settled().await;
}

fn cache() -> AwsTokenCache {
    AwsTokenCache::from_provider(Credentials::new("key", "secret", None, None, "test"))
}

fn role(n: u32) -> IdentitySpec {
    IdentitySpec::from_env().assume_role(AssumeRole::new(format!("arn:aws:iam::123456789012:role/{n}")))
}

fn is_same(a: &AwsTokenCache, b: &AwsTokenCache) -> bool {
    a.downgrade().ptr_eq(&b.downgrade())
}

#[test]
fn first_of_two_concurrent_inserts_wins() {
    let registry = Registry::new(2);
    let first = registry.get_or_insert(&role(1), cache()).unwrap();
    let second = registry.get_or_insert(&role(1), cache()).unwrap();
    assert!(is_same(&first, &second) && is_same(&first, &registry.find(&role(1)).unwrap()));
    assert_eq!(registry.len(), 1);
}

#[test]
fn full_registry_fails_and_evicts_nothing_held() {
    let registry = Registry::new(2);
    let held = [1, 2].map(|n| registry.get_or_insert(&role(n), cache()).unwrap());
    let error = registry.get_or_insert(&role(3), cache()).unwrap_err();
    assert!(error.to_string().contains("all of its 2 caches are held"), "{error}");
    assert!(is_same(&held[0], &registry.find(&role(1)).unwrap()));

    drop(held);
    let third = registry.get_or_insert(&role(3), cache()).unwrap();
    assert!(is_same(&third, &registry.find(&role(3)).unwrap()));
    assert_eq!(registry.len(), 2, "one made room");
}

#[tokio::test]
async fn least_recently_looked_up_cache_makes_room() {
    let clock = VirtualClock::new();
    let registry = Registry { clock: Arc::new(clock.clone()), ..Registry::new(2) };
    for n in [1, 2, 1] {
        let cache = registry.find(&role(n)).map_or_else(|| registry.get_or_insert(&role(n), cache()), Ok);
        drop(cache.unwrap());
        clock.advance(Duration::from_secs(1));
    }
    registry.get_or_insert(&role(3), cache()).unwrap();
    assert!(registry.find(&role(1)).is_some() && registry.find(&role(2)).is_none());
}

#[tokio::test]
async fn idle_caches_are_released() {
    let clock = VirtualClock::new();
    let registry = Registry { clock: Arc::new(clock.clone()), ..Registry::new(2).idle(Duration::from_secs(60)) };
    let held = registry.get_or_insert(&role(1), cache()).unwrap();
    registry.get_or_insert(&role(2), cache()).unwrap();
    advance(&clock, 59).await;
    assert_eq!(registry.len(), 2, "a program that holds nothing finds its cache");
    advance(&clock, 32).await;
    assert_eq!(registry.len(), 1);
    assert!(is_same(&held, &registry.find(&role(1)).unwrap()));
    drop(held);
    advance(&clock, 91).await;
    assert!(registry.is_empty());
    registry.get_or_insert(&role(2), cache()).unwrap();
    advance(&clock, 91).await;
    assert!(registry.is_empty(), "the sweeper runs again");
}

#[tokio::test]
async fn inserted_caches_are_the_base_of_roles() {
    let clock = VirtualClock::new();
    let registry = Registry { clock: Arc::new(clock.clone()), ..Registry::new(10).idle(Duration::from_secs(60)) };
    let hub = registry.insert("hub", cache());
    advance(&clock, 300).await;
    assert!(registry.get(&hub).await.is_ok(), "it cannot be made again");
    let tenant = hub.clone().assume_role(AssumeRole::new("arn:aws:iam::123456789012:role/1"));
    let first = registry.get(&tenant).await.unwrap();
    assert!(is_same(&first, &registry.get(&tenant).await.unwrap()));
    registry.remove(&hub);
    let error = registry.get(&hub).await.unwrap_err().to_string();
    assert!(error.contains("\"hub\"") && error.contains("Registry::insert"), "{error}");
}

#[test]
fn inner_cache_alone_counts_as_held() {
    let registry = Registry::new(1);
    let inner = registry.get_or_insert(&role(1), cache()).unwrap().cache().clone();
    assert!(registry.get_or_insert(&role(2), cache()).is_err());
    let found = registry.find(&role(1)).expect("still held");
    assert!(is_same(&found, &registry.find(&role(1)).unwrap()));
    drop((inner, found));
    assert!(registry.get_or_insert(&role(2), cache()).is_ok());
}

#[test]
fn identities_differ_by_everything_that_shapes_a_session() {
    let arn = "arn:aws:iam::123456789012:role/reader";
    let variants = [
        AssumeRole::new(arn),
        AssumeRole::new(arn).external_id("7"),
        AssumeRole::new(arn).session_name("job"),
        AssumeRole::new(arn).duration(Duration::from_secs(900)),
        AssumeRole::new(arn).policy("{}"),
        AssumeRole::new(arn).policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess"),
    ];
    let registry = Registry::new(100);
    let mut held = Vec::new();
    for base in [IdentitySpec::from_env(), IdentitySpec::profile("a"), IdentitySpec::profile("b")] {
        held.push(registry.get_or_insert(&base, cache()).unwrap());
        for variant in &variants {
            held.push(registry.get_or_insert(&base.clone().assume_role(variant.clone()), cache()).unwrap());
        }
    }
    assert_eq!(registry.len(), 3 * 7);
    let printed =
        format!("{:?}", IdentitySpec::from_env().assume_role(variants[1].clone().external_id("tenant-secret")));
    assert!(printed.contains(arn) && !printed.contains("tenant-secret"), "{printed}");
}
