//! [`fit_to_show`]: a text that others wrote, without what looks like a secret.

use std::ops::Range;

/// `text` on one line of bounded length, with `***` for what looks like a secret.
///
/// What a `credential_process` prints to its stderr, and what an issuer says, tells the user what to do, so it is shown. But
/// programs print their environment, their requests and half of their answer there, and STS repeats the session token when
/// a signature is wrong. Two rules take that out, at the price of an id or a hash now and then:
///
/// - what has a secret's shape: 16 letters and digits or more, mixed as in no name; all but ARNs;
/// - what has a secret's name: after `password=`, `"SecretAccessKey":`, `Authorization:` and their like, whatever its shape.
///
/// A short secret without a name is not found.
pub(super) fn fit_to_show(text: &str) -> String {
    let (first, last) = ends(text);
    let mut shown = lines(first);
    if first.len() + last.len() < text.len() {
        shown = format!("{shown} {CUT} {}", lines(last));
    }
    shorten(shown)
}

/// Before anything else, of a text that may be as long as it likes: no more than two ends, cut where there is a space. A
/// word that has none is left out, as a part of a secret is not known as one.
fn ends(text: &str) -> (&str, &str) {
    if text.len() <= 2 * END {
        return (text, "");
    }
    let (first, last) = (text.floor_char_boundary(END), text.ceil_char_boundary(text.len() - END));
    let first = text[..first].rfind(char::is_whitespace).map_or("", |at| &text[..at]);
    (first, text[last..].find(char::is_whitespace).map_or("", |at| &text[last + at..]))
}

fn lines(text: &str) -> String {
    let mut shown = Vec::new();
    let mut was_secret = false;
    for line in text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']) {
        let line = one_line(line);
        if line.is_empty() {
            continue;
        }
        // The last line of a secret that was broken into several may be short.
        let goes_on = was_secret && line.trim_end_matches('=').chars().all(is_of_a_word);
        let line = if goes_on { MASK.to_owned() } else { masked(&line) };
        was_secret = line.trim_end_matches('=').ends_with(MASK);
        shown.push(line);
    }
    shown.join(" ")
}

/// Without colours and other commands to a terminal, and one space for several.
pub(super) fn one_line(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            chars.by_ref().find(|c| ('@'..='~').contains(c));
        } else if !(c.is_control() || c.is_whitespace()) {
            plain.push(c);
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain.trim().to_owned()
}

fn masked(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(is_of_a_word) {
        shown += &rest[..start];
        rest = &rest[start..];
        let is_part: fn(char) -> bool = match rest {
            _ if rest.starts_with(ARN) => is_of_an_arn,
            _ if rest.starts_with(JWT) => is_of_a_jwt,
            _ => is_of_a_word,
        };
        let (word, after) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
        shown += &masked_word(word);
        rest = after;
        if let Some(value) = value_of(word, after) {
            shown += &after[..value.start];
            shown += MASK;
            rest = &after[value.end..];
        }
    }
    shown + rest
}

fn masked_word(word: &str) -> String {
    if word.starts_with(ARN) {
        return word.to_owned(); // a name by its nature, of a role or a machine
    }
    if is_mixed(word) || word.starts_with(JWT) && word.len() >= SHORTEST {
        return MASK.to_owned();
    }
    let parts = word.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let masked = parts.map(|part| match part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()) {
        key if is_of_one_case(key) => format!("{MASK}{}", &part[key.len()..]),
        _ => part.to_owned(),
    });
    masked.collect()
}

/// Where in `after` the value is that `name` is given there. `None`: it is no secret's name, or nothing is given.
fn value_of(name: &str, after: &str) -> Option<Range<usize>> {
    let name = name.to_ascii_lowercase();
    if !NAMES.iter().any(|secret| name.contains(secret)) {
        return None;
    }
    let is_header = name.ends_with("authorization") || name.ends_with("cookie") || name.ends_with("-token");
    let is_quote = |c: char| matches!(c, '"' | '\'' | '\\');
    let unquoted = after.trim_start_matches(is_quote);
    let value = match unquoted.trim_start().split_at_checked(1)? {
        ("=" | ">", value) => value,
        // Else it is a sentence: "the session token: it has expired".
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
    let (start, length) = (after.len() - inner.len(), end.unwrap_or(inner.len()));
    (length > 0).then_some(start..start + length)
}

/// Whether it is as long as a key, of both cases, and has numbers within. At its end, as in `team/Reader2`, a name may have
/// one, and `Ec2InstanceMetadata` is a name too.
///
/// Of the secrets of AWS, which have 40 characters of base64, one in thirty has no two numbers within. So all of that length
/// are taken for one, but for a path without a number.
fn is_mixed(word: &str) -> bool {
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    let length = word.bytes().filter(u8::is_ascii_alphanumeric).count();
    let within =
        word.as_bytes().windows(2).filter(|two| two[0].is_ascii_digit() && two[1].is_ascii_alphabetic()).count();
    let is_base64 = word.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'));
    let is_aws_secret = word.len() == 40 && is_base64 && (!word.starts_with('/') || has(u8::is_ascii_digit));
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && (length >= SHORTEST && within >= 2 || is_aws_secret)
}

/// Whether it is hexadecimal, or the id of a key.
fn is_of_one_case(part: &str) -> bool {
    let has = |is: fn(&u8) -> bool| part.as_bytes().iter().any(is);
    let is_key_id = part.len() == 20 && (part.starts_with("AKIA") || part.starts_with("ASIA"));
    part.len() >= SHORTEST
        && has(u8::is_ascii_lowercase) != has(u8::is_ascii_uppercase)
        && (has(u8::is_ascii_digit) || is_key_id)
}

/// Base64, of both alphabets, and as it is within JSON and in URLs. But not `=`, which ends a name as well.
const fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '%' | '\\')
}

const fn is_of_an_arn(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '-' | '_' | '+' | '=' | '.' | '@' | '*')
}

const fn is_of_a_jwt(c: char) -> bool {
    is_of_a_word(c) || c == '.'
}

/// The beginning says who speaks, and the end what has come of it.
fn shorten(text: String) -> String {
    if text.len() <= LONGEST {
        return text;
    }
    let (first, last) = (text.floor_char_boundary(LONGEST / 2), text.ceil_char_boundary(text.len() - LONGEST / 2));
    format!("{} {CUT} {}", text[..first].trim_end(), text[last..].trim_start())
}

const MASK: &str = "***";
const ARN: &str = "arn:aws";
/// `{"` in base64.
const JWT: &str = "eyJ";
const CUT: &str = "[...]";
/// What is in the name of a secret.
const NAMES: [&str; 6] = ["authorization", "cookie", "passwd", "password", "secret", "token"];
/// Below it are words, above it keys.
const SHORTEST: usize = 16;
/// For one line of a log.
const LONGEST: usize = 1000;
/// More than is ever shown, so that what was masked may take the most of it.
const END: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_has_to_read_is_left_as_it_is() {
        for text in [
            "The SSO session has expired; run `aws sso login --profile my-company-2`",
            "User: arn:aws:sts::123456789012:assumed-role/MyWebRole/i-0abc123def4567890 is not authorized to perform: \
             sts:AssumeRoleWithWebIdentity on resource: arn:aws:iam::123456789012:role/team/reader-2",
            "profile referenced `Ec2InstanceMetadata` provider but that provider is not supported",
            "profile missing aws_secret_access_key; AWS_WEB_IDENTITY_TOKEN_FILE was not set",
            "failed to load IMDS session token: service error: invalid token",
            "error parsing /home/user2/.aws/config on line 12: Expected an '=' sign defining a property",
            "http://169.254.169.254/latest/meta-data/iam/security-credentials/reader-2 at 2026-11-24T10:00:00.123Z",
            "request id: c6104cbe-af31-11e0-8154-cbc7ccf896c7, error 1234567890123456 of ThrottlingException",
            "ConnectionError: HTTPSConnectionPool(host=\"vault.example.com\", port=8200): Max retries exceeded",
        ] {
            assert_eq!(fit_to_show(text), text);
        }
    }

    #[test]
    fn what_has_the_shape_of_a_secret_is_masked() {
        for (text, shown) in [
            ("key ASIAQ7X4MZ2PLT9KC3VB.", "key ***."),
            ("AKIAIOSFODNNXXEXAMPL", "***"), // no digit
            ("of wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY it is", "of *** it is"),
            ("IQoJb3JpZ2luX2VjEPr7T4sWx9KdLm2cQvZ0uYb6NhRj1GfA==", "***=="),
            ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4OHk3ejZ3NXY0In0.RkvTxPqLmZcWbNdYhJ, it is", "***, it is"),
            ("d41d8cd98f00b204e9800998ecf8427e", "***"),
            ("kX9vQ2mB7tLw4Zr8\\/Ny3Hc6+Fd1Js5GpTa0UeWqo", "***"),
            (
                "/home/me/.aws/sso/cache/b343494cf15ba6b81449840ea93161cf3b27e5e3.json",
                "/home/me/.aws/sso/cache/***.json",
            ),
        ] {
            assert_eq!(fit_to_show(text), shown, "{text}");
        }
    }

    #[test]
    fn what_has_the_name_of_a_secret_is_masked_whatever_its_shape() {
        for (text, shown) in [
            ("DB_PASSWORD=hunter2 and more", "DB_PASSWORD=*** and more"),
            ("--password='two words' --user me", "--password='***' --user me"),
            (
                "{\"SecretAccessKey\": \"short\", \"Region\": \"eu\"}",
                "{\"SecretAccessKey\": \"***\", \"Region\": \"eu\"}",
            ),
            ("{\\\"Token\\\": \\\"short\\\"}", "{\\\"Token\\\": \\\"***\\\"}"),
            ("aws_secret_access_key = short", "aws_secret_access_key = ***"),
            ("> Authorization: Basic dXNlcjpwYXNz", "> Authorization: ***"),
            ("X-Vault-Token: hvs.short", "X-Vault-Token: ***"),
            ("<SessionToken>short</SessionToken>", "<SessionToken>***</SessionToken>"),
            ("no token=", "no token="),
            ("the session token: it has expired", "the session token: it has expired"),
        ] {
            assert_eq!(fit_to_show(text), shown);
        }
    }

    #[test]
    fn it_is_one_line_without_commands_to_a_terminal() {
        assert_eq!(
            fit_to_show("\u{1b}[31;1mError:\u{1b}[0m  not\r\n\tlogged\u{7} in\u{2028}now\n"),
            "Error: not logged in now"
        );
    }

    #[test]
    fn what_was_broken_into_lines_is_masked_to_its_end() {
        assert_eq!(fit_to_show("got IQoJb3JpZ2luX2VjEPr7T4sW\nx9KdLm2c==\nand failed"), "got *** *** and failed");
        assert_eq!(fit_to_show("TOKEN=short\n\nUSER=me\nfailed?"), "TOKEN=*** USER=me failed?");
    }

    #[test]
    fn of_a_long_text_there_are_both_ends() {
        let text = format!("first {} last", "word ".repeat(1_000_000));
        let shown = fit_to_show(&text);
        assert!(shown.len() < 1100 && shown.starts_with("first") && shown.ends_with("last"), "{shown}");
        assert_eq!(fit_to_show(&"kX9vQ2mB7t".repeat(10_000)).trim(), "[...]");
        assert!(!fit_to_show(&"é".repeat(40_000)).is_empty());
    }

    /// As AWS makes them: 40 characters of base64.
    #[test]
    fn of_twenty_thousand_secrets_none_is_shown() {
        const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            BASE64[(state >> 58) as usize] as char
        };
        let mut shown = Vec::new();
        for _ in 0..20_000 {
            let secret: String = (0..40).map(|_| next()).collect();
            let text = fit_to_show(&format!("found {secret} there"));
            if secret.as_bytes().windows(8).any(|part| text.as_bytes().windows(8).any(|shown| shown == part)) {
                shown.push((secret, text));
            }
        }
        assert!(shown.is_empty(), "{shown:?}");
    }
}
