//! `credential_process`: a program that prints JSON, and whatever it has to say otherwise.

use token_cache_aws::{SdkSource, defaults};

use crate::answer::{BINARY, Fields, cut_after, portal};
use crate::canary::{HALF, JWT, KEY_ID, SECRET, TOKEN};
use crate::case::{Case, Outcome, Protocol};

pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "process",
    env: |place| {
        vec![
            ("AWS_CONFIG_FILE", place.now("config").display().to_string()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    },
    files: |place| {
        let config = format!("[profile case]\ncredential_process = sh {}\n", place.now("program").display());
        let good = Fields::json("SessionToken", true).with("Version", "1").to_json();
        let program = "cat \"$(dirname \"$0\")/answer\"\n";
        vec![("config", config.into()), ("program", program.into()), ("answer", good.into())]
    },
    good: |_| unreachable!("nobody is asked"),
    profile: Some("case"),
    source: Some(|| {
        Box::pin(async { SdkSource::from_sdk_config(&defaults().profile_name("case").load().await).unwrap() })
    }),
    link: &["credential_process"],
    cases,
};

fn cases() -> Vec<Case> {
    [ends(), complaints(), documents(), fields()].into_iter().flatten().collect()
}

/// How the program ends.
fn ends() -> Vec<Case> {
    let half = format!("echo '{{\"SecretAccessKey\": \"{HALF}'; exec sleep 10");
    let answer = bad().to_json();
    vec![
        program("exit 1", "exit 1", ["exit status: 1"]),
        program("exit 1, with the answer", &format!("echo '{answer}'; exit 1"), ["exit status: 1"]),
        program("killed", "kill -9 $$", ["137", "Killed"]),
        program("it never ends", "exec sleep 10", Outcome::Slow),
        program("it never ends, after a half", &half, Outcome::Slow),
        program("it prints nothing", "exit 0", ["expected a JSON document"]),
        program("it prints to stderr", &format!("echo '{answer}' >&2"), ["expected a JSON document"]),
        program("it prints 20 MB", "yes '{\"Version\": 1}' | head -c 20000000", ["found more JSON"]),
    ]
}

/// What a program prints to its stderr before it fails.
fn complaints() -> Vec<Case> {
    let login = "The SSO session has expired; run `aws sso login --profile my-company-2`";
    let answer = format!("got {}", bad().to_json());
    let environment = format!(
        "AWS_ACCESS_KEY_ID={KEY_ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\nexport AWS_SESSION_TOKEN=\"{TOKEN}\"\nDB_PASSWORD=hunter2"
    );
    let masked = "AWS_ACCESS_KEY_ID=*** AWS_SECRET_ACCESS_KEY=*** export AWS_SESSION_TOKEN=\"***\" DB_PASSWORD=***";
    let request =
        format!("> GET /v1/creds HTTP/1.1\n> Authorization: Bearer {JWT}\n< HTTP/1.1 403 Forbidden\npermission denied");
    let lines = format!("{}\n{}", &TOKEN[..76], &TOKEN[76..]);
    let traceback = "Traceback (most recent call last):\n  File \"/opt/creds2/get.py\", line 12, in <module>\n\
                     ConnectionError: HTTPSConnectionPool(host=\"vault.example.com\", port=8200): Max retries exceeded";
    let complains = |name, text: &str, words: &[&'static str]| {
        program(name, &format!("cat >&2 <<'END'\n{text}\nEND\nexit 1"), words)
    };
    vec![
        complains("it says what to do", login, &["exit status: 1", login]),
        complains("it prints the answer", &answer, &["\"SecretAccessKey\": \"***\"", "\"SessionToken\": \"***\""]),
        complains("it prints its environment", &environment, &[masked]),
        complains("it prints a request", &request, &["Authorization: ***", "403 Forbidden permission denied"]),
        complains("it prints a secret over two lines", &lines, &["***"]),
        complains("it prints a traceback", traceback, &["line 12, in <module>", "port=8200): Max retries exceeded"]),
        program(
            "it prints colours",
            "printf '\\033[31mError:\\033[0m not\\r\\n\\a logged in' >&2; exit 1",
            ["Error: not logged in"],
        ),
        program(
            "it complains, and not in UTF-8",
            "printf 'not logged in \\377\\376' >&2; exit 1",
            ["not decode stderr"],
        ),
        program(
            "it complains in 20 MB",
            "yes 'not logged in' | head -c 20000000 >&2; exit 1",
            ["not logged in", "[...]"],
        ),
    ]
}

fn documents() -> Vec<Case> {
    let whole = || bad().to_json();
    vec![
        answer(
            "a line before the document",
            format!("Using case\n{}", whole()),
            ["invalid JSON", "unexpected token 'U'"],
        ),
        answer("a line after the document", format!("{}\nDone, {SECRET}", whole()), ["found more JSON"]),
        answer("two documents", whole() + &whole(), ["found more JSON"]),
        answer("cut off in a secret", cut_after(whole(), HALF), ["unexpected end"]),
        answer("cut off after a comma", cut_after(whole(), ","), ["unexpected end"]),
        answer("a page", portal(), ["invalid JSON", "unexpected token '<'"]),
        answer("not UTF-8", [whole().as_bytes(), BINARY].concat(), ["could not decode output as UTF-8"]),
        answer("an array", format!("[{}]", whole()), ["expected a JSON document"]),
        answer("what `aws sts` prints", format!("{{\"Credentials\": {}}}", whole()), ["`Version`"]),
    ]
}

fn fields() -> Vec<Case> {
    let with = |field, value: &str| bad().with(field, value).to_json();
    let without = |field| bad().without(field).to_json();
    let never = Outcome::Taken("credentials may have no expiration");
    let ignored = Outcome::Taken("the SDK takes an expiration that is no string for none");
    vec![
        answer("no Version", without("Version"), ["`Version`", "missing"]),
        answer("version 2", with("Version", "2"), ["`version`", "unknown version number: 2"]),
        answer("version 99999999999", with("Version", "99999999999"), ["`Version`", "too large"]),
        answer("version 1.5", with("Version", "1.5"), ["`Version`", "1.5"]),
        answer("version \"1\"", with("Version", "\"1\""), ["`Version`"]),
        answer("no AccessKeyId", without("AccessKeyId"), ["`AccessKeyId`", "missing"]),
        answer("no SecretAccessKey", without("SecretAccessKey"), ["`SecretAccessKey`", "missing"]),
        answer("no SessionToken", without("SessionToken"), Outcome::Taken("a long-term key has none")),
        answer("no Expiration", without("Expiration"), never),
        answer("a number as SecretAccessKey", with("SecretAccessKey", "20261124"), ["`SecretAccessKey`"]),
        answer("null as AccessKeyId", with("AccessKeyId", "null"), ["`AccessKeyId`"]),
        answer("a number as Expiration", with("Expiration", "4070908800"), ignored),
        answer("an empty SecretAccessKey", with("SecretAccessKey", "\"\""), ["came without the secret access key"]),
        answer("an empty Expiration", with("Expiration", "\"\""), ["`Expiration`"]),
        answer("a date that is none", with("Expiration", "\"soon\""), ["`Expiration`"]),
        answer("a secret as the date", with("Expiration", &format!("\"{SECRET}\"")), ["`Expiration`"]),
        answer("a date without a zone", with("Expiration", "\"2099-01-01T00:00:00\""), ["`Expiration`", "offset"]),
        answer("the year 99999", with("Expiration", "\"99999-01-01T00:00:00Z\""), ["`Expiration`"]),
        answer("the year 0", with("Expiration", "\"0000-01-01T00:00:00Z\""), ["already expired"]),
        answer("a date in the past", with("Expiration", "\"2020-01-01T00:00:00Z\""), ["already expired"]),
    ]
}

fn program(name: &'static str, lines: &str, outcome: impl Into<Outcome>) -> Case {
    Case::files(name, vec![("program", lines.into())], outcome)
}

fn answer(name: &'static str, answer: impl Into<Vec<u8>>, outcome: impl Into<Outcome>) -> Case {
    Case::files(name, vec![("answer", answer.into())], outcome)
}

fn bad() -> Fields {
    Fields::json("SessionToken", false).with("Version", "1")
}
