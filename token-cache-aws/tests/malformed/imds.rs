//! IMDSv2: the session token, the name of the role, and its credentials.

use crate::canary::{HALF, JWT, SECRET, TOKEN};
use crate::case::{Case, Outcome, Protocol};
use crate::child::SDK_TIMEOUT;
use crate::response::{BINARY, Fields, NO_CONTENT, Response, cut_after, http, http_with, ok, portal, redirect};
use crate::sts::LAST_VALUE;

pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "imds",
    env: |fixture| vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", fixture.url.clone())],
    files: |_| vec![],
    good: |path| match path {
        TOKENS => session("21600").into(),
        ROLES => ok("reader-2").into(),
        _ => ok(Fields::json("Token", true).with("Code", "\"Success\"").to_json()).into(),
    },
    profile: None,
    source: None,
    mentions: &["instance metadata service", "Ec2InstanceMetadata"],
    cases,
};

const TOKENS: &str = "/latest/api/token";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const CREDENTIALS: &str = "/security-credentials/reader-2";

fn cases() -> Vec<Case> {
    [sessions(), roles(), credentials(), fields()].into_iter().flatten().collect()
}

fn sessions() -> Vec<Case> {
    let case = |name, reply: Response, words: &[&'static str]| Case::response_to(TOKENS, name, reply, words);
    let headers = |token: &[u8]| http_with("200 OK", &[(LIFETIME, "21600")], token);
    vec![
        case("token: closed without a response", "".into(), &["session token", "connection closed"]),
        case("token: cut off", cut_after(session("21600"), &JWT[..30]).into(), &["session token", "end of file"]),
        case(
            "token: no response until the timeout of the SDK",
            Response::Hang,
            &["session token", SDK_TIMEOUT, "hop limit"],
        ),
        case("token: 400", http("400 Bad Request", "").into(), &["session token", "has answered 400"]),
        case("token: 403", http("403 Forbidden", portal()).into(), &["has answered 403", "IMDS is disabled"]),
        case("token: 404", http("404 Not Found", portal()).into(), &["session token", "has answered 404"]),
        case("token: 500, on each attempt", http("500 Oh", portal()).into(), &["session token", "has answered 500"]),
        case("token: a captive portal", ok(portal()).into(), &["session token", "invalid token"]),
        case("token: not valid in a header", headers(BINARY).into(), &["session token", "invalid token"]),
        case("token: no lifetime", ok(JWT).into(), &["session token", "did not contain a TTL"]),
        case(
            "token: a lifetime that is not a number",
            session("six hours").into(),
            &["session token", "TTL was invalid"],
        ),
        case("token: a negative lifetime", session("-1").into(), &["session token", "TTL was invalid"]),
        // The SDK adds it to the current time, and panics.
        case("token: a lifetime beyond the range of time", session("18446744073709551615").into(), &["panicked"]),
    ]
}

fn roles() -> Vec<Case> {
    let case = |name, reply: Response, words: &[&'static str]| Case::response_to(ROLES, name, reply, words);
    let forbidden = http_with("403 Forbidden", &[("X-Token", TOKEN)], portal());
    vec![
        Case::response_to(ROLES, "role: no response", Response::Hang, Outcome::TimesOut),
        case("role: 404, because there is none", http("404 Not Found", portal()).into(), &["404 from IMDS"]),
        case("role: 401, on each attempt", http("401 Unauthorized", portal()).into(), &["has answered 401"]),
        case("role: 403", forbidden.into(), &["has answered 403"]),
        case("role: 503, on each attempt", http("503 Oh", portal()).into(), &["has answered 503"]),
        case("role: redirected", redirect(ROLES).into(), &["has answered 302"]),
        case("role: 204", NO_CONTENT.into(), &["no name of a role"]),
        case("role: cut off", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nread".into(), &["end of file"]),
        case("role: not UTF-8", ok(BINARY).into(), &["invalid UTF-8"]),
        // The SDK parses each as a path, and panics.
        case("role: a captive portal", ok(portal()).into(), &["no name of a role"]),
        case("role: two words", ok("reader-2 writer-2").into(), &["no name of a role"]),
        case("role: a path", ok("../reader-2").into(), &["no name of a role"]),
        Case::response_to(ROLES, "role: a line end", ok("reader-2\n"), Outcome::Accepted("AWS's tools ignore it")),
        case("role: 100 kB", ok("r".repeat(100_000)).into(), &["no name of a role"]),
    ]
}

fn credentials() -> Vec<Case> {
    let case = |name, reply: Response, words: &[&'static str]| Case::response_to(CREDENTIALS, name, reply, words);
    let half = || cut_after(ok(bad().to_json()), &SECRET[..20]);
    let secret = format!("SecretAccessKey={SECRET} Token={TOKEN}");
    vec![
        case("closed without a response", "".into(), &["connection closed"]),
        case("cut off in the headers", "HTTP/1.1 200 OK\r\nContent-Ty".into(), &["connection closed"]),
        case("cut off in the body", half().into(), &["end of file"]),
        case("reset in the body", Response::Reset(half()), &["Connection reset"]),
        Case::response_to(
            CREDENTIALS,
            "one byte at a time",
            Response::ByteByByte(ok(bad().to_json())),
            Outcome::TimesOut,
        ),
        case("404, because the role was removed", http("404 Not Found", portal()).into(), &["has answered 404"]),
        case("429", http("429 Too Many Requests", portal()).into(), &["has answered 429"]),
        case("200 and nothing", ok("").into(), &["expected a JSON document"]),
        case("the document ends in a secret", ok(cut_after(bad().to_json(), HALF)).into(), &["unexpected end"]),
        case("a captive portal", ok(portal()).into(), &["invalid JSON", "unexpected token '<'"]),
        case("not UTF-8", ok(BINARY).into(), &["invalid UTF-8"]),
        case(
            "AssumeRoleUnauthorizedAccess",
            refused("AssumeRoleUnauthorizedAccess", "EC2 cannot assume the role reader-2.").into(),
            &["AssumeRoleUnauthorizedAccess", "EC2 cannot assume the role reader-2", "trust relationship"],
        ),
        case(
            "another code with a secret",
            refused("Failed", &secret).into(),
            &["Failed SecretAccessKey=*** Token=***"],
        ),
    ]
}

fn fields() -> Vec<Case> {
    let with = |field, value: &str| ok(bad().with(field, value).to_json());
    let without = |field| ok(bad().without(field).to_json());
    let two = ok(bad().and("Token", format!("\"{TOKEN}\"")).to_json());
    let past = Outcome::Accepted("the SDK extends it by 10 to 15 minutes");
    let case = |name, reply: Vec<u8>, outcome| Case::response_to(CREDENTIALS, name, reply, outcome);
    vec![
        case("Code: Failed", with("Code", "\"Failed\""), ["Failed"].into()),
        case("no AccessKeyId", without("AccessKeyId"), ["`AccessKeyId`", "missing"].into()),
        case("no SecretAccessKey", without("SecretAccessKey"), ["`SecretAccessKey`", "missing"].into()),
        case("no Token", without("Token"), ["`Token`", "missing"].into()),
        case("no Expiration", without("Expiration"), ["`Expiration`", "missing"].into()),
        case("a number as AccessKeyId", with("AccessKeyId", "20261124"), ["`AccessKeyId`", "missing"].into()),
        case(
            "an array as SecretAccessKey",
            with("SecretAccessKey", &format!("[\"{SECRET}\"]")),
            ["`SecretAccessKey`"].into(),
        ),
        case("null as Token", with("Token", "null"), ["`Token`", "missing"].into()),
        case("a number as Expiration", with("Expiration", "4070908800"), ["`Expiration`", "missing"].into()),
        case("not a date", with("Expiration", "\"soon\""), ["`Expiration`", "2026-11-24T10:00:00Z"].into()),
        case(
            "the year 99999",
            with("Expiration", "\"99999-01-01T00:00:00Z\""),
            ["`Expiration`", "invalid date-time"].into(),
        ),
        case("a date in the past", with("Expiration", "\"2020-01-01T00:00:00Z\""), past),
        case(
            "an empty SecretAccessKey",
            with("SecretAccessKey", "\"\""),
            ["came without the secret access key"].into(),
        ),
        case("two Tokens", two, LAST_VALUE),
    ]
}

fn session(lifetime: &str) -> Vec<u8> {
    http_with("200 OK", &[(LIFETIME, lifetime)], JWT)
}

const LIFETIME: &str = "x-aws-ec2-metadata-token-ttl-seconds";

fn bad() -> Fields {
    Fields::json("Token", false).with("Code", "\"Success\"")
}

fn refused(code: &str, message: &str) -> Vec<u8> {
    ok(format!("{{\"Code\": \"{code}\", \"Message\": \"{message}\", \"LastUpdated\": \"2026-11-24T00:00:00Z\"}}"))
}
