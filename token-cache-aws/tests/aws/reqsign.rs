//! What OpenDAL and Iceberg sign with, over the same cache.

use std::time::UNIX_EPOCH;

use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, Signer};
use reqwest::{Client, Method};

use super::*;

#[tokio::test]
async fn reqsign_signs_through_rotations_and_costs_one_call_to_the_issuer_for_each() {
    let aws = aws_with_sessions_of(20 * SECOND).await;
    // A new session every second: reqsign refuses to sign with less than ten seconds left.
    let cache = cache_of(&aws, |cache| cache.expiry_buffer_by(|_| 19 * SECOND).jitter(0.0)).await;
    let signer = signer(&cache, &aws);
    let client = Client::new();
    let traffic = async {
        for number in 0.. {
            let (url, body) = (format!("{}/{BUCKET}/{number}", aws.s3().endpoint()), number.to_string());
            send(&client, &signer, Method::PUT, &url, &body).await;
            assert_eq!(send(&client, &signer, Method::GET, &url, "").await, body);
            if aws.s3().counts().sessions == 4 {
                break;
            }
        }
    };
    tokio::time::timeout(60 * SECOND, traffic).await.unwrap();
    assert_eq!(aws.s3().counts().rejected_in_all(), 0);
    let issued = aws.issuer().counts().assume_role;
    assert!((4..=5).contains(&issued), "{issued} calls for 4 sessions in use, and perhaps the next");
}

/// Signs with what `cache` holds.
fn signer(cache: &AwsTokenCache, aws: &FakeAws) -> Signer<Credential> {
    Signer::new(Context::new(), cache.cache().view(convert), RequestSigner::new("s3", aws.region()))
}

fn convert(credentials: &Credentials) -> Credential {
    let expiry = credentials.expiry().and_then(|expiry| expiry.duration_since(UNIX_EPOCH).ok());
    Credential {
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: credentials.secret_access_key().to_owned(),
        session_token: credentials.session_token().map(ToOwned::to_owned),
        expires_in: expiry.and_then(|since| Timestamp::from_millisecond(since.as_millis() as i64).ok()),
    }
}

/// What the answer says. None but a 200 will do.
async fn send(client: &Client, signer: &Signer<Credential>, method: Method, url: &str, body: &str) -> String {
    let request = http::Request::builder().method(method).uri(url).body(body.to_owned()).unwrap();
    let (mut parts, body) = request.into_parts();
    signer.sign(&mut parts, None).await.unwrap();
    let request = reqwest::Request::try_from(http::Request::from_parts(parts, body)).unwrap();
    let response = client.execute(request).await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    text
}
