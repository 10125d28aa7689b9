//! `credential_process`: a program that prints JSON, or something else.

use crate::canary::{HALF, JWT, KEY_ID, SECRET, TOKEN};
use crate::case::{Case, Outcome, Protocol};
use crate::fixture::REQUESTED;
use crate::response::{BINARY, Fields, cut_after, portal};
use crate::secrets::texts;

pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "process",
    env: |fixture| {
        vec![
            ("AWS_CONFIG_FILE", fixture.current("config").display().to_string()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    },
    files: |fixture| {
        let config = format!("[profile case]\ncredential_process = sh {}\n", fixture.current("program").display());
        let good = Fields::json("SessionToken", true).with("Version", "1").to_json();
        let program = "cat \"$(dirname \"$0\")/document\"\n";
        vec![("config", config.into()), ("program", program.into()), ("document", good.into())]
    },
    good: |_| unreachable!("there is no server"),
    profile: Some("case"),
    source: None,
    mentions: &["credential_process"],
    cases,
};

fn cases() -> Vec<Case> {
    [exits(), diagnostics(), secrets(), documents(), fields()].into_iter().flatten().collect()
}

/// How the program exits.
fn exits() -> Vec<Case> {
    let hang = format!(": > \"$(dirname \"$0\")/../{REQUESTED}\"; exec sleep 10");
    let half = format!("echo '{{\"SecretAccessKey\": \"{HALF}'; {hang}");
    let document = bad().to_json();
    vec![
        program("exit 1", "exit 1", ["exit status: 1"]),
        program("exit 1, with the document", &format!("echo '{document}'; exit 1"), ["exit status: 1"]),
        program("killed", "kill -9 $$", ["137", "Killed"]),
        program("it does not exit", &hang, Outcome::TimesOut),
        program("it prints half of the document and does not exit", &half, Outcome::TimesOut),
        program("it prints nothing", "exit 0", ["expected a JSON document"]),
        program("it prints to stderr", &format!("echo '{document}' >&2"), ["expected a JSON document"]),
        program("it prints 20 MB", "yes '{\"Version\": 1}' | head -c 20000000", ["found more JSON"]),
    ]
}

/// What the program prints to its stderr before it fails.
fn diagnostics() -> Vec<Case> {
    let login = "The SSO session has expired; run `aws sso login --profile my-company-2`";
    let document = format!("got {}", bad().to_json());
    let environment = format!(
        "AWS_ACCESS_KEY_ID={KEY_ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\nexport AWS_SESSION_TOKEN=\"{TOKEN}\"\nDB_PASSWORD=hunter2"
    );
    let redacted = "AWS_ACCESS_KEY_ID=*** AWS_SECRET_ACCESS_KEY=*** export AWS_SESSION_TOKEN=\"***\" DB_PASSWORD=***";
    let request =
        format!("> GET /v1/creds HTTP/1.1\n> Authorization: Bearer {JWT}\n< HTTP/1.1 403 Forbidden\npermission denied");
    let lines = format!("{}\n{}", &TOKEN[..76], &TOKEN[76..]);
    let traceback = "Traceback (most recent call last):\n  File \"/opt/creds2/get.py\", line 12, in <module>\n\
                     ConnectionError: HTTPSConnectionPool(host=\"vault.example.com\", port=8200): Max retries exceeded";
    let prints = |name, text: &str, words: &[&'static str]| {
        program(name, &format!("cat >&2 <<'END'\n{text}\nEND\nexit 1"), words)
    };
    vec![
        prints("it prints what to do", login, &["exit status: 1", login]),
        prints("it prints the document", &document, &["\"SecretAccessKey\": \"***\"", "\"SessionToken\": \"***\""]),
        prints("it prints its environment", &environment, &[redacted]),
        prints("it prints a request", &request, &["Authorization: ***", "403 Forbidden permission denied"]),
        prints("it prints a secret over two lines", &lines, &["***"]),
        prints("it prints a traceback", traceback, &["line 12, in <module>", "port=8200): Max retries exceeded"]),
        program(
            "it prints colours",
            "printf '\\033[31mError:\\033[0m not\\r\\n\\a logged in' >&2; exit 1",
            ["Error: not logged in"],
        ),
        program(
            "it prints an error that is not UTF-8",
            "printf 'not logged in \\377\\376' >&2; exit 1",
            ["not decode stderr"],
        ),
        program(
            "it prints an error of 20 MB",
            "yes 'not logged in' | head -c 20000000 >&2; exit 1",
            ["not logged in", "[...]"],
        ),
    ]
}

/// Secrets without a name, and with names that announce them.
fn secrets() -> Vec<Case> {
    let prints = |name, text: &str, words: &[&'static str]| {
        program(name, &format!("cat >&2 <<'END'\n{text}\nEND\nexit 1"), words)
    };
    let named = [
        ("password: value", "password: {}, then", "password: *** then"),
        ("an argument", "login --password {} --user me", "login --password *** --user me"),
        ("a header", "> X-Vault-Token: {}", "X-Vault-Token: ***"),
        ("a DSN", "postgres://me:{}@db:5432/name", "postgres://***@db:5432/name"),
        ("a setting", "client_secret = {}", "client_secret = ***"),
        ("a passphrase", "passphrase: '{} {}'", "passphrase: '***'"),
    ];
    let named = named
        .map(|(name, frame, shown)| prints(name, &frame.replace("{}", "correct-horse"), &["exit status: 1", shown]));
    texts().map(|(name, text)| prints(name, &text, &["exit status: 1", "***"])).chain(named).collect()
}

fn documents() -> Vec<Case> {
    let whole = || bad().to_json();
    vec![
        document(
            "a line before the document",
            format!("Using case\n{}", whole()),
            ["invalid JSON", "unexpected token 'U'"],
        ),
        document("a line after the document", format!("{}\nDone, {SECRET}", whole()), ["found more JSON"]),
        document("two documents", whole() + &whole(), ["found more JSON"]),
        document("cut off in a secret", cut_after(whole(), HALF), ["unexpected end"]),
        document("cut off after a comma", cut_after(whole(), ","), ["unexpected end"]),
        document("a page", portal(), ["invalid JSON", "unexpected token '<'"]),
        document("not UTF-8", [whole().as_bytes(), BINARY].concat(), ["could not decode output as UTF-8"]),
        document("an array", format!("[{}]", whole()), ["expected a JSON document"]),
        document("what `aws sts` prints", format!("{{\"Credentials\": {}}}", whole()), ["`Version`"]),
    ]
}

fn fields() -> Vec<Case> {
    let with = |field, value: &str| bad().with(field, value).to_json();
    let without = |field| bad().without(field).to_json();
    let never = Outcome::Accepted("credentials may have no expiration");
    let ignored = Outcome::Accepted("the SDK ignores an expiration that is not a string");
    vec![
        document("no Version", without("Version"), ["`Version`", "missing"]),
        document("version 2", with("Version", "2"), ["`version`", "unknown version number: 2"]),
        document("version 99999999999", with("Version", "99999999999"), ["`Version`", "too large"]),
        document("version 1.5", with("Version", "1.5"), ["`Version`", "1.5"]),
        document("version \"1\"", with("Version", "\"1\""), ["`Version`"]),
        document("no AccessKeyId", without("AccessKeyId"), ["`AccessKeyId`", "missing"]),
        document("no SecretAccessKey", without("SecretAccessKey"), ["`SecretAccessKey`", "missing"]),
        document("no SessionToken", without("SessionToken"), Outcome::Accepted("a long-term key has none")),
        document("no Expiration", without("Expiration"), never),
        document("a number as SecretAccessKey", with("SecretAccessKey", "20261124"), ["`SecretAccessKey`"]),
        document("null as AccessKeyId", with("AccessKeyId", "null"), ["`AccessKeyId`"]),
        document("a number as Expiration", with("Expiration", "4070908800"), ignored),
        document("an empty SecretAccessKey", with("SecretAccessKey", "\"\""), ["came without the secret access key"]),
        document("an empty Expiration", with("Expiration", "\"\""), ["`Expiration`"]),
        document("not a date", with("Expiration", "\"soon\""), ["`Expiration`"]),
        document("a secret as the date", with("Expiration", &format!("\"{SECRET}\"")), ["`Expiration`"]),
        document("a date without a zone", with("Expiration", "\"2099-01-01T00:00:00\""), ["`Expiration`", "offset"]),
        document("the year 99999", with("Expiration", "\"99999-01-01T00:00:00Z\""), ["`Expiration`"]),
        document("the year 0", with("Expiration", "\"0000-01-01T00:00:00Z\""), ["already expired"]),
        document("a date in the past", with("Expiration", "\"2020-01-01T00:00:00Z\""), ["already expired"]),
    ]
}

fn program(name: &'static str, lines: &str, outcome: impl Into<Outcome>) -> Case {
    Case::files(name, vec![("program", lines.into())], outcome)
}

fn document(name: &'static str, text: impl Into<Vec<u8>>, outcome: impl Into<Outcome>) -> Case {
    Case::files(name, vec![("document", text.into())], outcome)
}

fn bad() -> Fields {
    Fields::json("SessionToken", false).with("Version", "1")
}
