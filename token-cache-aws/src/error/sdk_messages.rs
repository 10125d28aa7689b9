//! [`SdkMessage`]: what the SDK states only in the text of an error.
//!
//! Errors with a public type are matched by type. The errors below have private types or are plain strings, so their
//! text is the only way to recognize them. The tests run the SDK and fail if it changes a text.
//!
//! The texts are those of aws-config 1.13.0, aws-runtime 1.10.2, aws-sdk-sts 1.124.0, aws-smithy-types 1.9.3 and
//! aws-smithy-xml 0.64.1.

#[cfg(all(test, unix, feature = "https", feature = "process", feature = "sso"))]
mod tests;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SdkMessage {
    /// A response of the container's endpoint.
    Container,
    /// An error code of the instance metadata service.
    InstanceMetadata,
    /// Malformed JSON, from the container's endpoint or the instance metadata service.
    Json,
    /// The same, where the expiration is not a date.
    JsonExpiration,
    /// A `credential_process`.
    Process,
    /// A profile file that cannot be parsed.
    ProfileFile,
    /// A missing or malformed file in `~/.aws/sso/cache`.
    SsoTokenCache,
    /// A file there that cannot be written after a refresh.
    SsoTokenCacheWrite,
    /// A malformed date in a response of STS.
    StsExpiration,
}

impl SdkMessage {
    pub(super) fn is_in(self, text: &str) -> bool {
        TABLE.iter().any(|(message, part)| *message == self && part.is_in(text))
    }
}

/// Removes the start of a [`SdkMessage::Process`] that only says that the process failed.
pub(super) fn without_process_preamble(text: &str) -> &str {
    text.strip_prefix(PROCESS_PREAMBLE).unwrap_or(text)
}

/// Removes what the XML decoder quotes from a response, because it may be a part of a secret.
pub(super) fn without_quote(text: &str) -> &str {
    if text.starts_with(XML_ESCAPE) {
        return XML_ESCAPE;
    }
    XML_QUOTES.iter().fold(text, |text, quote| text.split(quote).next().unwrap_or_default())
}

#[derive(Debug)]
enum Part {
    Start(&'static str),
    Anywhere(&'static str),
}

impl Part {
    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Start(part) => text.starts_with(part),
            Self::Anywhere(part) => text.contains(part),
        }
    }
}

const TABLE: [(SdkMessage, Part); 16] = [
    (SdkMessage::Container, Part::Start("Non-success status from HTTP credential provider: ")),
    (SdkMessage::Container, Part::Start("failed to load credentials [")),
    (SdkMessage::InstanceMetadata, Part::Start("Error retrieving credentials from IMDS: ")),
    (SdkMessage::InstanceMetadata, Part::Start("Incorrect IMDS/IAM configuration: ")),
    (SdkMessage::Json, Part::Start("Expected field `")),
    (SdkMessage::Json, Part::Start("Invalid field in response: `")),
    (SdkMessage::Json, Part::Start("found more JSON tokens")),
    (SdkMessage::Json, Part::Start("invalid JSON in response: ")),
    (SdkMessage::JsonExpiration, Part::Start("Invalid field in response: `Expiration`. invalid date-time")),
    (SdkMessage::Process, Part::Start("Error retrieving credentials: external process ")),
    (SdkMessage::Process, Part::Start("Error retrieving credentials from external process")),
    (
        SdkMessage::ProfileFile,
        Part::Start("ProfileFile provider could not be built: invalid profile: could not parse profile file"),
    ),
    (SdkMessage::SsoTokenCache, Part::Anywhere(".aws/sso/cache")),
    (SdkMessage::SsoTokenCache, Part::Anywhere("cached SSO token file")),
    (SdkMessage::SsoTokenCacheWrite, Part::Anywhere("failed to write `")),
    (SdkMessage::StsExpiration, Part::Start("error parsing XML: expected (timestamp: `com.amazonaws.sts#dateType`)")),
];

const PROCESS_PREAMBLE: &str = "Error retrieving credentials: ";
const XML_ESCAPE: &str = "invalid XML escape";
const XML_QUOTES: [&str; 2] = [" got ", ", found: "];
