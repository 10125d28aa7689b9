//! Starting, stopping, secrets and load.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};

use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;
use token_cache_testing::aws::{FakeAws, Fault};

use crate::common::*;

#[tokio::test]
async fn a_port_in_use_is_named_in_the_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let expected = format!("cannot listen on 127.0.0.1:{port}: address in use");
    for builder in [FakeAws::builder().s3_port(port), FakeAws::builder().issuer_port(port)] {
        let error = builder.start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn dropping_it_closes_its_ports() {
    let aws = start().await;
    let (issuer, ports) = (aws.issuer().clone(), ports(&aws));
    assert_works(&store_of(&aws, aws.long_term_key())).await;
    drop(aws);
    for address in ports {
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
    // A remaining handle does no harm.
    let _ = issuer.new_session();
}

#[tokio::test]
async fn dropping_it_ends_a_hanging_request() {
    let aws = start().await;
    aws.issuer().fail(Fault::Hang);
    let request = tokio::spawn(aws.http.get(aws.issuer().container_uri()).send());
    wait_until(|| aws.issuer().counts().container == 1).await;
    drop(aws);
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn its_ports_can_be_bound_again() {
    let aws = start().await;
    let [s3, issuer] = ports(&aws);
    assert_works(&store_of(&aws, aws.long_term_key())).await;
    drop(aws);
    let builder = FakeAws::builder().s3_port(s3.port()).issuer_port(issuer.port());
    let aws = builder.start().await.unwrap();
    assert_eq!(ports(&aws), [s3, issuer]);
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    let aws = start().await;
    for address in ports(&aws) {
        assert!(address.ip().is_loopback());
        // Fails if the port is bound on all addresses. Other systems have no 127.0.0.2.
        #[cfg(target_os = "linux")]
        assert!(TcpListener::bind(("127.0.0.2", address.port())).is_ok());
    }
}

#[test]
fn it_outlives_the_runtime_that_started_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let aws = runtime().block_on(start());
    runtime().block_on(async { assert_works(&store_of(&aws, aws.long_term_key())).await });
}

#[tokio::test]
async fn debug_prints_no_secret_and_no_key_id() {
    let builder = FakeAws::builder().container_authorization_token("the-token");
    let printed = format!("{builder:?}");
    let aws = builder.start().await.unwrap();
    let session = aws.issuer().new_session();
    let user = aws.long_term_key();
    let printed = format!(
        "{printed} {aws:?} {:?} {:?} {session:?} {user:?} {:?} {:?}",
        aws.s3(),
        aws.issuer(),
        aws.s3().counts(),
        aws.issuer().counts()
    );
    for secret in [
        "the-token",
        session.access_key_id(),
        session.secret_access_key(),
        session.session_token().unwrap(),
        user.access_key_id(),
        user.secret_access_key(),
    ] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[tokio::test]
async fn the_environments_contain_its_endpoints() {
    let aws =
        FakeAws::builder().region("eu-central-1").container_authorization_token("the-token").start().await.unwrap();
    let (s3, issuer) = (aws.s3().endpoint(), aws.issuer().imds_endpoint());
    let common = [("AWS_REGION", "eu-central-1".into()), ("AWS_ENDPOINT_URL_S3", s3)];
    let env = |specific: Vec<(&'static str, String)>| specific.into_iter().chain(common.clone()).collect::<Vec<_>>();
    assert_eq!(
        aws.container_env(),
        env(vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{issuer}/container")),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the-token".into()),
        ])
    );
    assert_eq!(aws.imds_env(), env(vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", issuer.clone())]));
    let user = aws.long_term_key();
    assert_eq!(
        aws.long_term_env(),
        env(vec![
            ("AWS_ACCESS_KEY_ID", user.access_key_id().into()),
            ("AWS_SECRET_ACCESS_KEY", user.secret_access_key().into()),
            ("AWS_ENDPOINT_URL_STS", issuer),
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_64_concurrent_tasks() {
    let aws = start().await;
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let (client, uri) = (aws.http.clone(), aws.issuer().container_uri());
            let builder = builder(&aws);
            tokio::spawn(async move {
                let json = client.get(uri).send().await.unwrap().bytes().await.unwrap();
                let json: Value = serde_json::from_slice(&json).unwrap();
                let store = builder
                    .with_access_key_id(json["AccessKeyId"].as_str().unwrap())
                    .with_secret_access_key(json["SecretAccessKey"].as_str().unwrap())
                    .with_token(json["Token"].as_str().unwrap())
                    .build()
                    .unwrap();
                let path = Path::from(format!("task/{task}"));
                for round in 0..2 {
                    let content = format!("{task} {round}");
                    store.put(&path, content.clone().into()).await.unwrap();
                    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), content);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let counts = aws.s3().counts();
    assert_eq!((counts.requests, counts.sessions, counts.rejected_in_all()), (256, 64, 0));
    let counts = aws.issuer().counts();
    assert_eq!((counts.container, counts.answered, counts.sessions), (64, 64, 64));
}

fn ports(aws: &FakeAws) -> [SocketAddr; 2] {
    [aws.s3().endpoint(), aws.issuer().imds_endpoint()]
        .map(|endpoint| endpoint.strip_prefix("http://").unwrap().parse().unwrap())
}
