//! Runs the default chain of the SDK, and checks that its errors are recognized. The chain reads the environment, so
//! each case is a child process.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::error::Error as StdError;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::{fs, thread};

use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use futures::future::join_all;
use token_cache_test_support::{ChildProcess, report};

use super::*;
use crate::defaults::defaults;
use crate::error::describe::describe;
use crate::error::error_chain::unredacted;

#[tokio::test]
async fn sdk_still_uses_the_texts_of_the_table() {
    let cases = [
        (container("").status("403 Oh"), Some(SdkMessage::Container)),
        (container(r#"{"code": "Busy"}"#), Some(SdkMessage::Container)),
        (imds(r#"{"Code": "Failed"}"#), Some(SdkMessage::InstanceMetadata)),
        (imds(r#"{"Code": "AssumeRoleUnauthorizedAccess"}"#), Some(SdkMessage::InstanceMetadata)),
        (imds("{}"), Some(SdkMessage::Json)),
        (imds("{} {}"), Some(SdkMessage::Json)),
        (imds("<html>"), Some(SdkMessage::Json)),
        (
            imds(r#"{"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "soon"}"#),
            Some(SdkMessage::JsonExpiration),
        ),
        (profile("credential_process = exit 1"), Some(SdkMessage::Process)),
        (profile("credential_process = echo"), Some(SdkMessage::Process)),
        (profile("= no name"), Some(SdkMessage::ProfileFile)),
        (profile(SSO), Some(SdkMessage::SsoTokenCache)),
        (profile(SSO).sso_token("{}"), Some(SdkMessage::SsoTokenCache)),
        (refreshed_sso_session(), Some(SdkMessage::SsoTokenCacheWrite)),
        (sts("<Expiration>soon</Expiration>"), Some(SdkMessage::StsExpiration)),
        (sts("<Expiration><A/></Expiration>"), None),
        (sts("<AccessKeyId>&secret;</AccessKeyId>"), None),
        (sts("").body("<Other/>"), None),
    ];
    let (cases, messages): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let texts: Vec<_> = run_all(cases).await.into_iter().map(|output| output.text).collect();
    for (message, text) in messages.into_iter().zip(&texts) {
        assert!(message.is_none_or(|message| message.is_in(text)), "{message:?} is not in: {text}");
    }
    for (message, part) in &TABLE {
        assert!(texts.iter().any(|text| part.is_in(text)), "no text of {message:?} has {part:?}: {texts:#?}");
    }
    for start in [PROCESS_PREAMBLE, XML_ESCAPE] {
        assert!(texts.iter().any(|text| text.starts_with(start)), "no text starts with {start}: {texts:#?}");
    }
    for quote in XML_QUOTES {
        assert!(texts.iter().any(|text| text.contains(quote)), "no text has {quote}: {texts:#?}");
    }
}

/// Errors with a public type, of which no text is in the table.
#[tokio::test]
async fn error_types_identify_the_provider() {
    let cases = [
        (imds("").status("400 Oh"), "the instance metadata service, which is used if nothing else is configured,"),
        (container("").env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\nb"), "the container's endpoint, which"),
        (
            container("").env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/no/such/file"),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names the file",
        ),
        (
            profile(SSO).sso_token(r#"{"accessToken": "a", "expiresAt": "2999-01-01T00:00:00Z"}"#).status("401 Oh"),
            "SSO has refused (401 UnauthorizedException): signed out; run `aws sso login`",
        ),
        (profile(SSO_SESSION), "run `aws sso login`"),
        (refreshed_sso_session(), "could not be stored in ~/.aws/sso/cache; make that folder and its files writable"),
    ];
    let (cases, descriptions): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    for (description, output) in descriptions.into_iter().zip(run_all(cases).await) {
        assert!(output.description.contains(description), "no {description} in: {}", output.description);
    }
}

#[test]
fn xml_quotes_are_removed() {
    for (text, expected) in [
        ("invalid root, expected A got StartEl { .. }", "invalid root, expected A"),
        ("looking for a data element, found: Data", "looking for a data element"),
        ("invalid XML escape: secret", "invalid XML escape"),
        ("no root element", "no root element"),
    ] {
        assert_eq!(without_quote(text), expected);
    }
}

#[tokio::test]
#[ignore = "the child process of the tests above"]
async fn child_reports_its_error() {
    loop {
        let config = defaults().load().await;
        let error = config.credentials_provider().unwrap().provide_credentials().await.unwrap_err();
        let description = describe(&error);
        // The SDK waits one second for the metadata service, which a busy machine may exceed.
        if !description.contains("timeout") {
            report(text(&error));
            report(description);
            return;
        }
    }
}

/// The text that is looked up in the table.
fn text(error: &CredentialsError) -> String {
    let mut cause = error.source().unwrap();
    while let Some(source) = cause.downcast_ref::<CredentialsError>().and_then(StdError::source) {
        cause = source;
    }
    match cause.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>() {
        Some(error) => error.as_service_error().unwrap().source().unwrap().to_string(),
        None => unredacted(cause),
    }
}

/// An environment, and the response of its server.
struct Case {
    /// `URL` and `HOME` in a value stand for the server and the home directory.
    env: Vec<(&'static str, &'static str)>,
    profile: &'static str,
    sso_token: Option<&'static str>,
    /// Becomes a folder once a token was refreshed, so that it cannot be written.
    sso_token_file: &'static str,
    status: &'static str,
    body: String,
}

impl Case {
    fn new(body: &str) -> Self {
        Self {
            env: Vec::new(),
            profile: "",
            sso_token: None,
            sso_token_file: SSO_URL_SHA1,
            status: "200 OK",
            body: body.to_owned(),
        }
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    fn sso_token(mut self, token: &'static str) -> Self {
        self.sso_token = Some(token);
        self
    }

    const fn status(mut self, status: &'static str) -> Self {
        self.status = status;
        self
    }

    fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    async fn run(self) -> Output {
        let home = tempfile::tempdir().unwrap();
        let aws = home.path().join(".aws");
        fs::create_dir_all(aws.join("sso/cache")).unwrap();
        fs::write(aws.join("config"), format!("[default]\n{}\n", self.profile)).unwrap();
        let token_file = aws.join(format!("sso/cache/{}.json", self.sso_token_file));
        if let Some(token) = self.sso_token {
            fs::write(&token_file, token).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());

        let child = ChildProcess::test("error::sdk_messages::tests::child_reports_its_error").env("HOME", home.path());
        let child =
            child.envs([("AWS_REGION", "us-east-1"), ("AWS_MAX_ATTEMPTS", "1"), ("AWS_EC2_METADATA_DISABLED", "true")]);
        let home = home.path().to_str().unwrap();
        let child =
            child.envs(self.env.iter().map(|(name, value)| (name, value.replace("URL", &url).replace("HOME", home))));

        thread::spawn(move || serve(&listener, self.status, &self.body, &token_file));
        let output = child.run().await.assert_success();
        let [text, description] = output.reports().map(ToOwned::to_owned).collect::<Vec<_>>().try_into().unwrap();
        Output { text, description }
    }
}

struct Output {
    text: String,
    description: String,
}

fn container(body: &str) -> Case {
    Case::new(body).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "URL/credentials")
}

fn imds(body: &str) -> Case {
    Case::new(body).env("AWS_EC2_METADATA_DISABLED", "false").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "URL")
}

fn profile(lines: &'static str) -> Case {
    let case = Case { profile: lines, ..Case::new(r#"{"message": "signed out"}"#) };
    case.env("AWS_ENDPOINT_URL_SSO", "URL")
}

/// The SDK refreshes the expired token of a session, and cannot store the new one.
fn refreshed_sso_session() -> Case {
    let case = profile(SSO_SESSION).sso_token(
        r#"{"accessToken": "a", "expiresAt": "2020-01-01T00:00:00Z", "refreshToken": "b", "clientId": "c",
            "clientSecret": "d", "registrationExpiresAt": "2999-01-01T00:00:00Z"}"#,
    );
    let case = case.body(r#"{"accessToken": "e", "expiresIn": 3600}"#).env("AWS_ENDPOINT_URL_SSO_OIDC", "URL");
    Case { sso_token_file: SSO_SESSION_SHA1, ..case }
}

fn sts(credentials: &str) -> Case {
    let body = format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>{credentials}</Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    Case::new(&body)
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", "HOME/.aws/config")
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader")
        .env("AWS_ENDPOINT_URL_STS", "URL")
}

async fn run_all(cases: Vec<Case>) -> Vec<Output> {
    join_all(cases.into_iter().map(Case::run)).await
}

fn serve(listener: &TcpListener, status: &str, body: &str, sso_token_file: &Path) {
    for connection in listener.incoming() {
        let mut connection = connection.unwrap();
        let Some(path) = read_request(&connection) else { continue };
        if path == "/token" {
            fs::remove_file(sso_token_file).unwrap();
            fs::create_dir(sso_token_file).unwrap();
        }
        let (status, body) = match &*path {
            "/latest/api/token" => ("200 OK", "token"),
            "/latest/meta-data/iam/security-credentials/" => ("200 OK", "reader"),
            _ => (status, body),
        };
        let headers = "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\nx-amzn-errortype: UnauthorizedException\r\n";
        let length = body.len();
        // A client that has gone away is no matter.
        let _ = write!(
            connection,
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
    }
}

/// Reads one request whole, and returns its path.
fn read_request(connection: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut body = 0;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body = value.trim().parse().ok()?;
        }
    }
    reader.take(body).read_to_end(&mut Vec::new()).ok()?;
    Some(path)
}
const SSO: &str = "sso_start_url = https://example.com/start\nsso_region = us-east-1\n\
                   sso_account_id = 123456789012\nsso_role_name = reader";
/// The SDK names the token's file after the start URL.
const SSO_URL_SHA1: &str = "b343494cf15ba6b81449840ea93161cf3b27e5e3";
const SSO_SESSION: &str = "sso_session = corp\nsso_account_id = 123456789012\nsso_role_name = reader\n\
                           [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://example.com/start";
const SSO_SESSION_SHA1: &str = "ee0bfd2552fbd840c02cc48b6e823320543c450f";
