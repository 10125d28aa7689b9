//! Environments and files in which something is missing or malformed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::canary::{JWT, SECRET};
use crate::environment::{EnvironmentCase, Expected, FOLDER, HANGING};

/// Each variable with each odd value.
pub(crate) fn variables() -> Vec<EnvironmentCase> {
    let mut cases = Vec::new();
    for variable in IDENTITY {
        for (name, value) in odd_values() {
            let expected = if name == "empty" { Expected::RoleOfTheMachine } else { names(variable) };
            cases.push(case(format!("{variable}: {name}"), vec![(variable, value)], expected));
        }
    }
    for variable in SETTINGS {
        for (name, value) in odd_values() {
            let is_unset = ["empty", "blank", "a line end"].contains(&name);
            let expected = if is_unset { Expected::RoleOfTheMachine } else { names(variable) };
            cases.push(case(format!("{variable}: {name}"), vec![(variable, value)], expected));
        }
    }
    cases
}

/// The variables of which one alone is half of a configuration.
const IDENTITY: [&str; 13] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Variables that decide no identity, and do not accept every value.
const SETTINGS: [&str; 12] = [
    "AWS_RETRY_MODE",
    "AWS_MAX_ATTEMPTS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
];

fn odd_values() -> [(&'static str, OsString); 9] {
    [
        ("empty", "".into()),
        ("blank", "  ".into()),
        ("a line end", "\n".into()),
        ("no such value", "no/such@value".into()),
        ("quotes", "\"standard\"".into()),
        ("a carriage return", "a\rb".into()),
        ("a tab", "a\tb".into()),
        ("a byte order mark", "\u{feff}standard".into()),
        ("not UTF-8", OsString::from_vec(vec![b'a', 0xff, 0xfe])),
    ]
}

/// A machine with a role, and something else that is configured.
pub(crate) fn configurations() -> Vec<EnvironmentCase> {
    [keys(), profiles(), profile_settings(), files(), trimmed()].into_iter().flatten().collect()
}

fn keys() -> Vec<EnvironmentCase> {
    let pair = |id: &str, secret: &str| {
        vec![("AWS_ACCESS_KEY_ID", OsString::from(id)), ("AWS_SECRET_ACCESS_KEY", OsString::from(secret))]
    };
    let with = |mut variables: Vec<(&'static str, OsString)>, name, value: &str| {
        variables.push((name, value.into()));
        variables
    };
    vec![
        // https://github.com/aws/aws-sdk-java/issues/235
        case("a blank secret", pair("AKIAX", " "), names("AWS_SECRET_ACCESS_KEY")),
        case("a blank pair", pair(" ", " "), names("AWS_ACCESS_KEY_ID")),
        case("an empty pair", pair("", ""), Expected::RoleOfTheMachine),
        case("an empty secret", pair("AKIAX", ""), names("AWS_SECRET_ACCESS_KEY")),
        case("an empty id", pair("", "secret"), names("AWS_ACCESS_KEY_ID")),
        case("a key id of two words", pair("AKIA X", "secret"), names("AWS_ACCESS_KEY_ID")),
        case("a key id that is not ASCII", pair("AKIÄX", "secret"), names("AWS_ACCESS_KEY_ID")),
        case("an empty token", with(pair(KEY, "secret"), "AWS_SESSION_TOKEN", ""), Expected::Key(KEY)),
        case("a blank token", with(pair(KEY, "secret"), "AWS_SESSION_TOKEN", " "), names("AWS_SESSION_TOKEN")),
        case(
            "a token of two lines",
            with(pair(KEY, "secret"), "AWS_SESSION_TOKEN", "a\nb"),
            names("AWS_SESSION_TOKEN"),
        ),
        case(
            "the alternative name of the secret",
            vec![("AWS_ACCESS_KEY_ID", KEY.into()), ("SECRET_ACCESS_KEY", "secret".into())],
            Expected::Key(KEY),
        ),
        case("the alternative name alone", vec![("SECRET_ACCESS_KEY", "secret".into())], Expected::RoleOfTheMachine),
        case(
            "two profiles",
            vec![("AWS_PROFILE", "a".into()), ("AWS_DEFAULT_PROFILE", "b".into())],
            names("AWS_DEFAULT_PROFILE"),
        ),
        case(
            "a web identity without a role",
            vec![("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such".into()), ("AWS_ROLE_ARN", "".into())],
            names("AWS_ROLE_ARN"),
        ),
        case(
            "an empty relative URI beside a full one",
            vec![
                ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "".into()),
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/".into()),
            ],
            names("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ),
        proxy("a proxy that refuses", "127.0.0.1:1", &["proxy http://127.0.0.1:1", "Connection refused"]),
        proxy("a proxy that hangs", HANGING, &["timed out", "proxy http://127.0.0.1:"]),
        case(
            // https://github.com/awslabs/aws-sdk-rust/issues/540
            "a metadata service that refuses",
            vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1".into())],
            names("instance metadata service"),
        ),
    ]
}

/// A web identity, whose request goes through a proxy.
fn proxy(name: &str, address: &str, texts: &[&str]) -> EnvironmentCase {
    EnvironmentCase {
        name: name.to_owned(),
        variables: vec![
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "{folder}/token".into()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r".into()),
            ("AWS_MAX_ATTEMPTS", "1".into()),
            ("HTTPS_PROXY", format!("http://user:{}@{address}", SECRET.replace('/', "%2F")).into()),
        ],
        files: vec![("token", JWT.into())],
        expected: Expected::Error(
            [texts, &["response from sts.us-east-1.amazonaws.com"]]
                .concat()
                .into_iter()
                .map(ToOwned::to_owned)
                .collect(),
        ),
    }
}

/// The profile of `AWS_PROFILE`, or the default one.
fn profiles() -> Vec<EnvironmentCase> {
    // https://github.com/aws/aws-sdk-go-v2/issues/1591, https://github.com/aws/aws-cli/issues/3375
    let halves = [
        ("a source_profile that is missing", "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = typo"),
        ("a role alone", "role_arn = arn:aws:iam::123456789012:role/r"),
        ("an external_id alone", "external_id = 7"),
        ("an MFA serial alone", "mfa_serial = arn:aws:iam::123456789012:mfa/user"),
        ("a source_profile alone", "source_profile = base"),
        ("half a key", "aws_access_key_id = AKIAX"),
        ("an empty pair", "aws_access_key_id =\naws_secret_access_key ="),
        ("an empty program", "credential_process = # none"),
        ("a session token alone", "aws_session_token = x"),
        ("an SSO session alone", "sso_session = corp"),
        ("SSO without an account", "sso_start_url = https://example.com/start\nsso_region = us-east-1"),
        ("SSO without a URL", "sso_account_id = 123456789012\nsso_role_name = r"),
        ("a web identity alone", "web_identity_token_file = /no/such"),
        ("a source that does not exist", "role_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Ec2"),
        (
            "a container as the source, of which there is none",
            "role_arn = arn:aws:iam::123456789012:role/r\ncredential_source = EcsContainer",
        ),
        (
            "an environment as the source, in which there are no keys",
            "role_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Environment",
        ),
        ("an unknown retry mode", "retry_mode = fast\naws_access_key_id = AKIAX\naws_secret_access_key = s"),
        ("no attempts", "max_attempts = 0\naws_access_key_id = AKIAX\naws_secret_access_key = s"),
    ];
    let mut cases = Vec::new();
    for (name, lines) in halves {
        for profile in ["default", "x"] {
            let section = if profile == "x" { "profile x" } else { "default" };
            let variables = if profile == "x" { vec![("AWS_PROFILE", "x".into())] } else { vec![] };
            let expected = Expected::Error(vec![]);
            let files = vec![(".aws/config", format!("[{section}]\nregion = us-east-1\n{lines}\n").into_bytes())];
            cases.push(EnvironmentCase { name: format!("[{section}]: {name}"), variables, files, expected });
        }
    }
    let file = |name: &str, file, text: &str, profile: &str, expected| EnvironmentCase {
        name: name.to_owned(),
        variables: vec![("AWS_PROFILE", profile.into())],
        files: vec![(file, text.as_bytes().to_vec())],
        expected,
    };
    let whole = format!("aws_access_key_id = {KEY}\naws_secret_access_key = secret\n");
    cases.extend([
        file("a region only", ".aws/config", "[default]\nregion = us-east-1\n", "", Expected::RoleOfTheMachine),
        file(
            "a region only, selected",
            ".aws/config",
            "[profile x]\nregion = us-east-1\n",
            "x",
            Expected::RoleOfTheMachine,
        ),
        file(
            "[profile default] in the credentials file",
            ".aws/credentials",
            &format!("[profile default]\n{whole}"),
            "",
            contains("must be [default]"),
        ),
        file("a name in quotes", ".aws/config", &format!("[profile \"x\"]\n{whole}"), "x", contains("[profile x]")),
        file("no prefix", ".aws/config", &format!("[x]\n{whole}"), "x", contains("[profile x]")),
        file(
            "an empty token",
            ".aws/credentials",
            &format!("[default]\n{whole}aws_session_token =\n"),
            "",
            Expected::Key(KEY),
        ),
        file(
            "retry_mode = legacy",
            ".aws/credentials",
            &format!("[default]\n{whole}retry_mode = legacy\n"),
            "",
            Expected::Key(KEY),
        ),
        file(
            "an empty retry_mode",
            ".aws/credentials",
            &format!("[default]\n{whole}retry_mode =\n"),
            "",
            Expected::Key(KEY),
        ),
        file("an empty region", ".aws/credentials", &format!("[default]\n{whole}region =\n"), "", Expected::Key(KEY)),
        file(
            "Windows line ends",
            ".aws/credentials",
            &format!("[default]\n{whole}").replace('\n', "\r\n"),
            "",
            Expected::Key(KEY),
        ),
    ]);
    // The old name of the variable.
    cases.push(EnvironmentCase {
        name: "AWS_DEFAULT_PROFILE selects a profile".to_owned(),
        variables: vec![("AWS_DEFAULT_PROFILE", "x".into())],
        files: vec![(".aws/credentials", format!("[x]\n{whole}").into_bytes())],
        expected: Expected::Key(KEY),
    });
    cases
}

/// Each setting of a profile with odd values.
fn profile_settings() -> Vec<EnvironmentCase> {
    const KEYS: [&str; 9] = [
        "region",
        "retry_mode",
        "max_attempts",
        "use_fips_endpoint",
        "use_dualstack_endpoint",
        "ignore_configured_endpoint_urls",
        "endpoint_url",
        "ec2_metadata_service_endpoint",
        "ec2_metadata_service_endpoint_mode",
    ];
    let long = "x".repeat(1 << 20);
    let values = [("empty", ""), ("a comment", "# none"), ("no such value", "no/such@value"), ("1 MB", &long)];
    let cases = KEYS.into_iter().flat_map(|key| {
        values.map(|(name, value)| {
            let expected = if value.is_empty() || value.starts_with('#') { Expected::Key(KEY) } else { names(key) };
            let text = format!("[default]\naws_access_key_id = {KEY}\naws_secret_access_key = s\n{key} = {value}\n");
            EnvironmentCase {
                name: format!("{key} in a profile: {name}"),
                variables: vec![],
                files: vec![(".aws/credentials", text.into_bytes())],
                expected,
            }
        })
    });
    cases.collect()
}

fn files() -> Vec<EnvironmentCase> {
    let whole = format!("[default]\naws_access_key_id = {KEY}\naws_secret_access_key = secret\n");
    let file = |name: &str, file, contents: Vec<u8>, variables, expected| EnvironmentCase {
        name: name.to_owned(),
        variables,
        files: vec![(file, contents)],
        expected,
    };
    let not_utf8 = [whole.as_bytes(), b"# \xff\n"].concat();
    let named = |variable| vec![(variable, format!("{FOLDER}/file").into())];
    vec![
        // https://github.com/aws/aws-cli/issues/2565
        file(
            "a credentials file that is a folder",
            ".aws/credentials/file",
            vec![],
            vec![],
            contains(".aws/credentials"),
        ),
        file("a config file that is a folder", ".aws/config/file", vec![], vec![], contains(".aws/config")),
        file("one byte is not UTF-8", ".aws/credentials", not_utf8.clone(), vec![], contains("not UTF-8 on line 4")),
        file(
            "one byte is not UTF-8, with AWS_PROFILE",
            ".aws/credentials",
            not_utf8,
            vec![("AWS_PROFILE", "default".into())],
            contains("not UTF-8 on line 4"),
        ),
        file(
            "a named file that is missing",
            "other",
            vec![],
            named("AWS_SHARED_CREDENTIALS_FILE"),
            names("AWS_SHARED_CREDENTIALS_FILE"),
        ),
        file(
            "a named file that is empty",
            "file",
            vec![],
            named("AWS_SHARED_CREDENTIALS_FILE"),
            names("AWS_SHARED_CREDENTIALS_FILE"),
        ),
        file(
            "a named config file that is blank",
            "file",
            b" \n".to_vec(),
            named("AWS_CONFIG_FILE"),
            names("AWS_CONFIG_FILE"),
        ),
        file(
            "a named file",
            "file",
            whole.clone().into_bytes(),
            named("AWS_SHARED_CREDENTIALS_FILE"),
            Expected::Key(KEY),
        ),
        file("an empty file in the home folder", ".aws/credentials", vec![], vec![], Expected::RoleOfTheMachine),
        case(
            "no file by intention",
            vec![("AWS_CONFIG_FILE", "/dev/null".into()), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".into())],
            Expected::RoleOfTheMachine,
        ),
        case("a home folder that is a file", vec![("HOME", "/dev/null".into())], Expected::RoleOfTheMachine),
    ]
}

/// Values from which whitespace is removed.
fn trimmed() -> Vec<EnvironmentCase> {
    let pair = |id: &str, secret: &str| {
        vec![("AWS_ACCESS_KEY_ID", OsString::from(id)), ("AWS_SECRET_ACCESS_KEY", OsString::from(secret))]
    };
    let with = |name, value: &str| {
        let mut variables = pair(KEY, "secret");
        variables.push((name, value.into()));
        variables
    };
    vec![
        // https://github.com/argoproj/argo-workflows/issues/981
        case("a line end after the key", pair(&format!("{KEY}\n"), "secret\n"), Expected::Key(KEY)),
        case("spaces around the key", pair(&format!(" {KEY}\t"), " secret\r\n"), Expected::Key(KEY)),
        case("a line end after the token", with("AWS_SESSION_TOKEN", "token\n"), Expected::Key(KEY)),
        // https://github.com/smithy-lang/smithy-rs/issues/741
        case("AWS_RETRY_MODE=legacy", with("AWS_RETRY_MODE", "legacy"), Expected::Key(KEY)),
        case("spaces around the retry mode", with("AWS_RETRY_MODE", " standard\n"), Expected::Key(KEY)),
        case("AWS_MAX_ATTEMPTS=0", with("AWS_MAX_ATTEMPTS", "0"), names("AWS_MAX_ATTEMPTS")),
        case("AWS_MAX_ATTEMPTS=-1", with("AWS_MAX_ATTEMPTS", "-1"), names("AWS_MAX_ATTEMPTS")),
        case("a line end after the region", with("AWS_REGION", "us-east-1\n"), Expected::Key(KEY)),
        // https://github.com/argoproj/argo-helm/issues/3801
        case("an empty S3 endpoint", with("AWS_ENDPOINT_URL_S3", ""), Expected::Key(KEY)),
        case("an endpoint without a host", with("AWS_ENDPOINT_URL_S3", "http://"), names("AWS_ENDPOINT_URL_S3")),
        case("an endpoint without a scheme", with("AWS_ENDPOINT_URL", "localhost:9000"), names("AWS_ENDPOINT_URL")),
    ]
}

fn case(name: impl Into<String>, variables: Vec<(&'static str, OsString)>, expected: Expected) -> EnvironmentCase {
    EnvironmentCase { name: name.into(), variables, files: vec![], expected }
}

fn names(variable: &str) -> Expected {
    contains(variable)
}

fn contains(text: &str) -> Expected {
    Expected::Error(vec![text.to_owned()])
}

const KEY: &str = "AKIAEXAMPLE";
