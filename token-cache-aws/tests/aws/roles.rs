//! The parameters of `AssumeRole`, as STS receives them.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use token_cache_aws::{AssumeRole, AwsTokenCache, SdkSource, credential_cache, defaults};
use token_cache_testing::aws::FakeAws;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::harness::{BUCKET, assert_contains, round_trip, store};

const ARN: &str = "arn:aws:iam::222222222222:role/reader";

/// A base whose STS is at this address.
fn base(config: SdkConfig) -> AwsTokenCache {
    let key = Credentials::new("key", "secret", None, None, "test");
    AwsTokenCache::new(credential_cache(SdkSource::new(key)).build(), &config)
}

/// The head and the parameters of the request that fetches the role's credentials.
async fn request(role: AssumeRole) -> (String, HashMap<String, String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = defaults().endpoint_url(url).load().await;
    // As in `from_provider`: there is no region.
    let config = config.into_builder().region(None).build();
    let role = base(config).assume_role(&role).await;
    let fetch = tokio::spawn(async move { (role.get().await, role) });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    let (head, body) = loop {
        stream.read_buf(&mut read).await.unwrap();
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap() {
            break (head.to_owned(), body.to_owned());
        }
    };
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
    let (result, role) = fetch.await.unwrap();
    assert!(result.is_err());
    assert_eq!(role.region(), Some("eu-central-1"));
    (head, form_urlencoded::parse(body.as_bytes()).into_owned().collect())
}

/// <https://github.com/apache/opendal/issues/7518>, <https://github.com/aws/aws-sdk-go/issues/2993>
#[tokio::test]
async fn sts_receives_all_parameters_of_a_role() {
    let role = AssumeRole::new(ARN)
        .region("eu-central-1")
        .session_name("job")
        .external_id("7")
        .tag("team", "data")
        .transitive_tag("tenant", "t7")
        .source_identity("alice")
        .mfa("arn:aws:iam::111111111111:mfa/alice", || async { Ok("123456\n".to_owned()) });
    let (head, form) = request(role).await;
    assert_contains(&head, &["/eu-central-1/sts/aws4_request"]);
    let expected = [
        ("RoleArn", ARN),
        ("RoleSessionName", "job"),
        ("ExternalId", "7"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "data"),
        ("Tags.member.2.Key", "tenant"),
        ("Tags.member.2.Value", "t7"),
        ("TransitiveTagKeys.member.1", "tenant"),
        ("SourceIdentity", "alice"),
        ("SerialNumber", "arn:aws:iam::111111111111:mfa/alice"),
        ("TokenCode", "123456"),
    ];
    for (name, value) in expected {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{name} in {form:?}");
    }
}

#[tokio::test]
async fn a_role_without_parameters_sends_none() {
    let (_, form) = request(AssumeRole::new(ARN).region("eu-central-1")).await;
    let mut names: Vec<_> = form.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["Action", "RoleArn", "RoleSessionName", "Version"]);
}

#[tokio::test]
async fn a_missing_mfa_code_is_named() {
    let config = defaults().region("us-east-1").endpoint_url("http://127.0.0.1:1").load().await;
    let role = AssumeRole::new(ARN).mfa("arn:aws:iam::111111111111:mfa/alice", || async { Err("no terminal".into()) });
    let error = base(config).assume_role(&role).await.get().await.unwrap_err().to_string();
    assert_contains(&error, &["role/reader", "MFA device", "no terminal"]);
}

#[test]
fn a_device_equals_its_clones_only() {
    let role = || AssumeRole::new(ARN).mfa("serial", || async { Ok("123456".to_owned()) });
    let one = role();
    assert!(one == one.clone() && one != role());
}

#[tokio::test]
async fn an_error_names_the_host_that_did_not_respond() {
    let config = defaults().region("eu-central-1").endpoint_url("http://127.0.0.1:1").load().await;
    let error = base(config).assume_role(&AssumeRole::new(ARN)).await.get().await.unwrap_err();
    assert_contains(&error.to_string(), &[ARN, "there was no response from 127.0.0.1:1", "Connection refused"]);
}

/// The kit needs no environment variable: neither for the credentials, nor for the endpoints.
#[tokio::test]
async fn a_role_reads_and_writes_without_any_variable() {
    let aws = FakeAws::builder().start().await.unwrap();
    aws.s3().create_bucket(BUCKET).unwrap();
    let base = AwsTokenCache::from_sdk_config(&aws.sdk_config()).unwrap();
    let cache = base.assume_role(&AssumeRole::new(ARN).external_id("tenant-7").tag("team", "data")).await;
    round_trip(&store(&cache), "object").await.unwrap();
    let requests = aws.issuer().assume_role_requests();
    assert_eq!((requests.len(), requests[0].parameter("ExternalId")), (1, Some("tenant-7")));
    assert_eq!(requests[0].parameter("Tags.member.1.Value"), Some("data"));
}
