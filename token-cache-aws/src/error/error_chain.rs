//! [`error_chain`]: an error and its sources on one line.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;

use super::redact::redact;
#[cfg(feature = "chain")]
use super::service;

/// Joins the `Display` of an error and of its sources, redacted. Never uses `Debug`: that of the SDK's errors
/// contains whole responses.
pub(super) fn error_chain(error: &(dyn StdError + 'static)) -> String {
    redact(&unredacted(error))
}

/// The same with all that the errors say.
pub(super) fn unredacted(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let (link, source) = link(error);
        append(&mut text, &link);
        if error.source().is_none() {
            append_causes(&mut text, error);
        }
        next = source;
    }
    text
}

/// Some errors of the SDK have a `cause` and no source: why a token of SSO could not be read or stored.
#[expect(deprecated, reason = "the SDK implements it")]
fn append_causes(text: &mut String, error: &dyn StdError) {
    let mut next = error.cause();
    while let Some(cause) = next {
        append(text, &cause.to_string());
        next = cause.cause();
    }
}

fn append(text: &mut String, link: &str) {
    // Many errors end with the text of their source.
    if !text.ends_with(link) {
        *text += if text.is_empty() { "" } else { ": " };
        *text += link;
    }
}

/// The text of one error, and the error to continue with.
pub(super) type Link<'a> = (String, Option<&'a (dyn StdError + 'static)>);

fn link<'a>(error: &'a (dyn StdError + 'static)) -> Link<'a> {
    #[cfg(feature = "chain")]
    if let Some(link) = service::link(error) {
        return link;
    }
    use CredentialsError::{InvalidConfiguration, ProviderError, Unhandled};
    let text = match error.downcast_ref() {
        // These only say that there is an error, such as "an error occurred while loading credentials".
        Some(InvalidConfiguration(_) | ProviderError(_) | Unhandled(_)) => String::new(),
        _ => error.to_string(),
    };
    (text, error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct TestError(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn repeated_text_of_a_source_appears_once() {
        let innermost = TestError("it is down", None);
        let middle = TestError("no connection: it is down", Some(Box::new(innermost)));
        let error = TestError("no response", Some(Box::new(middle)));
        assert_eq!(error_chain(&error), "no response: no connection: it is down");
    }
}
