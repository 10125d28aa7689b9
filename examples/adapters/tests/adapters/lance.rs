//! The adapters of Lance: for any provider of the SDK, for vended credentials, and as a provider of the SDK.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as ProviderResult, future};
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use token_cache_adapters::lance::{aws_credential_adapter, vended_credentials};
use token_cache_adapters::upstream::{StorageOptions, StorageOptionsProvider};
use token_cache_aws::AwsTokenCache;
use token_cache_core::BoxError;
use token_cache_test_support::wait_until;
use token_cache_testing::aws::{AccessKey, FakeAws, Issuer};

use crate::stores::v0_14::{load, of_bucket, round_trip, use_sessions};
use crate::{SECOND, SESSIONS, SHORT_SESSION, aws_with_sessions_of, run_concurrently};

/// Both a provider of the SDK and a namespace that vends credentials. The sessions are those of the fake AWS.
#[derive(Clone, Debug)]
struct Vendor(Arc<VendorState>);

#[derive(Debug)]
struct VendorState {
    issuer: Issuer,
    calls: AtomicU64,
    down: AtomicBool,
}

impl Vendor {
    fn of(aws: &FakeAws) -> Self {
        let (calls, down) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(VendorState { issuer: aws.issuer().clone(), calls, down }))
    }

    fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn set_down(&self) {
        self.0.down.store(true, Ordering::SeqCst);
    }

    async fn session(&self) -> Result<AccessKey, BoxError> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(SECOND / 10).await;
        if self.0.down.load(Ordering::SeqCst) {
            Err("the vendor is down".into())
        } else {
            Ok(self.0.issuer.new_session())
        }
    }
}

impl ProvideCredentials for Vendor {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let key = self.session().await.map_err(CredentialsError::provider_error)?;
            let token = key.session_token().map(ToOwned::to_owned);
            ProviderResult::Ok(Credentials::new(
                key.access_key_id(),
                key.secret_access_key(),
                token,
                key.expires_at(),
                "kit",
            ))
        })
    }
}

#[async_trait]
impl StorageOptionsProvider for Vendor {
    async fn fetch_storage_options(&self) -> Result<Option<StorageOptions>, BoxError> {
        Ok(Some(vended(&self.session().await?)))
    }
}

/// A session in the format of a namespace.
fn vended(key: &AccessKey) -> StorageOptions {
    let millis = key.expires_at().unwrap().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let options = [
        ("aws_access_key_id", key.access_key_id().to_owned()),
        ("aws_secret_access_key", key.secret_access_key().to_owned()),
        ("aws_session_token", key.session_token().unwrap().to_owned()),
        ("expires_at_millis", millis.to_string()),
    ];
    options.map(|(name, value)| (name.to_owned(), value)).into()
}

fn store(aws: &FakeAws, credentials: &AwsTokenCache) -> AmazonS3 {
    let builder = AmazonS3Builder::new().with_region(aws.region()).with_credentials(Arc::new(credentials.clone()));
    of_bucket(builder.with_endpoint(aws.s3().endpoint()).with_allow_http(true))
}

#[tokio::test]
async fn credentials_of_the_table_are_used_first() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let (vendor, initial) = (Vendor::of(&aws), aws.issuer().new_session());
    let credentials = vended_credentials(Arc::new(vendor.clone()), &vended(&initial));
    round_trip(&store(&aws, &credentials), "object").await.unwrap();
    assert_eq!(vendor.calls(), 0);
    assert_eq!(credentials.get().await.unwrap().access_key_id(), initial.access_key_id());
}

#[tokio::test]
async fn options_without_credentials_cause_one_fetch() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let vendor = Vendor::of(&aws);
    let initial = StorageOptions::from([("region".to_owned(), "us-east-1".to_owned())]);
    let store = Arc::new(store(&aws, &vended_credentials(Arc::new(vendor.clone()), &initial)));
    run_concurrently(20, |n| {
        let store = Arc::clone(&store);
        async move { round_trip(&store, &format!("object-{n}")).await.unwrap() }
    })
    .await;
    assert_eq!(vendor.calls(), 1);
}

#[tokio::test]
async fn no_request_fails_while_vended_credentials_rotate() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    let (vendor, initial) = (Vendor::of(&aws), aws.issuer().new_session());
    let credentials = vended_credentials(Arc::new(vendor.clone()), &vended(&initial));
    use_sessions(store(&aws, &credentials), SESSIONS).await;
    let s3 = aws.s3().counts();
    assert_eq!(s3.rejected_in_all(), 0);
    assert!(s3.sessions >= SESSIONS, "{} sessions", s3.sessions);
    // The first session came with the table, and the last fetch may not be used yet.
    assert!(vendor.calls() <= s3.sessions as u64, "{} calls for {} sessions", vendor.calls(), s3.sessions);
}

#[tokio::test]
async fn vended_credentials_outlive_an_outage_of_the_namespace() {
    // The refresh starts within the first 10 s.
    let aws = aws_with_sessions_of(20 * SECOND).await;
    let (vendor, initial) = (Vendor::of(&aws), aws.issuer().new_session());
    vendor.set_down();
    let credentials = vended_credentials(Arc::new(vendor.clone()), &vended(&initial));
    let load = load(store(&aws, &credentials));
    load.run_until(wait_until("two failed fetches", async || vendor.calls() > 2)).await.assert_no_failures();
    assert_eq!((aws.s3().counts().sessions, aws.s3().counts().rejected_in_all()), (1, 0));
}

#[tokio::test]
async fn an_expiry_that_cannot_be_parsed_is_an_error() {
    #[derive(Debug)]
    struct InvalidExpiry;

    #[async_trait]
    impl StorageOptionsProvider for InvalidExpiry {
        async fn fetch_storage_options(&self) -> Result<Option<StorageOptions>, BoxError> {
            let options = [("access_key_id", "key"), ("secret_access_key", "s"), ("expires_at_millis", "tomorrow")];
            Ok(Some(options.map(|(name, value)| (name.to_owned(), value.to_owned())).into()))
        }
    }

    let credentials = vended_credentials(Arc::new(InvalidExpiry), &StorageOptions::new());
    let error = credentials.get_credential().await.unwrap_err();
    assert!(error.to_string().contains("invalid digit"), "{error}");
}

#[tokio::test]
async fn sdk_clients_get_the_true_expiry_without_a_call() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let (vendor, initial) = (Vendor::of(&aws), aws.issuer().new_session());
    let credentials = vended_credentials(Arc::new(vendor.clone()), &vended(&initial));
    assert_eq!(credentials.provide_credentials().await.unwrap().expiry(), initial.expires_at());

    // Lance does this with DynamoDB. The fake AWS only implements STS.
    let config = aws_sdk_sts::config::Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws.region().to_owned()))
        .endpoint_url(aws.issuer().sts_endpoint())
        .credentials_provider(credentials.clone())
        .build();
    aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await.unwrap();
    round_trip(&store(&aws, &credentials), "object").await.unwrap();
    assert_eq!((vendor.calls(), aws.issuer().counts().caller_identity), (0, 1));
}

#[tokio::test]
async fn a_provider_is_called_once_per_rotation() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    let vendor = Vendor::of(&aws);
    let credentials = aws_credential_adapter(vendor.clone(), SECOND / 2);
    use_sessions(store(&aws, &credentials), SESSIONS).await;
    let s3 = aws.s3().counts();
    assert_eq!(s3.rejected_in_all(), 0);
    assert!(s3.sessions >= SESSIONS, "{} sessions", s3.sessions);
    assert!(vendor.calls() <= s3.sessions as u64 + 1, "{} calls for {} sessions", vendor.calls(), s3.sessions);
}

#[tokio::test]
async fn a_hundred_callers_share_one_failed_call() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let vendor = Vendor::of(&aws);
    vendor.set_down();
    let credentials = aws_credential_adapter(vendor.clone(), SECOND);
    let callers = run_concurrently(100, |_| {
        let credentials = credentials.clone();
        async move { credentials.get_credential().await.unwrap_err() }
    });
    let errors = callers.await;
    assert!(errors.iter().all(|error| error.to_string().contains("the vendor is down")));
    assert_eq!(vendor.calls(), 1);
}

#[tokio::test]
async fn a_token_is_converted_once() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let credentials = aws_credential_adapter(Vendor::of(&aws), SECOND);
    let (one, two) = (credentials.get_credential().await.unwrap(), credentials.get_credential().await.unwrap());
    assert!(Arc::ptr_eq(&one, &two));
}
