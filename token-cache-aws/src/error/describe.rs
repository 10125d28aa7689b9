//! [`describe`]: the message for an error of any credentials provider.

use aws_credential_types::provider::error::CredentialsError;

use super::error_chain::error_chain;
#[cfg(feature = "chain")]
use super::provider;

pub(super) fn describe(error: &CredentialsError) -> String {
    #[cfg(feature = "chain")]
    if let Some(description) = provider::describe(error) {
        return description;
    }
    format!("AWS credentials could not be loaded: {}", error_chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

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
