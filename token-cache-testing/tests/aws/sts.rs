//! The Security Token Service.

use std::fmt::Debug;
use std::time::SystemTime;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use token_cache_testing::aws::{AccessKey, FakeAws};

use crate::common::*;

const ROLE: &str = "arn:aws:iam::111122223333:role/reader";

#[tokio::test]
async fn an_assumed_role_works_until_its_expiry() {
    let aws = start().await;
    let config = config(&aws, credentials(aws.long_term_key())).await;
    let session = assume(&config).await;
    let store = store(&aws, session.access_key_id(), session.secret_access_key(), session.session_token());
    assert_works_until(&aws, &store, session.expiry().unwrap()).await;
    let counts = aws.issuer().counts();
    assert_eq!((counts.assume_role, counts.answered, counts.sessions), (1, 1, 1));
    assert_eq!(counts.credential_requests(), 1);
}

#[tokio::test]
async fn a_session_may_assume_another_role() {
    let aws = start().await;
    let first = assume(&config(&aws, credentials(&aws.issuer().new_session())).await).await;
    let second = assume(&config(&aws, first.clone()).await).await;
    assert_ne!(first.access_key_id(), second.access_key_id());
    let (id, secret) = (second.access_key_id(), second.secret_access_key());
    assert_works(&store(&aws, id, secret, second.session_token())).await;
}

#[tokio::test]
async fn a_role_gets_the_requested_or_the_configured_lifetime() {
    let aws = start_with(FakeAws::builder().session_lifetime(2 * HOUR)).await;
    let config = config(&aws, credentials(aws.long_term_key())).await;
    let client = aws_sdk_sts::Client::new(&config);
    let lifetime = async |seconds: Option<i32>| {
        let request = client.assume_role().role_arn(ROLE).role_session_name("test");
        let answer = request.set_duration_seconds(seconds).send().await.unwrap();
        let end = SystemTime::try_from(*answer.credentials().unwrap().expiration()).unwrap();
        end.duration_since(aws.clock.wall()).unwrap().as_secs()
    };
    assert_eq!([lifetime(None).await, lifetime(Some(900)).await, lifetime(Some(43_200)).await], [3600, 900, 7200]);
}

#[tokio::test]
async fn get_caller_identity_returns_the_signer() {
    let aws = start().await;
    let user = config(&aws, credentials(aws.long_term_key())).await;
    let answer = aws_sdk_sts::Client::new(&user).get_caller_identity().send().await.unwrap();
    assert_eq!(answer.arn(), Some("arn:aws:iam::123456789012:user/test"));
    assert_eq!(answer.account(), Some("123456789012"));

    let role = config(&aws, assume(&user).await).await;
    let answer = aws_sdk_sts::Client::new(&role).get_caller_identity().send().await.unwrap();
    assert_eq!(answer.arn(), Some("arn:aws:sts::111122223333:assumed-role/reader/test"));
    assert_eq!(answer.account(), Some("111122223333"));
    assert_eq!(aws.issuer().counts().caller_identity, 2);
}

#[tokio::test]
async fn an_unknown_key_or_a_wrong_token_gets_403_invalid_client_token_id() {
    let aws = start().await;
    let unknown = start().await.issuer().new_session();
    let session = aws.issuer().new_session();
    let with = |token: Option<&str>| {
        let token = token.map(str::to_owned);
        let (id, secret) = (session.access_key_id(), session.secret_access_key());
        Credentials::new(id, secret, token, None, "test")
    };
    for credentials in [credentials(&unknown), with(None), with(Some("wrong"))] {
        assert_rejected(&aws, credentials, 403, "InvalidClientTokenId").await;
    }
}

#[tokio::test]
async fn a_wrong_secret_gets_403_signature_does_not_match() {
    let aws = start().await;
    let id = aws.long_term_key().access_key_id();
    let wrong = Credentials::new(id, "wrong", None, None, "test");
    assert_rejected(&aws, wrong, 403, "SignatureDoesNotMatch").await;
}

#[tokio::test]
async fn an_expired_session_gets_403_expired_token() {
    let aws = start().await;
    let key = aws.issuer().new_session();
    aws.issuer().end_sessions();
    assert_rejected(&aws, credentials(&key), 403, "ExpiredToken").await;
}

#[tokio::test]
async fn an_unsigned_request_gets_403_missing_authentication_token() {
    let aws = start().await;
    let form = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    let request = aws.http.post(aws.issuer().sts_endpoint()).form(&form);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 403);
    let xml = response.text().await.unwrap();
    assert!(xml.starts_with("<ErrorResponse"), "{xml}");
    assert!(xml.contains("<Type>Sender</Type><Code>MissingAuthenticationToken</Code>"), "{xml}");
}

#[tokio::test]
async fn an_invalid_assume_role_gets_400_validation_error() {
    let aws = start().await;
    let config = config(&aws, credentials(aws.long_term_key())).await;
    let client = aws_sdk_sts::Client::new(&config);
    let request = || client.assume_role().role_arn(ROLE).role_session_name("test");
    for request in [
        client.assume_role().role_arn(ROLE),
        client.assume_role().role_session_name("test"),
        request().role_arn("reader"),
        request().role_session_name("not plain"),
        request().role_session_name("x"),
        request().duration_seconds(899),
        request().duration_seconds(43_201),
    ] {
        assert_failed(request.send().await.unwrap_err(), 400, "ValidationError");
    }
    let chained = self::config(&aws, credentials(&aws.issuer().new_session())).await;
    let client = aws_sdk_sts::Client::new(&chained);
    let request = client.assume_role().role_arn(ROLE).role_session_name("test");
    assert_failed(request.duration_seconds(3601).send().await.unwrap_err(), 400, "ValidationError");
    assert_eq!(aws.issuer().counts().answered, 0);
}

#[tokio::test]
async fn an_unknown_action_gets_400_invalid_action() {
    let aws = start().await;
    let config = config(&aws, credentials(aws.long_term_key())).await;
    let client = aws_sdk_sts::Client::new(&config);
    assert_failed(client.get_session_token().send().await.unwrap_err(), 400, "InvalidAction");
    assert_eq!(aws.issuer().counts().other, 1);
}

fn credentials(key: &AccessKey) -> Credentials {
    let token = key.session_token().map(str::to_owned);
    let (id, secret) = (key.access_key_id(), key.secret_access_key());
    Credentials::new(id, secret, token, key.expires_at(), "test")
}

async fn config(aws: &TestAws, credentials: Credentials) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(aws.region().to_owned()))
        .endpoint_url(aws.issuer().sts_endpoint())
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

async fn provider(config: &SdkConfig) -> AssumeRoleProvider {
    AssumeRoleProvider::builder(ROLE).session_name("test").configure(config).build().await
}

async fn assume(config: &SdkConfig) -> Credentials {
    provider(config).await.provide_credentials().await.unwrap()
}

async fn assert_rejected(aws: &TestAws, credentials: Credentials, status: u16, code: &str) {
    let config = config(aws, credentials).await;
    assert_failed(provider(&config).await.provide_credentials().await.unwrap_err(), status, code);
    let client = aws_sdk_sts::Client::new(&config);
    assert_failed(client.get_caller_identity().send().await.unwrap_err(), status, code);
}

fn assert_failed(error: impl Debug, status: u16, code: &str) {
    let text = format!("{error:?}");
    assert!(text.contains(&format!("StatusCode({status})")), "{text}");
    assert!(text.contains(&format!("{code:?}")), "{text}");
}

#[tokio::test]
async fn the_last_thousand_assumed_roles_are_recorded() {
    let aws = start().await;
    let client = aws_sdk_sts::Client::new(&aws.sdk_config());
    for n in 0..1001 {
        let request = client.assume_role().role_arn(ROLE).role_session_name(format!("job-{n}")).external_id("7");
        request.send().await.unwrap();
    }
    let requests = aws.issuer().assume_role_requests();
    assert_eq!((requests.len(), requests[0].parameter("RoleSessionName")), (1000, Some("job-1")));
    let last = &requests[999];
    assert_eq!(["RoleArn", "ExternalId", "Policy"].map(|name| last.parameter(name)), [Some(ROLE), Some("7"), None]);
}
