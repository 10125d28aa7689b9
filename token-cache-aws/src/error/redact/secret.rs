//! [`redact_secrets`]: finds secrets by their shape and by their name.

use std::ops::Range;

/// Replaces what looks like a secret in one line.
pub(super) fn redact_secrets(line: &str) -> String {
    let mut redacted = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(is_word_char) {
        redacted += &rest[..start];
        rest = &rest[start..];
        let is_part: fn(char) -> bool = match rest {
            _ if rest.starts_with(ARN) => is_arn_char,
            _ if rest.starts_with(JWT) => is_jwt_char,
            _ => is_word_char,
        };
        let (word, after) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
        redacted += &redact_word(word);
        rest = after;
        if let Some(value) = secret_value(word, after) {
            redacted += &after[..value.start];
            redacted += REDACTED;
            rest = &after[value.end..];
        }
    }
    redacted + rest
}

fn redact_word(word: &str) -> String {
    if word.starts_with(ARN) {
        return word.to_owned(); // the name of a role or user, which the message is about
    }
    if is_mixed_case_key(word) || word.starts_with(JWT) && word.len() >= MIN_SECRET_LEN {
        return REDACTED.to_owned();
    }
    let parts = word.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let redacted = parts.map(|part| match part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()) {
        key if is_single_case_key(key) => format!("{REDACTED}{}", &part[key.len()..]),
        _ => part.to_owned(),
    });
    redacted.collect()
}

/// The range in `after` of the value assigned to `name`. `None` if `name` is not the name of a secret or no value
/// follows.
fn secret_value(name: &str, after: &str) -> Option<Range<usize>> {
    let name = name.to_ascii_lowercase();
    if !SECRET_NAMES.iter().any(|secret| name.contains(secret)) {
        return None;
    }
    let is_header = name.ends_with("authorization") || name.ends_with("cookie") || name.ends_with("-token");
    let is_quote = |c: char| matches!(c, '"' | '\'' | '\\');
    let unquoted = after.trim_start_matches(is_quote);
    let value = match unquoted.trim_start().split_at_checked(1)? {
        ("=" | ">", value) => value,
        // Otherwise it is a sentence, such as "the session token: it has expired".
        (":", value) if is_header || unquoted.len() < after.len() => value,
        _ => return None,
    };
    let value = value.trim_start();
    let inner = value.trim_start_matches(is_quote);
    let end = match inner {
        _ if inner.len() < value.len() => inner.find(is_quote),
        _ if is_header => None,
        _ => inner.find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '&' | ')' | '}' | '<' | '"' | '\'')),
    };
    let (start, len) = (after.len() - inner.len(), end.unwrap_or(inner.len()));
    (len > 0).then_some(start..start + len)
}

/// Whether a word is as long as a key, has both cases, and has digits inside. A name may end in a digit, as in
/// `team/Reader2`, or contain one, as in `Ec2InstanceMetadata`.
///
/// The secret keys of AWS are 40 characters of base64, and one in thirty has fewer than two digits inside. So every
/// word of that length is redacted, except a path without a digit.
fn is_mixed_case_key(word: &str) -> bool {
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    let len = word.bytes().filter(u8::is_ascii_alphanumeric).count();
    let digits_inside =
        word.as_bytes().windows(2).filter(|pair| pair[0].is_ascii_digit() && pair[1].is_ascii_alphabetic()).count();
    let is_base64 = word.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'));
    let is_aws_secret = word.len() == 40 && is_base64 && (!word.starts_with('/') || has(u8::is_ascii_digit));
    has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && (len >= MIN_SECRET_LEN && digits_inside >= 2 || is_aws_secret)
}

/// Whether a word is hexadecimal or base32, such as an access key id.
fn is_single_case_key(part: &str) -> bool {
    let has = |is: fn(&u8) -> bool| part.as_bytes().iter().any(is);
    let is_key_id = part.len() == 20 && (part.starts_with("AKIA") || part.starts_with("ASIA"));
    part.len() >= MIN_SECRET_LEN
        && has(u8::is_ascii_lowercase) != has(u8::is_ascii_uppercase)
        && (has(u8::is_ascii_digit) || is_key_id)
}

/// Base64 in both alphabets, also as escaped in JSON and in URLs. Not `=`, which also ends a name.
pub(super) const fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '%' | '\\')
}

const fn is_arn_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '-' | '_' | '+' | '=' | '.' | '@' | '*')
}

const fn is_jwt_char(c: char) -> bool {
    is_word_char(c) || c == '.'
}

pub(super) const REDACTED: &str = "***";
const ARN: &str = "arn:aws";
/// `{"` in base64, with which each JSON Web Token starts.
const JWT: &str = "eyJ";
/// The name of a secret contains one of these.
const SECRET_NAMES: [&str; 6] = ["authorization", "cookie", "passwd", "password", "secret", "token"];
/// Shorter words are ordinary words, not keys.
const MIN_SECRET_LEN: usize = 16;
