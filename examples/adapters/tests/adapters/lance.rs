//! As Lance uses it: any provider of the SDK, credentials that a namespace vends, and the way back to the SDK.

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
use token_cache_adapters::theirs::{StorageOptions, StorageOptionsProvider};
use token_cache_aws::AwsTokenCache;
use token_cache_core::BoxError;
use token_cache_testing::aws::{AccessKey, FakeAws, Issuer};

use crate::stores::v0_14::{of_bucket, round_trip, traffic};
use crate::{ROTATIONS, SECOND, SHORT_SESSION, at_once, aws_with_sessions_of};

/// Sessions of the kit, without a server between: a provider of the SDK, and a namespace that vends.
#[derive(Clone, Debug)]
struct Vendor(Arc<Vending>);

#[derive(Debug)]
struct Vending {
    issuer: Issuer,
    asked: AtomicU64,
    down: AtomicBool,
}

impl Vendor {
    fn of(aws: &FakeAws) -> Self {
        Self(Arc::new(Vending { issuer: aws.issuer().clone(), asked: AtomicU64::new(0), down: AtomicBool::new(false) }))
    }

    fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn goes_down(&self) {
        self.0.down.store(true, Ordering::SeqCst);
    }

    async fn session(&self) -> Result<AccessKey, BoxError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
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

/// A session as a namespace gives it.
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
async fn vended_credentials_that_came_with_the_table_are_used_first() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let (vendor, initial) = (Vendor::of(&aws), aws.issuer().new_session());
    let credentials = vended_credentials(Arc::new(vendor.clone()), &vended(&initial));
    round_trip(&store(&aws, &credentials), "object").await.unwrap();
    assert_eq!(vendor.asked(), 0);
    assert_eq!(credentials.get().await.unwrap().access_key_id(), initial.access_key_id());
}

#[tokio::test]
async fn options_without_credentials_are_no_beginning_and_the_namespace_is_asked_once() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let vendor = Vendor::of(&aws);
    let initial = StorageOptions::from([("region".to_owned(), "us-east-1".to_owned())]);
    let store = Arc::new(store(&aws, &vended_credentials(Arc::new(vendor.clone()), &initial)));
    at_once(20, |n| {
        let store = Arc::clone(&store);
        async move { round_trip(&store, &format!("object-{n}")).await.unwrap() }
    })
    .await;
    assert_eq!(vendor.asked(), 1);
}

#[tokio::test]
async fn vended_credentials_are_read_and_written_with_through_rotations() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    let (vendor, initial) = (Vendor::of(&aws), aws.issuer().new_session());
    let credentials = vended_credentials(Arc::new(vendor.clone()), &vended(&initial));
    traffic(store(&aws, &credentials), ROTATIONS).await;
    let s3 = aws.s3().counts();
    assert_eq!(s3.rejected_in_all(), 0);
    assert!((3..=6).contains(&s3.sessions), "{} sessions", s3.sessions);
    // The first has come with the table, and one more may be under way.
    assert!(vendor.asked() <= s3.sessions as u64, "{} calls for {} sessions", vendor.asked(), s3.sessions);
}

#[tokio::test]
async fn a_namespace_that_is_down_takes_what_it_has_vended_away_from_nobody() {
    let aws = aws_with_sessions_of(4 * SECOND).await;
    let (vendor, initial) = (Vendor::of(&aws), aws.issuer().new_session());
    vendor.goes_down();
    let credentials = vended_credentials(Arc::new(vendor.clone()), &vended(&initial));
    traffic(store(&aws, &credentials), 7 * SECOND / 2).await;
    assert!(vendor.asked() > 0, "it was not asked");
    assert_eq!((aws.s3().counts().sessions, aws.s3().counts().rejected_in_all()), (1, 0));
}

#[tokio::test]
async fn an_expiry_that_cannot_be_read_is_an_error_and_not_for_ever() {
    #[derive(Debug)]
    struct Garbled;

    #[async_trait]
    impl StorageOptionsProvider for Garbled {
        async fn fetch_storage_options(&self) -> Result<Option<StorageOptions>, BoxError> {
            let options = [("access_key_id", "key"), ("secret_access_key", "s"), ("expires_at_millis", "tomorrow")];
            Ok(Some(options.map(|(name, value)| (name.to_owned(), value.to_owned())).into()))
        }
    }

    let credentials = vended_credentials(Arc::new(Garbled), &StorageOptions::new());
    let error = credentials.get_credential().await.unwrap_err();
    assert!(error.to_string().contains("invalid digit"), "{error}");
}

#[tokio::test]
async fn the_way_back_to_the_sdk_tells_the_true_expiry_and_costs_no_call() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let (vendor, initial) = (Vendor::of(&aws), aws.issuer().new_session());
    let credentials = vended_credentials(Arc::new(vendor.clone()), &vended(&initial));
    assert_eq!(credentials.provide_credentials().await.unwrap().expiry(), initial.expires_at());

    // As Lance sets up DynamoDB, with the one client of the SDK that the kit answers.
    let config = aws_sdk_sts::config::Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws.region().to_owned()))
        .endpoint_url(aws.issuer().sts_endpoint())
        .credentials_provider(credentials.clone())
        .build();
    aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await.unwrap();
    round_trip(&store(&aws, &credentials), "object").await.unwrap();
    assert_eq!((vendor.asked(), aws.issuer().counts().caller_identity), (0, 1));
}

#[tokio::test]
async fn any_provider_of_the_sdk_is_asked_once_a_rotation() {
    let aws = aws_with_sessions_of(SHORT_SESSION).await;
    let vendor = Vendor::of(&aws);
    let credentials = aws_credential_adapter(vendor.clone(), SECOND / 2);
    traffic(store(&aws, &credentials), ROTATIONS).await;
    let s3 = aws.s3().counts();
    assert_eq!(s3.rejected_in_all(), 0);
    assert!((3..=5).contains(&s3.sessions), "{} sessions", s3.sessions);
    assert!(vendor.asked() <= s3.sessions as u64 + 1, "{} calls for {} sessions", vendor.asked(), s3.sessions);
}

#[tokio::test]
async fn a_hundred_callers_of_a_provider_that_is_down_cost_one_call_and_the_time_of_one() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let vendor = Vendor::of(&aws);
    vendor.goes_down();
    let credentials = aws_credential_adapter(vendor.clone(), SECOND);
    let callers = at_once(100, |_| {
        let credentials = credentials.clone();
        async move { credentials.get_credential().await.unwrap_err() }
    });
    // One after the other it would be ten seconds.
    let errors = tokio::time::timeout(5 * SECOND, callers).await.unwrap();
    assert!(errors.iter().all(|error| error.to_string().contains("the vendor is down")));
    assert_eq!(vendor.asked(), 1);
}

#[tokio::test]
async fn a_token_is_converted_once_and_not_for_each_request() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let credentials = aws_credential_adapter(Vendor::of(&aws), SECOND);
    let (one, two) = (credentials.get_credential().await.unwrap(), credentials.get_credential().await.unwrap());
    assert!(Arc::ptr_eq(&one, &two));
}
