//! [`told`]: what the SDK's errors say, and who says it, in words a user can act on.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;

#[cfg(feature = "chain")]
use super::chain;
use super::mask::fit_to_show;

/// Who has no credentials, and why.
pub(super) fn told(error: &CredentialsError) -> String {
    #[cfg(feature = "chain")]
    if let Some(told) = chain::told(error) {
        return told;
    }
    format!("AWS credentials could not be loaded: {}", why(error))
}

/// An error and its sources on one line. Of each only the `Display`: the `Debug` of the SDK's shows whole responses.
pub(super) fn why(error: &(dyn StdError + 'static)) -> String {
    let mut why = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let (words, below) = words(error);
        // Many repeat what their source says.
        if !why.ends_with(&words) {
            why += if why.is_empty() { "" } else { ": " };
            why += &words;
        }
        next = below;
    }
    fit_to_show(&why)
}

/// An error's own words, and the error to ask next.
pub(super) type Words<'a> = (String, Option<&'a (dyn StdError + 'static)>);

fn words<'a>(error: &'a (dyn StdError + 'static)) -> Words<'a> {
    #[cfg(feature = "chain")]
    if let Some(words) = chain::words(error) {
        return words;
    }
    use CredentialsError::{InvalidConfiguration, ProviderError, Unhandled};
    let words = match error.downcast_ref() {
        // "An error occurred while loading credentials": that much has been said.
        Some(InvalidConfiguration(_) | ProviderError(_) | Unhandled(_)) => String::new(),
        _ => error.to_string(),
    };
    (words, error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Says(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn what_the_source_says_again_is_said_once() {
        let below = Says("it is down", None);
        let error = Says("no answer", Some(Box::new(Says("no luck: it is down", Some(Box::new(below))))));
        assert_eq!(why(&error), "no answer: no luck: it is down");
    }

    #[test]
    fn that_there_was_an_error_is_not_said() {
        let error = CredentialsError::provider_error(CredentialsError::unhandled(Says("it is down", None)));
        assert_eq!(told(&error), "AWS credentials could not be loaded: it is down");
        let error = CredentialsError::not_loaded(Says("it is not set", None));
        assert_eq!(
            told(&error),
            "AWS credentials could not be loaded: the credential provider was not enabled: it is not set"
        );
    }
}
