//! The endpoint of a container, as in ECS and in EKS Pod Identity.

use crate::canary::{HALF, JWT, SECRET, TOKEN};
use crate::case::{Case, Outcome, Protocol};
use crate::response::{BINARY, Fields, NO_CONTENT, Response, cut_after, http, ok, portal, redirect, utf16};
use crate::sts::{LAST_VALUE, LONG_VALUE};

/// The SDK makes up to three attempts here, whatever number is configured.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "container",
    env: |fixture| {
        vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/credentials", fixture.url)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", fixture.current("token").display().to_string()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    },
    files: |_| vec![("token", JWT.into())],
    good: |_| ok(Fields::json("Token", true).to_json()).into(),
    profile: None,
    source: None,
    mentions: &["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
    cases,
};

fn cases() -> Vec<Case> {
    [connections(), statuses(), documents(), fields(), dates(), tokens()].into_iter().flatten().collect()
}

fn connections() -> Vec<Case> {
    let whole = || ok(bad().to_json());
    let half = || cut_after(whole(), &SECRET[..20]);
    vec![
        Case::response("closed without a response", "", ["connection closed", "no response from 127.0.0.1:"]),
        Case::response("reset without a response", Response::Reset(vec![]), ["Connection reset"]),
        Case::response("cut off in the headers", "HTTP/1.1 200 OK\r\nContent-Ty", ["connection closed"]),
        Case::response("cut off in the body", half(), ["end of file"]),
        Case::response("reset in the body", Response::Reset(half()), ["Connection reset"]),
        Case::response("one byte at a time", Response::ByteByByte(whole()), Outcome::TimesOut),
        Case::response("no response", Response::Hang, Outcome::TimesOut),
    ]
}

fn statuses() -> Vec<Case> {
    let coded = format!("{{\"code\": \"InvalidToken\", \"message\": \"{JWT}\"}}");
    vec![
        Case::response("204", NO_CONTENT, ["expected a JSON document"]),
        Case::response("redirected to the same URL", redirect("/credentials"), ["302"]),
        Case::response("redirected to another server", redirect("http://127.0.0.1:9/"), ["302"]),
        Case::response("400 with a code", http("400 Bad Request", coded), ["400"]),
        // https://github.com/aws/eks-pod-identity-agent/issues/139
        Case::response(
            "400 with a reason",
            http("400 Bad Request", EKS),
            ["400", "AccessDeniedException", "EKS does not have"],
        ),
        Case::response("401", http("401 Unauthorized", portal()), ["401"]),
        Case::response("403", http("403 Forbidden", portal()), ["403"]),
        Case::response("404", http("404 Not Found", ""), ["404"]),
        Case::response("429", http("429 Too Many Requests", ""), ["429"]),
        Case::response("500", http("500 Internal Server Error", portal()), ["500"]),
        Case::response("503", http("503 Service Unavailable", ""), ["503"]),
        Case::response("a code instead of credentials", ok("{\"code\": \"Busy\"}"), ["Busy"]),
        Case::response(
            "a code and a message instead of credentials",
            ok("{\"code\": \"Busy\", \"message\": \"The agent is starting.\"}"),
            ["Busy", "The agent is starting."],
        ),
    ]
}

/// As the agent of EKS Pod Identity answers.
const EKS: &str = "[4f8d1c0e]: (AccessDeniedException): Unauthorized Exception! EKS does not have permissions to assume \
                   the associated role., fault: client";

fn documents() -> Vec<Case> {
    let whole = || bad().to_json();
    let up_to = |mark| ok(cut_after(whole(), mark));
    let joined = format!("{{\"a\": \"{SECRET}\" \"{TOKEN}\": 1}}");
    let deep = format!("{}{}", "[".repeat(1 << 16), "]".repeat(1 << 16));
    let half_surrogate = format!("\"{SECRET}\\ud83d{TOKEN}\"");
    vec![
        Case::response("200 and nothing", ok(""), ["expected a JSON document"]),
        Case::response("the document ends in a secret", up_to(HALF), ["unexpected end"]),
        Case::response("the document ends in a name", up_to("\"SecretAcc"), ["unexpected end"]),
        Case::response("the document ends after a colon", up_to("\"SecretAccessKey\":"), ["unexpected end"]),
        Case::response("the document ends after a comma", up_to(","), ["unexpected end"]),
        Case::response("an array", ok(format!("[{}]", whole())), ["expected a JSON document"]),
        Case::response("a string", ok(format!("\"{SECRET}\"")), ["expected a JSON document"]),
        Case::response("two documents", ok(whole() + &whole()), ["found more JSON"]),
        Case::response("a comma is missing", ok(joined), ["invalid JSON", "Expected one of '}', ','"]),
        Case::response(
            "a name without quotes",
            ok(format!("{{{SECRET}: 1}}")),
            ["invalid JSON", "Expected one of '\"'"],
        ),
        Case::response(
            "a secret without quotes",
            with("SecretAccessKey", SECRET),
            ["invalid JSON", "unexpected token"],
        ),
        Case::response("a secret with a wrong escape", with("SecretAccessKey", &format!("\"\\{SECRET}\"")), ["escape"]),
        Case::response(
            "a secret with half a surrogate pair",
            with("SecretAccessKey", &half_surrogate),
            ["surrogate pair"],
        ),
        Case::response("a secret of two lines", with("SecretAccessKey", "\"a\nb\""), ["control character"]),
        Case::response("nested in another object", ok(format!("{{\"Credentials\": {}}}", whole())), ["`AccessKeyId`"]),
        Case::response("arrays 65536 deep", with("SecretAccessKey", &deep), ["invalid JSON", "depth"]),
        Case::response("a captive portal", ok(portal()), ["invalid JSON", "unexpected token '<'"]),
        Case::response("XML", ok(Fields::xml(false).to_xml()), ["invalid JSON", "unexpected token '<'"]),
        Case::response("not UTF-8", ok([whole().as_bytes(), BINARY].concat()), ["invalid utf-8"]),
        Case::response("UTF-16", ok(utf16(&whole())), ["invalid utf-8"]),
        Case::response("20 MB of spaces, and no end", Response::padded(cut_after(whole(), HALF)), ["unexpected end"]),
    ]
}

fn fields() -> Vec<Case> {
    let without = |field| ok(bad().without(field).to_json());
    let secret = || format!("\"{SECRET}\"");
    vec![
        Case::response("no AccessKeyId", without("AccessKeyId"), ["`AccessKeyId`", "missing"]),
        Case::response("no SecretAccessKey", without("SecretAccessKey"), ["`SecretAccessKey`", "missing"]),
        Case::response("no Token", without("Token"), ["`Token`", "missing"]),
        Case::response("no Expiration", without("Expiration"), ["`Expiration`", "missing"]),
        Case::response("a number as AccessKeyId", with("AccessKeyId", "20261124"), ["`AccessKeyId`"]),
        Case::response("a number as SecretAccessKey", with("SecretAccessKey", "1e9999"), ["`SecretAccessKey`"]),
        Case::response(
            "an array as SecretAccessKey",
            with("SecretAccessKey", &format!("[{}]", secret())),
            ["`SecretAccessKey`"],
        ),
        Case::response("an object as Token", with("Token", &format!("{{\"Value\": \"{TOKEN}\"}}")), ["`Token`"]),
        Case::response("null as Token", with("Token", "null"), ["`Token`"]),
        Case::response("true as Expiration", with("Expiration", "true"), ["`Expiration`"]),
        Case::response("a number as Expiration", with("Expiration", "4070908800"), ["`Expiration`"]),
        Case::response("an empty AccessKeyId", with("AccessKeyId", "\"\""), ["came without the access key id"]),
        Case::response(
            "an empty SecretAccessKey",
            with("SecretAccessKey", "\"\""),
            ["came without the secret access key"],
        ),
        Case::response("an empty Token", with("Token", "\"\""), ["came without the session token"]),
        Case::response("two SecretAccessKeys", ok(bad().and("SecretAccessKey", secret()).to_json()), LAST_VALUE),
        Case::response("a Token of 4 MB", with("Token", &format!("\"{}\"", "x".repeat(4 << 20))), LONG_VALUE),
    ]
}

fn dates() -> Vec<Case> {
    let dates = [
        ("an empty Expiration", ""),
        ("not a date", "soon"),
        ("a date without a zone", "2099-01-01T00:00:00"),
        ("seconds since 1970", "4070908800"),
        ("the year 99999", "99999-01-01T00:00:00Z"),
        ("a negative year", "-2099-01-01T00:00:00Z"),
        ("a secret as the date", SECRET),
    ];
    let past = [("the year 0", "0000-01-01T00:00:00Z"), ("a date in the past", "2020-01-01T00:00:00Z")];
    let response = |date| with("Expiration", &format!("\"{date}\""));
    let dates = dates.map(|(name, date)| {
        Case::response(name, response(date), ["`Expiration`", "invalid date-time", "2026-11-24T10:00:00Z"])
    });
    dates
        .into_iter()
        .chain(past.map(|(name, date)| Case::response(name, response(date), ["already expired"])))
        .collect()
}

/// The authorization token of the requests.
fn tokens() -> Vec<Case> {
    let with_line_end = vec![("token", format!("{JWT}\n").into())];
    vec![
        Case::missing_file(
            "no token file",
            "token",
            ["No such file", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names the file"],
        ),
        Case::files("a token with a line end", with_line_end, ["auth token could not be used as an HTTP header"]),
    ]
}

fn bad() -> Fields {
    Fields::json("Token", false)
}

fn with(field: &'static str, value: &str) -> Vec<u8> {
    ok(bad().with(field, value).to_json())
}
