//! [`redact`]: text from outside this crate, as far as it is known to be harmless.

mod named;
mod plain_line;
mod shape;
mod word;

use self::named::mask_named;
pub(super) use self::plain_line::plain_line;
use self::shape::show;

/// Returns `text` on one line of limited length, with `***` in place of what could be a secret.
///
/// The output of a `credential_process` and the message of an issuer tell the user what to do, so they are shown. But
/// programs also print their environment, their requests or half of a response, and STS repeats the session token if
/// a signature is wrong. A secret may look like anything, so this shows only what is known to be harmless ([`show`]),
/// and never a value whose name announces a secret ([`mask_named`]). A password that is a word, without a name, is
/// shown.
pub(crate) fn redact(text: &str) -> String {
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
    let lines = text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']).map(plain_line);
    let lines = lines.filter(|line| !line.is_empty()).map(|line| show(&mask_named(&line)));
    lines.collect::<Vec<_>>().join(" ")
}

/// Keeps both ends: the start says what failed, and the end says why.
fn shorten(text: String) -> String {
    if text.len() <= MAX_LEN {
        return text;
    }
    let (first, last) = (text.floor_char_boundary(MAX_LEN / 2), text.ceil_char_boundary(text.len() - MAX_LEN / 2));
    format!("{} {CUT} {}", text[..first].trim_end(), text[last..].trim_start())
}

const REDACTED: &str = "***";
const CUT: &str = "[...]";
/// For one line of a log, in bytes.
const MAX_LEN: usize = 1000;
/// Longer than [`MAX_LEN`], because redacting shortens the text.
const MAX_END_LEN: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_shown_as_they_are() {
        for text in [
            "it is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/team/reader-2",
            "profile referenced `Ec2InstanceMetadata` provider but that provider is not supported",
            "profile missing aws_secret_access_key; AWS_WEB_IDENTITY_TOKEN_FILE was not set",
            "failed to load IMDS session token: service error: invalid token",
            "error parsing /opt/user2/.aws/config on line 12: Expected an '=' sign defining a property",
            "http://169.254.169.254/latest/meta-data/iam/security-credentials/reader-2 at 2026-11-24T10:00:00.123Z",
            "request id: c6104cbe-af31-11e0-8154-cbc7ccf896c7, error 404 of ThrottlingException",
            "ConnectionError: HTTPSConnectionPool(host=\"vault.example.com\", port=8200): Max retries exceeded",
            "Signature expired: 20261124T100000Z is now earlier than 20261124T101500Z (20261124T103000Z - 15 min.)",
            "No OpenIDConnect provider found in your account for https://oidc.eks.us-east-1.amazonaws.com/id/",
            "STS is not activated in this region for account:123456789012. Your account 123456789012",
            "Tue, 24 Nov 2026 10:00:00 GMT from [fd00:ec2::254]:80 and https://my-company.awsapps.com/start#/",
            "Traceback (most recent call last): ----------------------------------------",
            "accès refusé; Доступ запрещён; アクセスが拒否されました",
            "run `aws sso login --profile my-company-2`",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn what_is_not_known_to_be_harmless_is_hidden() {
        for (text, redacted) in [
            ("key ASIAQ7X4MZ2PLT9KC3VB.", "key ***."),
            ("AKIAIOSFODNNXXEXAMPL", "***"), // no digit
            ("of wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY it is", "of *** it is"),
            ("IQoJb3JpZ2luX2VjEPr7T4sWx9KdLm2cQvZ0uYb6NhRj1GfA==", "***=="),
            ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4OHk3ejZ3NXY0In0.RkvTxPqLmZcWbNdYhJ, it is", "***, it is"),
            ("d41d8cd98f00b204e9800998ecf8427e", "***"),
            ("kX9vQ2mB7tLw4Zr8\\/Ny3Hc6+Fd1Js5GpTa0UeWqo", "***"),
            ("/opt/me/.aws/sso/cache/b343494cf15ba6b81449840ea93161cf3b27e5e3.json", "/opt/me/.aws/sso/cache/***"),
            ("the id 7c9e6679-7425-40de-944b-e07fc1f90ae7", "the id ***"),
            ("{\"id\":\"7c9e6679-7425-40de-944b-e07fc1f90ae7\"}", "{\"***\"}"),
            ("got 'x9#kL2$pQ7!mN4&z' from it", "got '***' from it"),
            ("an abc8Q~Xk2LmN.pQrS-tUvW_xYz0123456789abCdE secret", "an *** secret"),
            (
                "https://vault.example.com/v1/wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "https://vault.example.com/v1/***",
            ),
            ("https://user:PASSWORD@vault.example.com/v1", "https://***@vault.example.com/v1"),
            ("postgres://user:pa/ss@w0rd@db:5432/name", "postgres://***@db:5432/name"),
            ("https://a.example.com/?X-Amz-Signature=short", "https://a.example.com/?***"),
            ("4111-1111-1111-1111 and 1234567890123456", "*** and ***"),
            ("hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY", "***"),
            ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "***"),
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
            ("password: swordfish, it said", "password: *** it said"),
            ("client_secret: 'two words' of", "client_secret: '***' of"),
            ("login --password hunter2 --user me", "login --password *** --user me"),
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
    fn each_line_of_a_secret_is_hidden() {
        assert_eq!(redact("got IQoJb3JpZ2luX2VjEPr7T4sW\nx9KdLm2c==\nand failed"), "got *** ***== and failed");
        assert_eq!(redact("TOKEN=short\n\nUSER=me\nfailed?"), "TOKEN=*** USER=me failed?");
    }

    #[test]
    fn long_texts_keep_both_ends() {
        let text = format!("first {} last", "word ".repeat(1_000_000));
        let redacted = redact(&text);
        assert!(redacted.len() < 1100 && redacted.starts_with("first") && redacted.ends_with("last"), "{redacted}");
        assert_eq!(redact(&"kX9vQ2mB7t".repeat(10_000)).trim(), "[...]");
        assert!(!redact(&"é".repeat(40_000)).is_empty());
        for part in ["a=", "a://", "a:", "\"", "token=", "/", "-", "a@", "=="] {
            let redacted = redact(&part.repeat(5_000));
            assert!(redacted.len() < 1100, "{part}: {redacted}");
        }
    }

    /// At most 0.4 % of each kind may show eight characters. Random letters alone can form words.
    #[test]
    fn random_secrets_of_each_kind_are_hidden() {
        const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
        const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        const DIGITS: &str = "0123456789";
        const SYMBOLS: &str = "!#$%&()*+,-./:;<=>?@[]^_{|}~";
        let mut random = Random(1);
        let letters = [LOWER, UPPER].concat();
        let kinds: [(&str, String, &[usize]); 10] = [
            ("AWS secret", [&letters, DIGITS, "+/"].concat(), &[40]),
            ("UUID", "0123456789abcdef".to_owned(), &[8, 4, 4, 4, 12]),
            ("password", [&letters, DIGITS, SYMBOLS].concat(), &[16]),
            ("Azure client secret", [&letters, DIGITS, "~._-"].concat(), &[40]),
            ("hexadecimal", "0123456789abcdef".to_owned(), &[32]),
            ("base32", [UPPER, "234567"].concat(), &[32]),
            ("short password", [&letters, DIGITS].concat(), &[12]),
            ("lower case", [LOWER, DIGITS].concat(), &[16]),
            ("mixed-case letters", letters.clone(), &[16]),
            ("digits", DIGITS.to_owned(), &[16]),
        ];
        for (kind, alphabet, groups) in kinds {
            for frame in ["found {} there", "https://vault.example.com/v1/{}", "code='{}', no", "/var/lib/{}/data"] {
                let leaks = (0..2_000).filter(|_| {
                    let secret = groups.iter().map(|len| random.text(&alphabet, *len)).collect::<Vec<_>>().join("-");
                    let text = redact(&frame.replace("{}", &secret));
                    secret.as_bytes().windows(8).any(|part| text.as_bytes().windows(8).any(|window| window == part))
                });
                let leaks = leaks.count();
                assert!(leaks <= 8, "{leaks} of 2000: {kind} in {frame}");
            }
        }
    }

    struct Random(u64);

    impl Random {
        fn text(&mut self, alphabet: &str, len: usize) -> String {
            let mut next = || {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                alphabet.as_bytes()[(self.0 >> 33) as usize % alphabet.len()] as char
            };
            (0..len).map(|_| next()).collect()
        }
    }
}
