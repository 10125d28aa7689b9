//! Stores of each version take a view of one cache.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCache, source_fn};
use token_cache_oauth2::AccessToken;

macro_rules! check {
    ($object_store:ident, $cache:expr) => {{
        use $object_store::CredentialProvider;
        use $object_store::azure::{AzureCredential, MicrosoftAzureBuilder};
        use $object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};

        let (google, azure) = ($cache.view(AccessToken::to::<GcpCredential>), $cache.view(AccessToken::to::<AzureCredential>));
        assert_eq!(google.get_credential().await.unwrap().bearer, "hunter2");
        let azure_credential = azure.get_credential().await.unwrap();
        assert!(matches!(&*azure_credential, AzureCredential::BearerToken(token) if token == "hunter2"));
        let google = GoogleCloudStorageBuilder::new().with_credentials(Arc::new(google));
        let azure = MicrosoftAzureBuilder::new().with_credentials(Arc::new(azure));
        let printed = format!("{google:?} {azure:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }};
}

#[tokio::test]
async fn one_cache_serves_both_clouds_and_all_versions() {
    let source = source_fn(|| async {
        let token = AccessToken::new("hunter2");
        Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600)))
    });
    let cache = TokenCache::builder(source).build();
    check!(object_store_0_12, cache);
    check!(object_store_0_13, cache);
    check!(object_store, cache);
    assert_eq!(cache.status().generation, 1);
}
