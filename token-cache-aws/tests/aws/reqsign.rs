//! reqsign, with which OpenDAL and Iceberg sign, on the same cache.

use std::time::Duration;

use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, Signer};
use reqwest::{Client, Method};
use token_cache_aws::AwsTokenCache;
use token_cache_testing::aws::FakeAws;

use super::harness::*;

/// A `Signer` keeps a copy until two minutes before the expiry, and refuses to sign in the last ten seconds, both by the
/// machine's clock. With four sessions that expire within the next two minutes it takes each request's credentials from the
/// cache.
#[tokio::test]
async fn reqsign_signs_across_rotations_at_one_call_each() {
    const LIFETIME: Duration = Duration::from_secs(60);
    const STEP: Duration = Duration::from_secs(10);
    let aws = TestAws::start().await;
    aws.issuer().set_session_lifetime(LIFETIME);
    let cache = aws.cache_with(|builder| builder.expiry_buffer_by(|lifetime| lifetime - STEP)).await;
    let signer = signer(&cache, &aws);
    let client = Client::new();
    for generation in 1..=4 {
        let (url, body) = (format!("{}/{BUCKET}/{generation}", aws.s3().endpoint()), generation.to_string());
        send(&client, &signer, Method::PUT, &url, &body).await;
        // The refresh in the background, which the request above has started.
        wait_until(|| cache.cache().status().generation == generation).await;
        assert_eq!(send(&client, &signer, Method::GET, &url, "").await, body);
        aws.clock.advance(STEP);
    }
    let s3 = aws.s3().counts();
    assert_eq!((s3.sessions, s3.rejected_in_all()), (4, 0));
    assert_eq!(aws.issuer().counts().assume_role, 4);
}

/// Signs with the credentials of `cache`.
fn signer(cache: &AwsTokenCache, aws: &FakeAws) -> Signer<Credential> {
    Signer::new(Context::new(), cache.clone(), RequestSigner::new("s3", aws.region()))
}

/// Sends a signed request, which has to succeed, and returns the body of the response.
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
