//! The Security Token Service: `AssumeRole` and `GetCallerIdentity`.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use rand::Rng;
use s3s::{Body, S3ErrorCode};

use super::container::expiration;
use super::issuer::Issuer;
use super::keys::{AccessKey, Identity};
use super::routes::reply;
use super::state::SessionValidity;

/// The action in a form. Its signature is not checked here.
pub(crate) fn action(body: &[u8]) -> Option<String> {
    field(body, "Action")
}

pub(crate) async fn answer(issuer: &Issuer, parts: Parts, body: Bytes, validity: SessionValidity) -> Response<Body> {
    let result = match issuer.verifier().verify(parts, body).await {
        Ok((caller, body)) => call(issuer, &caller, &body, validity),
        Err(code) => Err(Error::of_signature(&code)),
    };
    match result {
        Ok(xml) => reply(StatusCode::OK, XML, xml),
        Err(error) => error.into_response(),
    }
}

/// An error response with this status.
pub(crate) fn failure(status: StatusCode) -> Response<Body> {
    let code = match status {
        StatusCode::TOO_MANY_REQUESTS => "Throttling",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ if status.is_server_error() => "InternalFailure",
        _ => "AccessDenied",
    };
    Error { status, code, message: "The test has set this fault." }.into_response()
}

fn call(issuer: &Issuer, caller: &AccessKey, form: &[u8], validity: SessionValidity) -> Result<String, Error> {
    let action = action(form).unwrap_or_default();
    if field(form, "Version").as_deref() != Some("2011-06-15") {
        return Err(Error::NO_ACTION);
    }
    match action.as_str() {
        "AssumeRole" => {
            issuer.record(AssumeRoleRequest::new(form));
            let AssumeRole { identity, duration } = AssumeRole::parse(form, caller)?;
            Ok(assumed(&issuer.assumed_session(identity, duration, validity)))
        }
        "GetCallerIdentity" => Ok(caller_identity(caller.identity())),
        _ => Err(Error::NO_ACTION),
    }
}

/// What STS was asked, from [`Issuer::assume_role_requests`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumeRoleRequest {
    parameters: Vec<(String, String)>,
}

impl AssumeRoleRequest {
    fn new(form: &[u8]) -> Self {
        Self { parameters: form_urlencoded::parse(form).into_owned().collect() }
    }

    /// A parameter by its name in the API of STS, such as `RoleArn`, `RoleSessionName`, `ExternalId`, `Policy` or
    /// `Tags.member.1.Key`. `None` if the request did not have it.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let sts = aws_sdk_sts::Client::new(&aws.sdk_config());
    /// sts.assume_role().role_arn("arn:aws:iam::123456789012:role/reader").role_session_name("me").send().await?;
    /// let requests = aws.issuer().assume_role_requests();
    /// assert_eq!(requests[0].parameter("RoleSessionName"), Some("me"));
    /// assert_eq!(requests[0].parameter("ExternalId"), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The parameters of an `AssumeRole` request.
struct AssumeRole {
    identity: Identity,
    duration: Duration,
}

impl AssumeRole {
    fn parse(form: &[u8], caller: &AccessKey) -> Result<Self, Error> {
        let arn = field(form, "RoleArn").ok_or(Error::invalid("RoleArn is missing."))?;
        let (account, role) = split_role(&arn).ok_or(Error::invalid("RoleArn is not the ARN of a role."))?;
        let session = field(form, "RoleSessionName").ok_or(Error::invalid("RoleSessionName is missing."))?;
        if !(2..=64).contains(&session.len()) || !is_plain(&session) {
            return Err(Error::invalid("RoleSessionName must be 2 to 64 of [A-Za-z0-9_+=,.@-]."));
        }
        let duration = match field(form, "DurationSeconds") {
            None => DEFAULT_DURATION,
            Some(seconds) => seconds
                .parse::<u32>()
                .ok()
                .filter(|seconds| ALLOWED_SECONDS.contains(seconds))
                .ok_or(Error::invalid("DurationSeconds must be 900 to 43200."))?,
        };
        if caller.session_token().is_some() && duration > MAX_CHAINED_DURATION {
            return Err(Error::invalid("DurationSeconds exceeds the 1 hour limit of role chaining."));
        }
        Ok(Self {
            identity: Identity::of_role(account, role, &session),
            duration: Duration::from_secs(duration.into()),
        })
    }
}

/// An error response of STS.
struct Error {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

impl Error {
    const NO_ACTION: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: "InvalidAction",
        message: "Could not find this operation for this version.",
    };

    const fn invalid(message: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "ValidationError", message }
    }

    /// The error of STS that corresponds to the S3 error `code`.
    fn of_signature(code: &S3ErrorCode) -> Self {
        let (code, message) = match code {
            S3ErrorCode::AccessDenied => ("MissingAuthenticationToken", "Request is missing Authentication Token"),
            S3ErrorCode::ExpiredToken => ("ExpiredToken", "The security token included in the request is expired"),
            S3ErrorCode::InvalidAccessKeyId | S3ErrorCode::InvalidToken => {
                ("InvalidClientTokenId", "The security token included in the request is invalid.")
            }
            S3ErrorCode::RequestTimeTooSkewed => ("SignatureDoesNotMatch", "Signature expired, or not yet current."),
            S3ErrorCode::SignatureDoesNotMatch => (
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method.",
            ),
            _ => ("IncompleteSignature", "The request signature does not conform to AWS standards."),
        };
        Self { status: StatusCode::FORBIDDEN, code, message }
    }

    fn into_response(self) -> Response<Body> {
        let Self { status, code, message } = self;
        let kind = if status.is_server_error() { "Receiver" } else { "Sender" };
        let xml = format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{code}</Code>\
             <Message>{message}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
            request_id()
        );
        reply(status, XML, xml)
    }
}

// The values below need no XML escaping: `AssumeRole::parse` has checked those that come from a request.

fn assumed(session: &AccessKey) -> String {
    let Identity { arn, user_id } = session.identity();
    format!(
        "<AssumeRoleResponse xmlns=\"{NAMESPACE}\"><AssumeRoleResult>\
         <AssumedRoleUser><AssumedRoleId>{user_id}</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>\
         <Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>{expiration}</Expiration></Credentials>\
         </AssumeRoleResult>{metadata}</AssumeRoleResponse>",
        id = session.access_key_id(),
        secret = session.secret_access_key(),
        token = session.session_token().unwrap_or_default(),
        expiration = expiration(session).unwrap_or_default(),
        metadata = metadata(),
    )
}

fn caller_identity(identity: &Identity) -> String {
    let Identity { arn, user_id } = identity;
    let account = arn.split(':').nth(4).unwrap_or_default();
    format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>{user_id}</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult>{metadata}</GetCallerIdentityResponse>",
        metadata = metadata(),
    )
}

fn metadata() -> String {
    format!("<ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata>", request_id())
}

fn request_id() -> String {
    let mut hex = format!("{:032x}", rand::rng().random::<u128>());
    for dash in [8, 13, 18, 23] {
        hex.insert(dash, '-');
    }
    hex
}

fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form)
        .find(|(key, value)| key == name && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

/// The account and the name of a role, from `arn:aws:iam::ACCOUNT:role/PATH/NAME`.
fn split_role(arn: &str) -> Option<(&str, &str)> {
    let rest = arn.strip_prefix("arn:aws")?;
    // Other partitions are "aws-cn" and the like.
    let (_, rest) = rest.split_once(":iam::")?;
    let (account, path) = rest.split_once(":role/")?;
    let name = path.rsplit('/').next()?;
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    (is_account && !name.is_empty() && is_plain(name)).then_some((account, name))
}

/// Whether `text` consists of the characters that IAM allows in names.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

const XML: &str = "text/xml";

/// In seconds. This and the limits below are those of
/// [`AssumeRole`](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
const DEFAULT_DURATION: u32 = 3600;

/// In seconds.
const MAX_CHAINED_DURATION: u32 = 3600;

/// In seconds.
const ALLOWED_SECONDS: std::ops::RangeInclusive<u32> = 900..=43_200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_arn_is_split_into_account_and_name() {
        let cases = [
            ("arn:aws:iam::123456789012:role/one", Some(("123456789012", "one"))),
            ("arn:aws-cn:iam::123456789012:role/a/path/one", Some(("123456789012", "one"))),
            ("arn:aws:iam::123456789012:role/", None),
            ("arn:aws:iam::123456789012:role/<one>", None),
            ("arn:aws:iam::1234:role/one", None),
            ("arn:aws:iam::123456789012:user/one", None),
            ("one", None),
        ];
        for (arn, role) in cases {
            assert_eq!(split_role(arn), role, "{arn}");
        }
    }

    #[test]
    fn a_request_id_is_a_uuid() {
        let lengths: Vec<_> = request_id().split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
