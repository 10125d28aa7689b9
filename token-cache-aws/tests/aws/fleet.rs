//! One session of a role for all processes of a host.

use std::fs;

use token_cache_aws::{AssumeRole, AwsTokenCache, credential_cache};
use token_cache_fleet::{Files, Keys};
use token_cache_testing::aws::FakeAws;

use super::harness::*;

/// Two sets of caches, as two processes have them, that share a directory.
#[tokio::test]
async fn two_processes_share_a_session() {
    let aws = FakeAws::builder().start().await.unwrap();
    aws.s3().create_bucket(BUCKET).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").external_id("tenant-7");
    let mut processes = Vec::new();
    for _ in 0..2 {
        let base = AwsTokenCache::from_sdk_config(&aws.sdk_config()).unwrap();
        let files = Files::new(directory.path().join("tokens")).unwrap();
        let source = role.shared_source(&base, files, Keys::new([7; 32])).await;
        processes.push(AwsTokenCache::new(credential_cache(source).build(), &aws.sdk_config()));
    }
    for cache in &processes {
        round_trip(&store(cache), "object").await.unwrap();
    }
    let (first, second) = (processes[0].get().await.unwrap(), processes[1].get().await.unwrap());
    assert_eq!(first.access_key_id(), second.access_key_id());
    assert_eq!((first.expiry().is_some(), second.expiry().is_some()), (true, true));
    assert_eq!(aws.issuer().assume_role_requests().len(), 1);
    for entry in fs::read_dir(directory.path().join("tokens")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in [first.secret_access_key(), first.session_token().unwrap(), first.access_key_id()] {
            assert!(!text.contains(secret), "a secret is in a file");
        }
    }
}
