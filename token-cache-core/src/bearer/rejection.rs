//! Which responses reject the token of their request.

use http::{HeaderMap, StatusCode, header, response};

/// Decides whether a response rejects the token of its request.
pub(super) type Predicate = dyn Fn(&response::Parts) -> bool + Send + Sync;

/// The rule for a service that rejects tokens with one of `statuses`, or with the gRPC status `UNAUTHENTICATED`.
pub(super) fn by_status(statuses: Vec<StatusCode>) -> impl Fn(&response::Parts) -> bool {
    move |response| {
        (statuses.contains(&response.status) || is_unauthenticated(&response.headers))
            && !has_other_reason(&response.headers)
    }
}

/// In a trailers-only response, gRPC sends its status as a header and the HTTP status is 200:
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses>.
fn is_unauthenticated(headers: &HeaderMap) -> bool {
    const UNAUTHENTICATED: &str = "16";
    headers.get("grpc-status").is_some_and(|status| status == UNAUTHENTICATED)
}

/// Whether a challenge names a reason that another token of the same source has too.
fn has_other_reason(headers: &HeaderMap) -> bool {
    let mut parameters =
        headers.get_all(header::WWW_AUTHENTICATE).iter().flat_map(|value| parameters(value.as_bytes()));
    parameters.any(|(name, value)| {
        name.eq_ignore_ascii_case(b"error") && OTHER_REASONS.iter().any(|reason| reason.as_bytes() == value)
    })
}

/// The names and values of the parameters of all challenges in one header
/// ([RFC 9110, section 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).
///
/// Values are without quotes. Escapes remain, because no error code contains one.
fn parameters(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let (mut quoted, mut escaped) = (false, false);
    let items = header.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    items.filter_map(|item| {
        let equals = item.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (item[..equals].trim_ascii(), item[equals + 1..].trim_ascii());
        // The first parameter of a challenge follows its scheme.
        let name = name.rsplit(u8::is_ascii_whitespace).next()?;
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some((name, unquoted.unwrap_or(value)))
    })
}

/// Error codes that do not mean the token is invalid: those of
/// [RFC 6750, section 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1), without `invalid_token`, and of
/// [RFC 9470, section 3](https://www.rfc-editor.org/rfc/rfc9470#section-3).
const OTHER_REASONS: [&str; 3] = ["invalid_request", "insufficient_scope", "insufficient_user_authentication"];
