//! [`redact`]: text from outside this crate, without what looks like a secret.

mod plain_line;
mod secret;

pub(super) use self::plain_line::plain_line;
use self::secret::{REDACTED, is_word_char, redact_secrets};

/// Returns `text` on one line of limited length, with `***` in place of what looks like a secret.
///
/// The output of a `credential_process` and the message of an issuer tell the user what to do, so they are shown. But
/// programs also print their environment, their requests or half of a response, and STS repeats the session token if
/// a signature is wrong. Two rules find secrets, at the price of redacting some ids and hashes:
///
/// - by shape: words of at least 16 letters and digits, mixed as in no name, except ARNs;
/// - by name: any value after `password=`, `"SecretAccessKey":`, `Authorization:` and the like.
///
/// A short secret without a name is not found.
pub(super) fn redact(text: &str) -> String {
    let (first, last) = both_ends(text);
    let mut redacted = redact_lines(first);
    if first.len() + last.len() < text.len() {
        redacted = format!("{redacted} {CUT} {}", redact_lines(last));
    }
    shorten(redacted)
}

/// Limits the work for a text of any length. Cuts at white space, because a part of a secret may not be recognized as
/// one; an end without white space is dropped.
fn both_ends(text: &str) -> (&str, &str) {
    if text.len() <= 2 * MAX_END_LEN {
        return (text, "");
    }
    let first = &text[..text.floor_char_boundary(MAX_END_LEN)];
    let last = &text[text.ceil_char_boundary(text.len() - MAX_END_LEN)..];
    let first = first.rfind(char::is_whitespace).map_or("", |at| &first[..at]);
    let last = last.find(char::is_whitespace).map_or("", |at| &last[at..]);
    (first, last)
}

fn redact_lines(text: &str) -> String {
    let mut redacted = Vec::new();
    let mut ends_in_secret = false;
    for line in text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']) {
        let line = plain_line(line);
        if line.is_empty() {
            continue;
        }
        // The last line of a wrapped secret may be too short to be recognized.
        let continues_secret = ends_in_secret && line.trim_end_matches('=').chars().all(is_word_char);
        let line = if continues_secret { REDACTED.to_owned() } else { redact_secrets(&line) };
        ends_in_secret = line.trim_end_matches('=').ends_with(REDACTED);
        redacted.push(line);
    }
    redacted.join(" ")
}

/// Keeps both ends: the start says what failed, and the end says why.
fn shorten(text: String) -> String {
    if text.len() <= MAX_LEN {
        return text;
    }
    let (first, last) = (text.floor_char_boundary(MAX_LEN / 2), text.ceil_char_boundary(text.len() - MAX_LEN / 2));
    format!("{} {CUT} {}", text[..first].trim_end(), text[last..].trim_start())
}

const CUT: &str = "[...]";
/// For one line of a log, in bytes.
const MAX_LEN: usize = 1000;
/// Longer than [`MAX_LEN`], because redacting shortens the text.
const MAX_END_LEN: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_messages_are_unchanged() {
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
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn secrets_are_found_by_shape() {
        for (text, redacted) in [
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
            assert_eq!(redact(text), redacted, "{text}");
        }
    }

    #[test]
    fn secrets_are_found_by_name() {
        for (text, redacted) in [
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
            assert_eq!(redact(text), redacted);
        }
    }

    #[test]
    fn result_is_one_line_without_control_sequences() {
        assert_eq!(
            redact("\u{1b}[31;1mError:\u{1b}[0m  not\r\n\tlogged\u{7} in\u{2028}now\n"),
            "Error: not logged in now"
        );
    }

    #[test]
    fn invisible_characters_are_removed_and_hide_no_secret() {
        assert_eq!(redact("user\u{202e}txt.exe\u{feff}"), "usertxt.exe");
        assert_eq!(redact("of wJalrXUt\u{200b}nFEMI/K7MD\u{ad}ENG/bPxRfi\u{2066}CYEXAMPLEKEY it is"), "of *** it is");
    }

    #[test]
    fn wrapped_secrets_are_redacted_to_their_end() {
        assert_eq!(redact("got IQoJb3JpZ2luX2VjEPr7T4sW\nx9KdLm2c==\nand failed"), "got *** *** and failed");
        assert_eq!(redact("TOKEN=short\n\nUSER=me\nfailed?"), "TOKEN=*** USER=me failed?");
    }

    #[test]
    fn long_texts_keep_both_ends() {
        let text = format!("first {} last", "word ".repeat(1_000_000));
        let redacted = redact(&text);
        assert!(redacted.len() < 1100 && redacted.starts_with("first") && redacted.ends_with("last"), "{redacted}");
        assert_eq!(redact(&"kX9vQ2mB7t".repeat(10_000)).trim(), "[...]");
        assert!(!redact(&"é".repeat(40_000)).is_empty());
    }

    /// Secret access keys are 40 random characters of base64.
    #[test]
    fn no_random_aws_secret_is_shown() {
        const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            BASE64[(state >> 58) as usize] as char
        };
        let mut leaks = Vec::new();
        for _ in 0..20_000 {
            let secret: String = (0..40).map(|_| next()).collect();
            let text = redact(&format!("found {secret} there"));
            if secret.as_bytes().windows(8).any(|part| text.as_bytes().windows(8).any(|window| window == part)) {
                leaks.push((secret, text));
            }
        }
        assert!(leaks.is_empty(), "{leaks:?}");
    }
}
