//! Requests for which the tests have no client, and small servers.

use std::time::{Duration, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpConnector, HttpRequest, ReqwestConnector};
use token_cache_testing::aws::AccessKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Sends a request, signed if there is a key and a service, and returns the body of the response. The response must be a
/// success.
pub(crate) async fn send(request: http::Request<Vec<u8>>, signed: Option<(&AwsCredential, &str)>) -> String {
    let (parts, body) = request.into_parts();
    let mut request = HttpRequest::from_parts(parts, body.into());
    if let Some((key, service)) = signed {
        AwsAuthorizer::new(key, service, "us-east-1").try_authorize(&mut request, None).unwrap();
    }
    let client = ReqwestConnector::default().connect(&ClientOptions::new().with_allow_http(true)).unwrap();
    let response = client.execute(request).await.unwrap();
    let status = response.status();
    let body = String::from_utf8(response.into_body().bytes().await.unwrap().to_vec()).unwrap();
    assert!(status.is_success(), "{status}: {body}");
    body
}

/// A call in the query protocol of IAM and STS.
pub(crate) async fn query(
    endpoint: &str,
    service: &str,
    action: &str,
    parameters: &[(&str, &str)],
    key: Option<&AwsCredential>,
) -> String {
    let version = if service == "iam" { "2010-05-08" } else { "2011-06-15" };
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("Action", action), ("Version", version)])
        .extend_pairs(parameters)
        .finish();
    let request =
        http::Request::post(format!("{endpoint}/")).header("content-type", "application/x-www-form-urlencoded");
    send(request.body(form.into_bytes()).unwrap(), key.map(|key| (key, service))).await
}

/// The text of the first element of this name. It must have no attributes and no escapes.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split_once("</").unwrap().0
}

/// The session in a response of STS.
pub(crate) fn session(xml: &str) -> AccessKey {
    let expires_at = DateTime::from_str(element(xml, "Expiration"), Format::DateTime).unwrap();
    AccessKey::foreign(
        element(xml, "AccessKeyId").to_owned(),
        element(xml, "SecretAccessKey").to_owned(),
        element(xml, "SessionToken").to_owned(),
        UNIX_EPOCH + Duration::from_secs_f64(expires_at.as_secs_f64()),
    )
}

/// Forwards connections from a fixed address of the SDK.
pub(crate) async fn forward(from: &str, to: String) {
    let listener = TcpListener::bind(from).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
}

/// Answers every request with the same document.
pub(crate) async fn serve(address: &str, document: String) {
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let document = document.clone();
            tokio::spawn(async move {
                // The requests have no body and fit into one packet.
                let read = client.read(&mut [0; 8192]).await?;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    document.len()
                );
                client.write_all(format!("{head}{document}").as_bytes()).await.map(|()| read)
            });
        }
    });
}
