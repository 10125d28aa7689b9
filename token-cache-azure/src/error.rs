//! [`AzureError`]: why the credential returned no token, and what that means for the cache.

use std::error::Error as StdError;
use std::fmt;
use std::iter;
use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, Headers, RETRY_AFTER, RETRY_AFTER_MS, X_MS_RETRY_AFTER_MS};
use azure_core::http::{RawResponse, StatusCode};
use azure_core::time::{OffsetDateTime, parse_rfc7231};
use token_cache_core::{BoxError, Clock, SystemClock, permanent, retry_after};

/// An error of a credential. Its own texts can contain the body of an answer, so neither `Display` nor `Debug` shows them. They
/// show the status, and the numbers of Entra ID's error codes
/// (<https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>).
#[derive(thiserror::Error)]
pub struct AzureError(azure_core::Error);

impl AzureError {
    /// The status of the answer of Entra ID or of the metadata server, if there was one.
    ///
    /// ```
    /// # use std::error::Error;
    /// # use token_cache_azure::AzureError;
    /// # use token_cache_core::TokenCache;
    /// # async fn example(cache: TokenCache<String>) -> Result<(), Box<dyn std::error::Error>> {
    /// let error = cache.get().await.unwrap_err();
    /// let reason: Option<&AzureError> = error.source().and_then(|source| source.downcast_ref());
    /// let status = reason.and_then(AzureError::status);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.answers().find_map(azure_core::Error::http_status)
    }

    /// All texts of the credential. They may contain secrets, so do not log them where secrets must not be.
    ///
    /// ```
    /// # use std::error::Error;
    /// # use token_cache_azure::AzureError;
    /// # use token_cache_core::TokenCache;
    /// # async fn example(cache: TokenCache<String>) -> Result<(), Box<dyn std::error::Error>> {
    /// let error = cache.get().await.unwrap_err();
    /// let reason: Option<&AzureError> = error.source().and_then(|source| source.downcast_ref());
    /// let text = reason.map(AzureError::expose_unredacted); // for the person at the terminal
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expose_unredacted(&self) -> String {
        chain(&self.0).map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    /// The numbers of `AADSTS` codes. Text in their place is not shown.
    fn codes(&self) -> Option<&str> {
        let code = self.answers().find_map(|error| match error.kind() {
            ErrorKind::HttpResponse { error_code, .. } => error_code.as_deref(),
            _ => None,
        });
        code.filter(|code| code.bytes().all(|byte| byte.is_ascii_digit() || byte == b','))
    }

    fn response(&self) -> Option<&RawResponse> {
        self.answers().find_map(|error| match error.kind() {
            ErrorKind::HttpResponse { raw_response, .. } => raw_response.as_deref(),
            _ => None,
        })
    }

    fn answers(&self) -> impl Iterator<Item = &azure_core::Error> {
        chain(&self.0).filter_map(|error| error.downcast_ref())
    }

    /// Status 400 and 401 mean a wrong configuration, such as an expired secret or an unknown tenant or identity, unless the
    /// error code of OAuth 2.0 says that it is the issuer's trouble.
    fn is_permanent(&self) -> bool {
        let body = self.response().and_then(|response| serde_json::from_slice(response.body()).ok());
        let code = body.as_ref().and_then(|body: &serde_json::Value| body.get("error")?.as_str());
        matches!(self.status(), Some(StatusCode::BadRequest | StatusCode::Unauthorized))
            && !matches!(code, Some("temporarily_unavailable" | "server_error" | "slow_down" | "request_timeout"))
    }
}

pub(crate) fn classify(error: azure_core::Error) -> BoxError {
    let error = AzureError(error);
    let now = SystemClock::new().now().wall().into();
    let delay = error.response().and_then(|response| retry_delay(response.headers(), now));
    let is_permanent = error.is_permanent();
    let error = match delay {
        Some(delay) => retry_after(error, delay),
        None => error.into(),
    };
    if is_permanent { permanent(error) } else { error }
}

fn retry_delay(headers: &Headers, now: OffsetDateTime) -> Option<Duration> {
    let number = |name: &HeaderName| headers.get_optional_str(name)?.trim().parse().ok();
    let milliseconds = number(&X_MS_RETRY_AFTER_MS).or_else(|| number(&RETRY_AFTER_MS)).map(Duration::from_millis);
    let date = || Some(parse_rfc7231(headers.get_optional_str(&RETRY_AFTER)?.trim()).ok()? - now);
    milliseconds
        .or_else(|| number(&RETRY_AFTER).map(Duration::from_secs))
        .or_else(|| Some(Duration::try_from(date()?).unwrap_or_default()))
}

fn chain(error: &azure_core::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    iter::successors(Some(error as &(dyn StdError + 'static)), |&error| error.source())
}

impl fmt::Display for AzureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status(), self.codes(), self.0.kind()) {
            (Some(status), Some(codes), _) => {
                write!(f, "the credential was refused with status {status} (AADSTS{codes})")
            }
            (Some(status), None, _) => write!(f, "the credential was refused with status {status}"),
            (None, _, ErrorKind::Connection | ErrorKind::Io) => {
                f.write_str("the credential's issuer cannot be reached")
            }
            (None, _, _) => {
                f.write_str("the credential returned no token; AzureError::expose_unredacted has the reason")
            }
        }
    }
}

impl fmt::Debug for AzureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AzureError({:?})", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_retry_header_is_read() {
        let now = parse_rfc7231("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        for (name, value, expected) in [
            ("retry-after", "120", Some(120_000)),
            ("retry-after", "Wed, 21 Oct 2015 07:29:00 GMT", Some(60_000)),
            ("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("retry-after-ms", "1500", Some(1500)),
            ("x-ms-retry-after-ms", "1500", Some(1500)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("date", "120", None),
        ] {
            let mut headers = Headers::new();
            headers.insert(name, value);
            assert_eq!(retry_delay(&headers, now), expected.map(Duration::from_millis), "{name}: {value}");
        }
    }
}
