//! [`into_token_for`]: checks that issued credentials are complete, and gives each a time of its next refresh.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::error::CredentialsError;
use token_cache_core::{Clock, SystemClock, TemporaryToken};

/// [`into_token_for`] with the default maximal age.
#[cfg(feature = "chain")]
pub(crate) fn into_token(credentials: Credentials) -> Result<TemporaryToken<Credentials>, CredentialsError> {
    into_token_for(credentials, DEFAULT_MAX_AGE)
}

/// Fails for credentials with an empty part, so that they never replace good ones. The SDK returns an empty string
/// for a part that the issuer left out.
///
/// Credentials without an expiry are due for a refresh at `max_age`, by the clock of the machine, as a source does not know
/// the clock of its cache. They stay in use until there are others.
pub(crate) fn into_token_for(
    credentials: Credentials,
    max_age: Duration,
) -> Result<TemporaryToken<Credentials>, CredentialsError> {
    let parts = [
        ("access key id", Some(credentials.access_key_id())),
        ("secret access key", Some(credentials.secret_access_key())),
        ("session token", credentials.session_token()),
    ];
    if let Some((missing, _)) = parts.iter().find(|(_, value)| value.is_some_and(str::is_empty)) {
        let issuer = issuer(&credentials);
        return Err(CredentialsError::provider_error(format!(
            "the credentials of {issuer} came without the {missing}"
        )));
    }
    // The HTTP headers of a signed request contain these two, and clients panic at a line end.
    let sent = [("access key id", Some(credentials.access_key_id())), ("session token", credentials.session_token())];
    let malformed = sent.into_iter().find(|(_, value)| value.is_some_and(|value| !is_printable(value)));
    let has_line_end = credentials.secret_access_key().contains(char::is_control);
    if let Some(part) = malformed.map(|(part, _)| part).or_else(|| has_line_end.then_some("secret access key")) {
        let issuer = issuer(&credentials);
        return Err(CredentialsError::provider_error(format!(
            "the {part} of the credentials of {issuer} contains a character that no request can carry, such as a line \
             end; remove it"
        )));
    }
    Ok(match credentials.expiry() {
        Some(expires_at) => TemporaryToken::new(credentials, expires_at),
        None => match SystemClock::new().now().wall().checked_add(max_age) {
            Some(refresh_at) => TemporaryToken::never_expires(credentials).refresh_at(refresh_at),
            None => TemporaryToken::never_expires(credentials),
        },
    })
}

/// Whether a value consists of characters that an HTTP header can contain, without white space.
pub(crate) fn is_printable(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The issuer, by the features that the SDK records.
fn issuer(credentials: &Credentials) -> &'static str {
    let features = credentials.get_property::<Vec<Feature>>().map(Vec::as_slice).unwrap_or_default();
    let known = features.iter().find_map(|feature| {
        Some(match feature {
            Feature::CredentialsEnvVars => "the environment",
            Feature::CredentialsHttp => {
                "the container's endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI)"
            }
            Feature::CredentialsImds => "the instance metadata service",
            Feature::CredentialsProcess => "the credential_process",
            Feature::CredentialsSso => "SSO",
            Feature::CredentialsStsAssumeRole | Feature::CredentialsProfileStsWebIdToken => "STS",
            _ => return None,
        })
    });
    // The SDK records nothing for the role of a profile, but issued credentials expire.
    let is_issued = credentials.expiry().is_some();
    known.unwrap_or(if is_issued { "STS or another issuer" } else { "the profile or provider" })
}

/// The SDK's own cache keeps credentials without an expiry for as long.
pub(crate) const DEFAULT_MAX_AGE: Duration = Duration::from_secs(15 * 60);
