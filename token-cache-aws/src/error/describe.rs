//! [`describe`]: the message for an error of any credentials provider.

use aws_credential_types::provider::error::CredentialsError;

use super::error_chain::error_chain;
#[cfg(feature = "chain")]
use super::{ChainHints, provider};

pub(super) fn describe(error: &CredentialsError) -> String {
    #[cfg(feature = "chain")]
    if let Some(description) = provider::describe_known(error, &ChainHints::default()) {
        return description;
    }
    describe_any(error)
}

/// The message if the provider is not known.
pub(super) fn describe_any(error: &CredentialsError) -> String {
    let reason = error_chain(error);
    let hint = missing_feature(&reason).map_or_else(String::new, |feature| {
        format!("; enable the feature `{feature}` of token-cache-aws, which enables that of the SDK")
    });
    format!("AWS credentials could not be loaded: {reason}{hint}")
}

/// The feature of this crate for the one of `aws-config` that a profile needs.
fn missing_feature(reason: &str) -> Option<&'static str> {
    let (_, feature) = reason.split_once("cargo feature(s) enabled: ")?;
    let features = [("credentials-login", "login"), ("credentials-process", "process"), ("sso", "sso")];
    features.into_iter().find_map(|(of_the_sdk, ours)| feature.starts_with(of_the_sdk).then_some(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_feature_is_the_one_of_this_crate() {
        let text = "This behavior requires following cargo feature(s) enabled: credentials-login. In order to load it";
        let description = describe(&CredentialsError::invalid_configuration(text));
        assert!(description.contains("enable the feature `login` of token-cache-aws"), "{description}");
    }

    #[test]
    fn wrappers_of_the_sdk_are_left_out() {
        let error = CredentialsError::provider_error(CredentialsError::unhandled("it is down"));
        assert_eq!(describe(&error), "AWS credentials could not be loaded: it is down");
        let error = CredentialsError::not_loaded("it is not set");
        assert_eq!(
            describe(&error),
            "AWS credentials could not be loaded: the credential provider was not enabled: it is not set"
        );
    }
}
