//! A container's endpoint, as of ECS and of EKS Pod Identity.

use crate::answer::{BINARY, Fields, NO_CONTENT, Reply, cut_after, http, ok, portal, redirect, utf16};
use crate::canary::{HALF, JWT, SECRET, TOKEN};
use crate::case::{Case, Outcome, Protocol, sdk_chain};
use crate::sts::{LAST, LONG};

/// The SDK asks three times where another answer may be better, whatever is set.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "container",
    env: |place| {
        vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/credentials", place.url)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", place.now("token").display().to_string()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    },
    files: |_| vec![("token", JWT.into())],
    good: |_| ok(Fields::json("Token", true).to_json()).into(),
    profile: None,
    source: Some(sdk_chain),
    link: &["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
    cases,
};

fn cases() -> Vec<Case> {
    [connections(), statuses(), documents(), fields(), dates(), tokens()].into_iter().flatten().collect()
}

fn connections() -> Vec<Case> {
    let whole = || ok(bad().to_json());
    let half = || cut_after(whole(), &SECRET[..20]);
    vec![
        Case::answer("closed without an answer", "", ["connection closed"]),
        Case::answer("reset without an answer", Reply::Reset(vec![]), ["Connection reset"]),
        Case::answer("cut off in the headers", "HTTP/1.1 200 OK\r\nContent-Ty", ["connection closed"]),
        Case::answer("cut off in the body", half(), ["end of file"]),
        Case::answer("reset in the body", Reply::Reset(half()), ["Connection reset"]),
        Case::answer("a byte now and then", Reply::Drip(whole()), Outcome::Slow),
        Case::answer("silence", Reply::Silence, Outcome::Slow),
    ]
}

fn statuses() -> Vec<Case> {
    let coded = format!("{{\"code\": \"InvalidToken\", \"message\": \"{JWT}\"}}");
    vec![
        Case::answer("204", NO_CONTENT, ["expected a JSON document"]),
        Case::answer("redirected to itself", redirect("/credentials"), ["302"]),
        Case::answer("redirected elsewhere", redirect("http://127.0.0.1:9/"), ["302"]),
        Case::answer("400 with a code", http("400 Bad Request", coded), ["400"]),
        Case::answer("401", http("401 Unauthorized", portal()), ["401"]),
        Case::answer("403", http("403 Forbidden", portal()), ["403"]),
        Case::answer("404", http("404 Not Found", ""), ["404"]),
        Case::answer("429", http("429 Too Many Requests", ""), ["429"]),
        Case::answer("500", http("500 Internal Server Error", portal()), ["500"]),
        Case::answer("503", http("503 Service Unavailable", ""), ["503"]),
        Case::answer("a code in place of credentials", ok("{\"code\": \"Busy\"}"), ["Busy"]),
        Case::answer(
            "a code and a message in place of credentials",
            ok("{\"code\": \"Busy\", \"message\": \"The agent is starting.\"}"),
            ["Busy", "The agent is starting."],
        ),
    ]
}

fn documents() -> Vec<Case> {
    let whole = || bad().to_json();
    let up_to = |mark| ok(cut_after(whole(), mark));
    let joined = format!("{{\"a\": \"{SECRET}\" \"{TOKEN}\": 1}}");
    let deep = format!("{}{}", "[".repeat(1 << 16), "]".repeat(1 << 16));
    let half_a_pair = format!("\"{SECRET}\\ud83d{TOKEN}\"");
    vec![
        Case::answer("200 and nothing", ok(""), ["expected a JSON document"]),
        Case::answer("the document ends in a secret", up_to(HALF), ["unexpected end"]),
        Case::answer("the document ends in a name", up_to("\"SecretAcc"), ["unexpected end"]),
        Case::answer("the document ends after a colon", up_to("\"SecretAccessKey\":"), ["unexpected end"]),
        Case::answer("the document ends after a comma", up_to(","), ["unexpected end"]),
        Case::answer("an array", ok(format!("[{}]", whole())), ["expected a JSON document"]),
        Case::answer("a string", ok(format!("\"{SECRET}\"")), ["expected a JSON document"]),
        Case::answer("two documents", ok(whole() + &whole()), ["found more JSON"]),
        Case::answer("a comma is missing", ok(joined), ["invalid JSON", "Expected one of '}', ','"]),
        Case::answer("a name without quotes", ok(format!("{{{SECRET}: 1}}")), ["invalid JSON", "Expected one of '\"'"]),
        Case::answer("a secret without quotes", with("SecretAccessKey", SECRET), ["invalid JSON", "unexpected token"]),
        Case::answer("a secret with a wrong escape", with("SecretAccessKey", &format!("\"\\{SECRET}\"")), ["escape"]),
        Case::answer("a secret with half a surrogate pair", with("SecretAccessKey", &half_a_pair), ["surrogate pair"]),
        Case::answer("a secret of two lines", with("SecretAccessKey", "\"a\nb\""), ["control character"]),
        Case::answer("nested in another object", ok(format!("{{\"Credentials\": {}}}", whole())), ["`AccessKeyId`"]),
        Case::answer("arrays 65536 deep", with("SecretAccessKey", &deep), ["invalid JSON", "depth"]),
        Case::answer("a captive portal", ok(portal()), ["invalid JSON", "unexpected token '<'"]),
        Case::answer("XML", ok(Fields::xml(false).to_xml()), ["invalid JSON", "unexpected token '<'"]),
        Case::answer("not UTF-8", ok([whole().as_bytes(), BINARY].concat()), ["invalid utf-8"]),
        Case::answer("UTF-16", ok(utf16(&whole())), ["invalid utf-8"]),
        Case::answer("20 MB of nothing, and no end", Reply::flood(cut_after(whole(), HALF)), ["unexpected end"]),
    ]
}

fn fields() -> Vec<Case> {
    let without = |field| ok(bad().without(field).to_json());
    let secret = || format!("\"{SECRET}\"");
    vec![
        Case::answer("no AccessKeyId", without("AccessKeyId"), ["`AccessKeyId`", "missing"]),
        Case::answer("no SecretAccessKey", without("SecretAccessKey"), ["`SecretAccessKey`", "missing"]),
        Case::answer("no Token", without("Token"), ["`Token`", "missing"]),
        Case::answer("no Expiration", without("Expiration"), ["`Expiration`", "missing"]),
        Case::answer("a number as AccessKeyId", with("AccessKeyId", "20261124"), ["`AccessKeyId`"]),
        Case::answer("a number as SecretAccessKey", with("SecretAccessKey", "1e9999"), ["`SecretAccessKey`"]),
        Case::answer(
            "an array as SecretAccessKey",
            with("SecretAccessKey", &format!("[{}]", secret())),
            ["`SecretAccessKey`"],
        ),
        Case::answer("an object as Token", with("Token", &format!("{{\"Value\": \"{TOKEN}\"}}")), ["`Token`"]),
        Case::answer("null as Token", with("Token", "null"), ["`Token`"]),
        Case::answer("true as Expiration", with("Expiration", "true"), ["`Expiration`"]),
        Case::answer("a number as Expiration", with("Expiration", "4070908800"), ["`Expiration`"]),
        Case::answer("an empty AccessKeyId", with("AccessKeyId", "\"\""), ["came without the access key id"]),
        Case::answer(
            "an empty SecretAccessKey",
            with("SecretAccessKey", "\"\""),
            ["came without the secret access key"],
        ),
        Case::answer("an empty Token", with("Token", "\"\""), ["came without the session token"]),
        Case::answer("two SecretAccessKeys", ok(bad().and("SecretAccessKey", secret()).to_json()), LAST),
        Case::answer("a Token of 4 MB", with("Token", &format!("\"{}\"", "x".repeat(4 << 20))), LONG),
    ]
}

fn dates() -> Vec<Case> {
    let dates = [
        ("an empty Expiration", ""),
        ("a date that is none", "soon"),
        ("a date without a zone", "2099-01-01T00:00:00"),
        ("seconds since 1970", "4070908800"),
        ("the year 99999", "99999-01-01T00:00:00Z"),
        ("a negative year", "-2099-01-01T00:00:00Z"),
        ("a secret as the date", SECRET),
    ];
    let past = [("the year 0", "0000-01-01T00:00:00Z"), ("a date in the past", "2020-01-01T00:00:00Z")];
    let answer = |date| with("Expiration", &format!("\"{date}\""));
    let dates = dates.map(|(name, date)| {
        Case::answer(name, answer(date), ["`Expiration`", "invalid date-time", "2026-11-24T10:00:00Z"])
    });
    dates.into_iter().chain(past.map(|(name, date)| Case::answer(name, answer(date), ["already expired"]))).collect()
}

/// What is shown to the endpoint.
fn tokens() -> Vec<Case> {
    let with_a_line = vec![("token", format!("{JWT}\n").into())];
    vec![
        Case::gone("no token file", "token", ["No such file", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names the file"]),
        Case::files("a token with a line's end", with_a_line, ["auth token could not be used as an HTTP header"]),
    ]
}

fn bad() -> Fields {
    Fields::json("Token", false)
}

fn with(field: &'static str, value: &str) -> Vec<u8> {
    ok(bad().with(field, value).to_json())
}
