//! What is known of the errors of the SDK's chain: who was asked, and what else there is to say.

use std::env;
use std::error::Error as StdError;
use std::fs::File;
use std::io;
use std::pin::pin;
use std::str::Utf8Error;
use std::task::{Context, Poll, Waker};

use aws_config::imds::client::error::{ImdsError, TokenError};
use aws_config::meta::ProviderChainError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use aws_types::os_shim_internal::{Env, Fs};

use super::mask::one_line;
use super::words::{Words, why};

/// Who of the chain has no credentials, and why. `None`: nothing is known of this one.
pub(super) fn told(error: &CredentialsError) -> Option<String> {
    let source = error.source()?;
    if let Some(chain) = source.downcast_ref() {
        return Some(of_all_links(chain));
    }
    let (is_of_a_profile, source) = innermost(source);
    let (text, mut why) = (source.to_string(), why(source));
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| text.starts_with(beginning));
    if text.contains("invalid date-time") {
        why += "; it has to be as 2026-11-24T10:00:00Z";
    }

    // An endpoint and the metadata service answer in the same JSON. Where there is an endpoint, the service is not asked.
    let endpoint = ENDPOINTS.into_iter().find(|name| env::var_os(name).is_some());
    let is_of_a_connection = source.is::<SdkError<CredentialsError, HttpResponse>>() || source.is::<Utf8Error>();
    if is_of_a_connection || begins(OF_AN_ENDPOINT) || endpoint.is_some() && begins(OF_JSON) {
        let named = endpoint.map_or_else(String::new, |name| format!(", which {name} names,"));
        return Some(format!("the container's endpoint{named} has failed: {why}"));
    }
    if source.is::<ImdsError>() || begins(OF_THE_SERVICE) || begins(OF_JSON) {
        return Some(match is_of_a_profile {
            true => format!("the instance metadata service, which the profile names, has failed: {why}"),
            false => format!(
                "the instance metadata service, which is asked when nothing else is configured, has failed: {why}; \
                 {WHAT_TO_DO}"
            ),
        });
    }
    if text.contains("external process") {
        let why = why.strip_prefix("Error retrieving credentials: ").unwrap_or(&why);
        return Some(format!("the credential_process has failed: {why}"));
    }
    let more = if source.is::<io::Error>() {
        let named = unreadable_token().or_else(|| is_of_a_profile.then_some("the profile"))?;
        format!("; {named} names the file")
    } else if text.contains(UNREADABLE) {
        format!(": {}", unreadable_profile()?)
    } else if is_of_a_profile && (why.contains("/sso/cache/") || why.contains("UnauthorizedException")) {
        "; run `aws sso login` for the profile".to_owned()
    } else {
        return None;
    };
    Some(format!("AWS credentials could not be loaded: {why}{more}"))
}

fn of_all_links(chain: &ProviderChainError<CredentialsError>) -> String {
    let attempts = chain.attempts().iter().map(|attempt| {
        // "Not enabled" is what they all say first: what counts is why.
        let why = attempt.error().source().map_or_else(|| "not set".to_owned(), why);
        format!("{} ({why})", attempt.name())
    });
    let attempts = attempts.collect::<Vec<_>>().join(", ");
    format!("no AWS credentials were found; tried {attempts}; {WHAT_TO_DO}")
}

/// The error below all that only say that there is one; and whether a profile has named its provider.
fn innermost<'a>(mut error: &'a (dyn StdError + 'static)) -> (bool, &'a (dyn StdError + 'static)) {
    let mut is_named = false;
    while let Some(source) = error.downcast_ref::<CredentialsError>().and_then(StdError::source) {
        (is_named, error) = (true, source);
    }
    (is_named, error)
}

/// Of an answer its status, and the code and message of STS: nothing else of it.
pub(super) fn words<'a>(error: &'a (dyn StdError + 'static)) -> Option<Words<'a>> {
    if let Some(ImdsError::ErrorResponse(context)) = error.downcast_ref() {
        return Some((format!("it has answered {}", context.response().status().as_u16()), None));
    }
    if let Some(SdkError::ServiceError(context)) = error.downcast_ref::<SdkError<TokenError, HttpResponse>>() {
        return Some((format!("it has answered {}: {}", context.raw().status().as_u16(), context.err()), None));
    }
    if let Some(error) = error.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
        return Some(of_sts(error));
    }
    error.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>().map(of_sts)
}

fn of_sts<E: ProvideErrorMetadata + StdError + 'static>(error: &SdkError<E, HttpResponse>) -> Words<'_> {
    let SdkError::ServiceError(context) = error else {
        let what = match error {
            SdkError::TimeoutError(_) => "STS has not answered in time",
            SdkError::ResponseError(_) => "STS has not answered in full",
            _ => "STS could not be asked",
        };
        return (what.to_owned(), error.source());
    };
    let (status, error) = (context.raw().status().as_u16(), context.err());
    if let Some(code) = error.code() {
        let message = error.message().map_or_else(String::new, |message| format!(": {message}"));
        return (format!("STS has refused ({status} {code}){message}"), None);
    }
    let Some(source) = error.source() else { return (format!("STS has answered {status}, and no reason"), None) };
    if let Some(meta) = source.downcast_ref::<ErrorMetadata>() {
        let reason = meta.message().map_or_else(|| ", and no reason".to_owned(), |message| format!(": {message}"));
        return (format!("STS has answered {status}{reason}"), None);
    }
    let text = source.to_string();
    if text.contains("sts#dateType") {
        return (format!("STS has answered {status}, but its Expiration is not a date"), None);
    }
    // What was found there instead is not ours to show.
    let text = [" got ", ", found"].iter().fold(&*text, |text, end| text.split(end).next().unwrap_or_default());
    (format!("STS has answered {status}, but not with credentials: {text}"), source.source())
}

/// The SDK's error says that a file cannot be read, and keeps to itself which.
fn unreadable_token() -> Option<&'static str> {
    TOKEN_FILES.into_iter().find(|name| env::var_os(name).is_some_and(|path| File::open(path).is_err()))
}

/// The SDK's error says that a profile file cannot be parsed, and keeps to itself which, and where.
fn unreadable_profile() -> Option<String> {
    let (files, env, paths) = (Fs::real(), Env::real(), Default::default());
    // It reads without waiting. Would it wait one day, the line is missing from the text, and that is all.
    match pin!(aws_config::profile::load(&files, &env, &paths, None)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => error.source().map(|error| one_line(&error.to_string())), // it quotes nothing
        Poll::Ready(Ok(_)) | Poll::Pending => None,
    }
}

const WHAT_TO_DO: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with AWS_PROFILE, or run where a role is attached";
const ENDPOINTS: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
const TOKEN_FILES: [&str; 2] = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];

// The beginnings of what the SDK says only there.
const OF_AN_ENDPOINT: &[&str] = &[
    "Non-success status from HTTP credential provider",
    "failed to load credentials [",
    "the auth token could not be used",
];
const OF_THE_SERVICE: &[&str] = &["Error retrieving credentials from IMDS", "Incorrect IMDS/IAM configuration"];
const OF_JSON: &[&str] = &[
    "Expected field `",
    "Invalid field in response",
    "credential expiration time",
    "expected object key",
    "found more JSON tokens",
    "invalid JSON in response",
];
const UNREADABLE: &str = "could not parse profile file";
