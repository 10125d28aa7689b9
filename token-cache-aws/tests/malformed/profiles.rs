//! Profile files: `~/.aws/config` and `~/.aws/credentials`, or the files that the environment names.

use crate::canary::{GOOD_KEY_ID, GOOD_SECRET, KEY_ID, SECRET, TOKEN};
use crate::case::{Case, Outcome, Protocol};
use crate::response::{BINARY, utf16};
use crate::sts::LAST_VALUE;

pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "profiles",
    env: |fixture| {
        vec![
            ("AWS_CONFIG_FILE", fixture.current("config").display().to_string()),
            ("AWS_SHARED_CREDENTIALS_FILE", fixture.current("credentials").display().to_string()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    },
    files: |_| {
        let keys = format!("[case]\naws_access_key_id = {GOOD_KEY_ID}\naws_secret_access_key = {GOOD_SECRET}\n");
        vec![("config", "[profile case]\nregion = us-east-1\n".into()), ("credentials", keys.into())]
    },
    good: |_| unreachable!("there is no server"),
    profile: Some("case"),
    source: None,
    mentions: &["profile", "ProfileFile", "credential"],
    cases,
};

fn cases() -> Vec<Case> {
    [files(), lines(), keys(), roles(), other_providers()].into_iter().flatten().collect()
}

fn files() -> Vec<Case> {
    let long = "# a comment\n".repeat(20_000_000 / 12) + &pair().replace("case", "base");
    let config = vec![("config", [BINARY, b"\n[profile"].concat())];
    vec![
        Case::missing_file("no credentials file", "credentials", NO_CREDENTIALS),
        credentials("an empty credentials file", "", NO_CREDENTIALS),
        credentials("a binary credentials file", BINARY, NO_CREDENTIALS),
        credentials("a credentials file in UTF-16", utf16(&pair()), NO_CREDENTIALS),
        credentials("20 MB of comments, and another profile", long, NO_CREDENTIALS),
        credentials("another profile", pair().replace("case", "base"), NO_CREDENTIALS),
        Case::files("a binary config file", config, ["/current/config", "not UTF-8 on line 1"]),
    ]
}

/// Lines of the credentials file.
fn lines() -> Vec<Case> {
    let line = "/current/credentials on line";
    let more = |line: &str| format!("{}{line}\n", pair());
    vec![
        credentials("a byte order mark", format!("\u{feff}{}", pair()), [line, "1: Expected a profile definition"]),
        credentials("NUL bytes", vec![0; 4096], [line, "1: Expected a profile definition"]),
        credentials(
            "a section that is not closed",
            pair().replace(']', ""),
            [line, "1: Profile definition must end with"],
        ),
        credentials(
            "a key without a section",
            pair().replace("[case]", ""),
            [line, "2: Expected a profile definition"],
        ),
        credentials("a line without a meaning", more(SECRET), [line, "5: Expected an '=' sign"]),
        credentials("a value without a name", more(&format!("= {SECRET}")), [line, "5: Property did not have a name"]),
        credentials(
            "a continuation of nothing",
            pair().replace("\naws_access", "\n  aws_access"),
            [line, "2: Expected a property"],
        ),
    ]
}

fn keys() -> Vec<Case> {
    let case = |name, lines: String, outcome: Outcome| credentials(name, format!("[case]\n{lines}"), outcome);
    let (id, secret) = (format!("aws_access_key_id = {KEY_ID}\n"), format!("aws_secret_access_key = {SECRET}\n"));
    let token = format!("aws_session_token = {TOKEN}\n");
    vec![
        case("no aws_secret_access_key", id.clone(), ["profile missing aws_secret_access_key"].into()),
        case("no aws_access_key_id", secret.clone(), ["profile missing aws_access_key_id"].into()),
        case("a session token alone", token, ["profile missing aws_access_key_id"].into()),
        case(
            "an empty aws_secret_access_key",
            format!("{id}aws_secret_access_key =\n"),
            ["profile missing aws_secret_access_key"].into(),
        ),
        case(
            "an empty aws_access_key_id",
            format!("{secret}aws_access_key_id =\n"),
            ["profile missing aws_access_key_id"].into(),
        ),
        case("two aws_secret_access_keys", format!("{id}{secret}{secret}"), LAST_VALUE),
    ]
}

/// A profile with a role, and no credentials that may assume it.
fn roles() -> Vec<Case> {
    let role = |name, lines: &str, outcome: Outcome| {
        profile(name, &format!("role_arn = arn:aws:iam::123456789012:role/reader-2\n{lines}"), outcome)
    };
    let source = |lines: &str| format!("source_profile = base\n[profile base]\n{lines}");
    let half = source(&format!("aws_access_key_id = {KEY_ID}\n"));
    let back = source("role_arn = arn:aws:iam::123456789012:role/base\nsource_profile = case\n");
    let neither = "must contain `source_profile` or `credential_source`";
    vec![
        role("role_arn alone", "", [neither].into()),
        role("no such source_profile", "source_profile = base\n", NO_CREDENTIALS.into()),
        role("a secret as source_profile", &format!("source_profile = {SECRET}\n"), NO_CREDENTIALS.into()),
        role(
            "a source_profile without keys",
            &source("region = eu-north-1\n"),
            ["`base` did not contain credential"].into(),
        ),
        role("a source_profile with half a pair", &half, ["`base`", "missing aws_secret_access_key"].into()),
        role("two profiles in a loop", &back, ["infinite loop", "[\"case\", \"base\"]"].into()),
        role("itself as source_profile", "source_profile = case\n", NO_CREDENTIALS.into()),
        role(
            "source_profile and credential_source",
            "source_profile = base\ncredential_source = Environment\n",
            ["`case`", "both source_profile and credential_source"].into(),
        ),
        role("no such credential_source", "credential_source = Ec2\n", ["`Ec2`", "not supported"].into()),
        role(
            "a secret as credential_source",
            &format!("credential_source = {SECRET}\n"),
            ["`***`", "not supported"].into(),
        ),
        role(
            "a credential_source without credentials",
            "credential_source = Environment\n",
            ["not enabled", "environment variable"].into(),
        ),
        role(
            "no such web_identity_token_file",
            "web_identity_token_file = /no/such/token\n",
            ["No such file", "the profile"].into(),
        ),
    ]
}

fn other_providers() -> Vec<Case> {
    let (start, account) = ("sso_start_url = https://example.com/start\n", "sso_account_id = 123456789012\n");
    let (region, role) = ("sso_region = us-east-1\n", "sso_role_name = reader\n");
    let no_program = "credential_process = /no/such/program --argument\n";
    vec![
        profile("nothing but a region", "region = us-east-1\n", NO_CREDENTIALS),
        profile("a web identity without a role", "web_identity_token_file = /no/such\n", ["`role_arn` was missing"]),
        profile(
            "no such sso_session",
            &format!("sso_session = corp\n{account}{role}"),
            ["`corp`", "`case`", "not found"],
        ),
        profile(
            "SSO without a role",
            &format!("{start}{region}{account}"),
            ["`case`", "`sso_role_name` must also be set"],
        ),
        profile("SSO without a region", &format!("{start}{account}{role}"), NO_CREDENTIALS),
        profile(
            "SSO without a login",
            &format!("{start}{region}{account}{role}"),
            ["/sso/cache/", "run `aws sso login --profile case`"],
        ),
        profile("no such credential_process", no_program, ["exit status: 127", "/no/such/program: not found"]),
        profile("a folder as credential_process", "credential_process = /\n", ["exit status: 126"]),
        profile("an empty credential_process", "credential_process =\n", NO_CREDENTIALS),
    ]
}

/// The profile has no credentials at all.
const NO_CREDENTIALS: [&str; 2] = ["profile \"case\" has no credentials", "AWS_SHARED_CREDENTIALS_FILE"];

fn credentials(name: &'static str, text: impl Into<Vec<u8>>, outcome: impl Into<Outcome>) -> Case {
    Case::files(name, vec![("credentials", text.into())], outcome)
}

/// A profile in the config file, and an empty credentials file.
fn profile(name: &'static str, lines: &str, outcome: impl Into<Outcome>) -> Case {
    let config = format!("[profile case]\n{lines}").into();
    Case::files(name, vec![("config", config), ("credentials", vec![])], outcome)
}

fn pair() -> String {
    format!("[case]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n")
}
