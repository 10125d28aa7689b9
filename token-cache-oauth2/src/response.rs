//! [`request_token`]: sends a request for a token, and reads the answer of [RFC 6749, section
//! 5](https://www.rfc-editor.org/rfc/rfc6749#section-5).

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use token_cache_core::{BoxError, Clock, SystemClock, TemporaryToken, permanent, retry_after};

use crate::error::FetchError;
use crate::token::AccessToken;

/// A successful answer of a token endpoint. `Debug` shows no token.
#[non_exhaustive]
pub struct TokenResponse {
    /// The access token, with its lifetime. Without `expires_in` it never expires: the cache keeps it until it is invalidated.
    pub token: TemporaryToken<AccessToken>,
    /// Whether the issuer stated a lifetime.
    pub has_lifetime: bool,
    /// The next refresh token, if the issuer returned one.
    pub refresh_token: Option<String>,
}

impl TokenResponse {
    /// The token, which lives for `lifetime` if the issuer stated none.
    pub(crate) fn or_lifetime(self, lifetime: Option<Duration>) -> TemporaryToken<AccessToken> {
        match lifetime.filter(|_| !self.has_lifetime) {
            Some(lifetime) => TemporaryToken::expires_in(self.token.value().clone(), lifetime),
            None => self.token,
        }
    }
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Sends a request whose answer is a token in the format of OAuth 2.0, for sources of your own with other grants.
///
/// # Errors
///
/// A [`FetchError`]. It is marked as [`permanent`] if the error code says that the client, its secret or its login is wrong, and
/// with [`retry_after`] if the answer has such a header.
///
/// ```no_run
/// # use token_cache_oauth2::request_token;
/// # async fn example(http: reqwest::Client) -> Result<(), token_cache_core::BoxError> {
/// let request = http.post("https://login.example.com/token").body("grant_type=urn:ietf:params:oauth:grant-type:device_code");
/// let response = request_token(request).await?;
/// # Ok(())
/// # }
/// ```
pub async fn request_token(request: RequestBuilder) -> Result<TokenResponse, BoxError> {
    let mut response = request.send().await.map_err(FetchError::request)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(FetchError::request)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(mark(FetchError::malformed(status, "its body is larger than 1 MiB"), &headers));
        }
        body.extend_from_slice(&chunk);
    }
    let body: Option<Body> = serde_json::from_slice(&body).ok();
    let code = body.as_ref().and_then(|body| body.error.as_deref());
    // Some issuers report errors with status 200.
    if !status.is_success() || code.is_some() {
        return Err(refusal(status, &headers, body));
    }
    let Some(body) = body else {
        return Err(mark(FetchError::malformed(status, "its body is not a JSON object of OAuth 2.0"), &headers));
    };
    parse(body).map_err(|problem| mark(FetchError::malformed(status, problem), &headers))
}

#[derive(Deserialize)]
struct Body {
    access_token: Option<String>,
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Value,
    refresh_token: Option<String>,
    #[serde(default, deserialize_with = "text")]
    error: Option<String>,
    #[serde(default, deserialize_with = "text")]
    error_description: Option<String>,
}

/// Google's APIs have objects where OAuth 2.0 has text.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

fn parse(body: Body) -> Result<TokenResponse, &'static str> {
    let token = body.access_token.ok_or("it has no access_token")?;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its access_token is empty or cannot be sent in a header");
    }
    if body.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("its token_type is not Bearer");
    }
    let token = AccessToken::new(token);
    let lifetime = lifetime(&body.expires_in)?;
    Ok(TokenResponse {
        has_lifetime: lifetime.is_some(),
        token: match lifetime {
            Some(lifetime) => TemporaryToken::expires_in(token, lifetime),
            None => TemporaryToken::never_expires(token),
        },
        refresh_token: body.refresh_token.filter(|token| !token.is_empty()),
    })
}

/// Seconds. Issuers also send text and fractions. A time in the past is zero, and the cache reports an expired token.
fn lifetime(expires_in: &Value) -> Result<Option<Duration>, &'static str> {
    let seconds = match expires_in {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| !seconds.is_nan()).ok_or("its expires_in is not a number of seconds")?;
    Ok(Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(MAX_LIFETIME).min(MAX_LIFETIME)))
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: Option<Body>) -> BoxError {
    let (error, description) = body.map(|body| (body.error, body.error_description)).unwrap_or_default();
    let code = error.as_deref().and_then(|error| CODES.iter().find(|&&code| code == error).copied());
    let unredacted = [error, description].into_iter().flatten().reduce(|error, more| format!("{error}: {more}"));
    // An issuer in trouble may give any code.
    let in_trouble = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    let is_permanent = !in_trouble && code.is_some_and(|code| PERMANENT.contains(&code));
    let error = mark(FetchError::refused(status, code, unredacted), headers);
    if is_permanent { permanent(error) } else { error }
}

fn mark(error: FetchError, headers: &HeaderMap) -> BoxError {
    match retry_delay(headers, SystemClock::new().now().wall()) {
        Some(delay) => retry_after(error, delay),
        None => error.into(),
    }
}

/// `Retry-After`: seconds, or a date ([RFC 9110, section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)), which is
/// compared with the issuer's own clock if the answer has its time.
fn retry_delay(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let stated = value(RETRY_AFTER)?;
    if !stated.is_empty() && stated.bytes().all(|byte| byte.is_ascii_digit()) {
        // The only error is a number that is too large.
        return Some(Duration::from_secs(stated.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(stated).ok()?;
    let now = value(DATE).and_then(|now| httpdate::parse_http_date(now).ok()).unwrap_or(now);
    Some(date.duration_since(now).unwrap_or_default())
}

/// The codes of [RFC 6749, section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2) that say what to correct.
const PERMANENT: [&str; 5] =
    ["invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"];

/// Registered codes: <https://www.iana.org/assignments/oauth-parameters/oauth-parameters.xhtml#extensions-error>. Others could
/// be a secret that the issuer repeats.
const CODES: [&str; 18] = [
    "access_denied",
    "authorization_pending",
    "consent_required",
    "expired_token",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "login_required",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_token_type",
];

const MAX_BODY: usize = 1024 * 1024;

/// 100 years.
const MAX_LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn expires_in_is_read_in_every_form() {
        let seconds = |value| lifetime(&value).map(|lifetime| lifetime.map(|lifetime| lifetime.as_secs_f64()));
        for (value, expected) in [
            (json!(3600), Some(3600.0)),
            (json!("3600"), Some(3600.0)),
            (json!(" 3600 "), Some(3600.0)),
            (json!(3599.5), Some(3599.5)),
            (json!("3599.5"), Some(3599.5)),
            (json!(3.6e3), Some(3600.0)),
            (Value::Null, None),
            (json!(0), Some(0.0)),
            (json!(-1), Some(0.0)),
            (json!("-1"), Some(0.0)),
            (json!(u64::MAX), Some(MAX_LIFETIME.as_secs_f64())),
            (json!(1e300), Some(MAX_LIFETIME.as_secs_f64())),
            (json!("99999999999999999999999999"), Some(MAX_LIFETIME.as_secs_f64())),
        ] {
            assert_eq!(seconds(value.clone()), Ok(expected), "{value}");
        }
        for value in [json!(""), json!("soon"), json!("NaN"), json!(true), json!([3600]), json!({})] {
            assert!(seconds(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        for (stated, date, expected) in [
            ("120", None, Some(120)),
            ("0", None, Some(0)),
            ("99999999999999999999999999", None, Some(u64::MAX)),
            ("Wed, 21 Oct 2015 07:29:00 GMT", None, Some(60)),
            ("Wed, 21 Oct 2015 07:29:00 GMT", Some("Wed, 21 Oct 2015 07:28:50 GMT"), Some(10)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", None, Some(0)),
            ("-1", None, None),
            ("1.5", None, None),
            ("", None, None),
            ("soon", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(stated));
            headers.extend(date.map(|date| (DATE, HeaderValue::from_static(date))));
            assert_eq!(retry_delay(&headers, now), expected.map(Duration::from_secs), "{stated}");
        }
    }
}
