//! Checks that the default chain does not use another identity than the configured one.
//!
//! The chain takes "not loaded" for "not configured" and tries its next provider. A key without its secret, a profile
//! that does not exist, or a role without its token file would therefore end as the role of the machine.

use std::borrow::Cow;
use std::env;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::error::CredentialsError;
use aws_types::os_shim_internal::{Env, Fs};

/// Whether the credentials come from the machine or the container, and no profile selects that source.
pub(super) fn is_ambient(credentials: &Credentials) -> bool {
    let features = credentials.get_property::<Vec<Feature>>().map(Vec::as_slice).unwrap_or_default();
    let from_profile = features.contains(&Feature::CredentialsProfile);
    !from_profile
        && features.iter().any(|feature| matches!(feature, Feature::CredentialsImds | Feature::CredentialsHttp))
}

/// Fails if only one of two variables is set that require each other.
pub(super) fn require_both(first: &'static str, second: &'static str) -> Result<(), CredentialsError> {
    let (set, unset) = match (is_set(first), is_set(second)) {
        (true, false) => (first, second),
        (false, true) => (second, first),
        _ => return Ok(()),
    };
    Err(CredentialsError::invalid_configuration(format!(
        "the environment sets {set} but not {unset}; set both or neither, so that no other identity is used instead"
    )))
}

/// Fails if `AWS_PROFILE` names a profile that no file defines.
pub(super) async fn require_profile() -> Result<(), CredentialsError> {
    let Some(name) = env::var("AWS_PROFILE").ok().filter(|name| !name.trim().is_empty()) else { return Ok(()) };
    let selected = Some(Cow::Owned(name.clone()));
    match aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), selected).await {
        Ok(profiles) if profiles.get_profile(&name).is_none() => Err(CredentialsError::invalid_configuration(format!(
            "AWS_PROFILE names the profile \"{name}\", which is neither in ~/.aws/config nor in ~/.aws/credentials \
             (nor in the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name)"
        ))),
        _ => Ok(()),
    }
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}
