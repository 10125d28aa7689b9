//! [`describe`]: which provider of the SDK failed, why, and what to do about it.

use std::env;
use std::error::Error as StdError;
use std::fs::File;
use std::io;
use std::str::Utf8Error;

use aws_config::imds::client::error::ImdsError;
use aws_config::meta::ProviderChainError;
use aws_credential_types::provider::error::{CredentialsError, TokenError};
#[cfg(feature = "sso")]
use aws_sdk_sso::operation::get_role_credentials::GetRoleCredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use http::header::InvalidHeaderValue;

use super::describe::describe_any;
use super::error_chain::{error_chain, unredacted};
use super::profile_file;
use super::redact::{plain_line, redact};
use super::sdk_messages::{SdkMessage, without_process_preamble};
use super::{ChainHints, NoCredentials};
use crate::chain::files::FileError;

/// The message for an error of the default chain or of a profile.
pub(super) fn describe(error: &CredentialsError, hints: &ChainHints) -> String {
    let mut description = describe_known(error, hints).unwrap_or_else(|| describe_any(error));
    if let Some(host) = hints.exchange.unanswered() {
        description += &format!("; there was no response from {}", plain_line(&host));
    }
    if let Some(name) = &hints.with_mfa
        && description.contains("AccessDenied")
    {
        let name = plain_line(name);
        description += &format!(
            "; the profile \"{name}\" names an MFA device (mfa_serial), and the SDK asks for no code: assume the role in code \
             with `AssumeRole::mfa`, or use a session of `aws sts get-session-token`"
        );
    }
    description
}

/// Whether a token of SSO was refreshed and could not be stored. Each further try would refresh it once more.
pub(crate) fn is_sso_cache_write(error: &CredentialsError) -> bool {
    error.source().is_some_and(|source| SdkMessage::SsoTokenCacheWrite.is_in(&unredacted(source)))
}

/// `None`: the provider is not known.
pub(super) fn describe_known(error: &CredentialsError, hints: &ChainHints) -> Option<String> {
    let source = error.source()?;
    if let Some(chain) = source.downcast_ref() {
        return Some(describe_chain(chain));
    }
    if let Some(NoCredentials(reason)) = source.downcast_ref() {
        let reason = error_chain(&**reason);
        return Some(format!(
            "no AWS credentials were found; tried Environment (not set), Profile (not set), WebIdentityToken (not set), \
             EcsContainer (not set), Ec2InstanceMetadata ({reason}); {CONFIGURE}"
        ));
    }
    if let Some(error) = source.downcast_ref::<FileError>() {
        return Some(format!("{NOT_LOADED}: {}", plain_line(&error.to_string())));
    }
    let (is_in_profile, cause) = unwrap_credentials_errors(source);
    let mut reason = error_chain(cause);
    if SdkMessage::JsonExpiration.is_in(&cause.to_string()) {
        reason += "; the expected format is 2026-11-24T10:00:00Z";
    }
    Some(match identify(cause)? {
        Provider::Container { variable } => {
            let named = variable.map_or_else(String::new, |name| format!(", which {name} names,"));
            let said = hints.exchange.refusal().and_then(|body| said(&body));
            let said = said.map_or_else(String::new, |text| format!(": {text}"));
            format!("the container's endpoint{named} has failed: {reason}{said}")
        }
        Provider::InstanceMetadata if is_in_profile => {
            format!("the instance metadata service, which the profile names, has failed: {reason}")
        }
        Provider::InstanceMetadata => {
            let hint = if reason.contains("timeout") { HOP_LIMIT } else { "" };
            format!(
                "the instance metadata service, which is used if nothing else is configured, has failed: {reason}; \
                 {hint}{CONFIGURE}, or set AWS_EC2_METADATA_DISABLED=true"
            )
        }
        Provider::Process => {
            let hint = if reason.contains(NOT_STARTED) && reason.contains("os error 2") { NO_SHELL } else { "" };
            format!("the credential_process has failed: {}{hint}", without_process_preamble(&reason))
        }
        Provider::ProfileFile => format!("{NOT_LOADED}: {reason}: {}", profile_file::parse_error()?),
        Provider::SsoCacheWrite => format!(
            "{NOT_LOADED}: the refreshed token of SSO could not be stored in ~/.aws/sso/cache; make that folder and its files \
             writable, then run `aws sso login{}`: {reason}",
            of_profile(hints)
        ),
        Provider::Sso => {
            format!("{NOT_LOADED}: {reason}; run `aws sso login{}`", of_profile(hints))
        }
        Provider::TokenFile => {
            let source = unreadable_token_file().or_else(|| is_in_profile.then_some("the profile"))?;
            format!("{NOT_LOADED}: {reason}; {source} names the file")
        }
    })
}

/// A name as it is typed in a shell.
fn shell_word(name: &str) -> String {
    let name = plain_line(name);
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@/".contains(c));
    if is_plain { name } else { format!("'{name}'") }
}

/// A chain fails with this error if none of its providers is configured.
fn describe_chain(chain: &ProviderChainError<CredentialsError>) -> String {
    let attempts = chain.attempts().iter().map(|attempt| {
        // The error itself only says "not enabled", for each provider.
        let reason = attempt.error().source().map_or_else(|| "not set".to_owned(), error_chain);
        format!("{} ({reason})", attempt.name())
    });
    let attempts = attempts.collect::<Vec<_>>().join(", ");
    format!("no AWS credentials were found; tried {attempts}; {CONFIGURE}")
}

/// What the agent of a container says in the body of an error, such as that of EKS Pod Identity. Not a page of a proxy.
fn said(body: &str) -> Option<String> {
    let text = body.trim();
    if text.is_empty() || text.starts_with('<') {
        return None;
    }
    let mut text = redact(text);
    if text.len() > MAX_SAID {
        text.truncate(text.floor_char_boundary(MAX_SAID));
        text += " [...]";
    }
    Some(text)
}

fn of_profile(hints: &ChainHints) -> String {
    hints.profile.as_deref().map_or_else(String::new, |name| format!(" --profile {}", shell_word(name)))
}

enum Provider {
    Container {
        /// The variable that sets the endpoint.
        variable: Option<&'static str>,
    },
    InstanceMetadata,
    Process,
    /// A profile file cannot be parsed.
    ProfileFile,
    /// The token that `aws sso login` stores is missing or no longer valid.
    Sso,
    /// The SDK has refreshed that token, and cannot store the new one.
    SsoCacheWrite,
    /// A file with a token for STS or a container's endpoint cannot be read.
    TokenFile,
}

/// Identifies the provider by the type of its error, or else by its message.
fn identify(cause: &(dyn StdError + 'static)) -> Option<Provider> {
    let text = cause.to_string();
    let is_in_text = |message: SdkMessage| message.is_in(&text);
    // The container's endpoint and the instance metadata service return the same JSON. The chain uses the metadata
    // service only if no endpoint is set.
    let variable = ENDPOINT_VARIABLES.into_iter().find(|name| env::var_os(name).is_some_and(|uri| !uri.is_empty()));
    let is_json = is_in_text(SdkMessage::Json);

    let is_container = cause.is::<SdkError<CredentialsError, HttpResponse>>()
        || cause.is::<Utf8Error>()
        || cause.source().is_some_and(|source| source.is::<InvalidHeaderValue>())
        || is_in_text(SdkMessage::Container);
    if is_container || is_json && variable.is_some() {
        Some(Provider::Container { variable })
    } else if cause.is::<ImdsError>() || is_in_text(SdkMessage::InstanceMetadata) || is_json {
        Some(Provider::InstanceMetadata)
    } else if is_in_text(SdkMessage::Process) {
        Some(Provider::Process)
    } else if cause.is::<io::Error>() {
        Some(Provider::TokenFile)
    } else if is_in_text(SdkMessage::ProfileFile) {
        Some(Provider::ProfileFile)
    } else if SdkMessage::SsoTokenCacheWrite.is_in(&unredacted(cause)) {
        Some(Provider::SsoCacheWrite)
    } else if cause.is::<TokenError>() || is_unauthorized_by_sso(cause) || is_in_text(SdkMessage::SsoTokenCache) {
        Some(Provider::Sso)
    } else {
        None
    }
}

#[cfg(feature = "sso")]
fn is_unauthorized_by_sso(cause: &(dyn StdError + 'static)) -> bool {
    let error = cause.downcast_ref::<SdkError<GetRoleCredentialsError, HttpResponse>>();
    error.and_then(SdkError::as_service_error).is_some_and(GetRoleCredentialsError::is_unauthorized_exception)
}

#[cfg(not(feature = "sso"))]
fn is_unauthorized_by_sso(_: &(dyn StdError + 'static)) -> bool {
    false
}

/// The error inside nested [`CredentialsError`]s, and whether there were any: a profile wraps the error of its
/// provider.
fn unwrap_credentials_errors<'a>(mut error: &'a (dyn StdError + 'static)) -> (bool, &'a (dyn StdError + 'static)) {
    let mut is_in_profile = false;
    while let Some(source) = error.downcast_ref::<CredentialsError>().and_then(StdError::source) {
        (is_in_profile, error) = (true, source);
    }
    (is_in_profile, error)
}

/// The variable that names a token file which cannot be read. The SDK's error does not name the file.
fn unreadable_token_file() -> Option<&'static str> {
    TOKEN_FILE_VARIABLES.into_iter().find(|name| env::var_os(name).is_some_and(|path| File::open(path).is_err()))
}

const MAX_SAID: usize = 300;
/// How the SDK's error starts if it could not start the shell.
const NOT_STARTED: &str = "Error retrieving credentials from external process";
const NO_SHELL: &str = "; it is started with the shell `sh` (`cmd.exe` on Windows), which must be in PATH";
const NOT_LOADED: &str = "AWS credentials could not be loaded";
const CONFIGURE: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with AWS_PROFILE, or run \
                         where a role is attached";
const HOP_LIMIT: &str = "in a container, the hop limit of the instance's metadata options must be 2 or more; ";
const ENDPOINT_VARIABLES: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
const TOKEN_FILE_VARIABLES: [&str; 2] = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
