//! [`mask_named`]: values that their name announces as secrets.

use std::ops::Range;

use super::REDACTED;

/// Replaces the values that follow the name of a secret in one line, such as `password=`, `"SecretAccessKey":` and
/// `Authorization:`.
pub(super) fn mask_named(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(is_name_char) {
        let end = rest[start..].find(|c| !is_name_char(c)).map_or(rest.len(), |len| start + len);
        let (name, after) = (&rest[start..end], &rest[end..]);
        masked += &rest[..end];
        rest = after;
        if let Some(value) = secret_value(name, after) {
            masked += &after[..value.start];
            masked += REDACTED;
            rest = &after[value.end..];
        }
    }
    masked + rest
}

/// The range in `after` of the value assigned to `name`. `None` if `name` is not the name of a secret or no value
/// follows.
fn secret_value(name: &str, after: &str) -> Option<Range<usize>> {
    let name = name.to_ascii_lowercase();
    let contains = |names: &[&str]| names.iter().any(|secret| name.contains(secret));
    let is_password = contains(&PASSWORD_NAMES);
    if !is_password && !contains(&SECRET_NAMES) {
        return None;
    }
    let is_header = name.ends_with("authorization") || name.ends_with("cookie") || name.ends_with("-token");
    let is_quote = |c: char| matches!(c, '"' | '\'' | '\\' | '`');
    let unquoted = after.trim_start_matches(is_quote);
    let is_quoted = unquoted.len() < after.len();
    let value = match unquoted.trim_start().split_at_checked(1) {
        Some(("=" | ">", value)) => value.strip_prefix('>').unwrap_or(value),
        // Otherwise it is a sentence, such as "the session token: it has expired".
        Some((":", value)) if is_header || is_password || is_quoted => value,
        // An argument of a command line.
        _ if name.starts_with("--") && after.starts_with(' ') => after,
        _ => return None,
    };
    let value = value.trim_start();
    let inner = value.trim_start_matches(is_quote);
    let end = match inner {
        _ if inner.len() < value.len() => inner.find(is_quote),
        _ if is_header => None,
        _ => inner.find(|c: char| c.is_whitespace() || matches!(c, '&' | '<')),
    };
    let (start, len) = (after.len() - inner.len(), end.unwrap_or(inner.len()));
    (len > 0).then_some(start..start + len)
}

const fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// A name that contains one of these announces a password even in a sentence.
const PASSWORD_NAMES: [&str; 6] = ["apikey", "passphrase", "passw", "pwd", "secret", "private_key"];
const SECRET_NAMES: [&str; 6] = ["api-key", "api_key", "authorization", "cookie", "credential", "token"];
