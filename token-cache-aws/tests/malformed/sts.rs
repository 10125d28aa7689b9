//! `AssumeRole`: XML, and errors with a code.

use std::env;

use aws_credential_types::Credentials;
use token_cache_aws::{AssumeRole, AwsTokenCache, defaults};

use crate::canary::{BASE_KEY_ID, BASE_SECRET, HALF, SECRET, TOKEN};
use crate::case::{Case, Outcome, Protocol};
use crate::child::{SDK_TIMEOUT, URL};
use crate::response::{BINARY, Fields, NO_CONTENT, Response, cut_after, http, http_with, ok, portal, redirect};

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/team/reader-2";

/// From a profile with a role, and from a role over a cache.
pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "sts",
    env: |fixture| {
        vec![
            ("AWS_CONFIG_FILE", fixture.current("config").display().to_string()),
            ("AWS_PROFILE", "case".to_owned()),
            ("AWS_ENDPOINT_URL_STS", fixture.url.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    },
    files: |_| {
        let base =
            format!("[profile base]\naws_access_key_id = {BASE_KEY_ID}\naws_secret_access_key = {BASE_SECRET}\n");
        let case = format!("[profile case]\nrole_arn = {ROLE}\nsource_profile = base\n");
        vec![("config", format!("{base}{case}").into())]
    },
    good: |_| ok(document(&Fields::xml(true))).into(),
    profile: None,
    source: Some(|| {
        Box::pin(async {
            let base = Credentials::new(BASE_KEY_ID, BASE_SECRET, None, None, "base");
            let config = defaults().credentials_provider(base).endpoint_url(env::var(URL).unwrap()).load().await;
            AssumeRole::new(ROLE).source(&AwsTokenCache::from_sdk_config(&config).unwrap()).await
        })
    }),
    mentions: &["STS"],
    cases,
};

fn cases() -> Vec<Case> {
    [connections(), documents(), fields(), dates(), refusals(), rejections(), skews()].into_iter().flatten().collect()
}

fn connections() -> Vec<Case> {
    let whole = || ok(document(&bad()));
    let half = || cut_after(whole(), &SECRET[..20]);
    vec![
        Case::response("closed without a response", "", ["could not be asked", "connection closed"]),
        Case::response("reset without a response", Response::Reset(vec![]), ["could not be asked", "Connection reset"]),
        Case::response("not a status line", "SSH-2.0-OpenSSH_9.6\r\n", ["invalid HTTP version"]),
        Case::response("cut off in the headers", "HTTP/1.1 200 OK\r\nContent-Ty", ["connection closed"]),
        Case::response(
            "a negative length",
            "HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n",
            ["invalid content-length"],
        ),
        Case::response("cut off in the body", half(), ["has not answered in full", "end of file"]),
        Case::response("reset in the body", Response::Reset(half()), ["has not answered in full", "Connection reset"]),
        Case::response("one byte at a time", Response::ByteByByte(whole()), Outcome::TimesOut),
        Case::response("no response", Response::Hang, Outcome::TimesOut),
        Case::response(
            "no response until the timeout of the SDK",
            Response::Hang,
            ["has not answered in time", SDK_TIMEOUT, "after 5s"],
        ),
    ]
}

fn documents() -> Vec<Case> {
    let up_to = |mark| ok(cut_after(document(&bad()), mark));
    let other = format!("<ListRolesResponse token=\"{TOKEN}\"/>");
    let inner = format!("<AssumeRoleResponse><Other token=\"{TOKEN}\"/></AssumeRoleResponse>");
    let none = "<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>";
    let deep = format!("{}{}", "<a>".repeat(1 << 16), "</a>".repeat(1 << 16));
    vec![
        Case::response("200 and nothing", ok(""), ["has answered 200", "no root element"]),
        Case::response("204", NO_CONTENT, ["has answered 204", "no root element"]),
        Case::response("the document ends in the first tag", ok("<AssumeRoleRespon"), ["no root element"]),
        // The SDK takes a missing element for an empty one, and an empty expiration for 1970.
        Case::response("the document ends in a tag", up_to("</SecretAcc"), ["came without the session token"]),
        Case::response("the document ends in a secret", up_to(HALF), ["came without the session token"]),
        Case::response(
            "the document ends after the credentials",
            up_to("</Credentials>"),
            Outcome::Accepted("it has all fields"),
        ),
        Case::response(
            "not UTF-8",
            ok([document(&bad()).as_bytes(), BINARY].concat()),
            ["has answered 200", "invalid utf-8"],
        ),
        Case::response("binary", ok(BINARY), ["has answered 200", "invalid utf-8"]),
        Case::response(
            "JSON",
            ok(Fields::json("SessionToken", false).to_json()),
            ["has answered 200", "no root element"],
        ),
        Case::response("a captive portal", ok(portal()), ["has answered 200", "expected AssumeRoleResponse"]),
        Case::response("another document", ok(other), ["has answered 200", "expected AssumeRoleResponse"]),
        Case::response("another result", ok(inner), ["has answered 200", "expected AssumeRoleResult"]),
        Case::response("no credentials", ok(none), ["credentials must be defined"]),
        Case::response(
            "elements 65536 deep",
            with("SecretAccessKey", &deep),
            ["has answered 200", "looking for a data element"],
        ),
        Case::response("20 MB of spaces", Response::padded(""), ["has answered 200", "no root element"]),
    ]
}

fn fields() -> Vec<Case> {
    let without = |field| ok(document(&bad().without(field)));
    let element = format!("<Value>{SECRET}</Value>");
    vec![
        Case::response("no AccessKeyId", without("AccessKeyId"), ["came without the access key id"]),
        Case::response("no SecretAccessKey", without("SecretAccessKey"), ["came without the secret access key"]),
        Case::response("no SessionToken", without("SessionToken"), ["came without the session token"]),
        Case::response("no Expiration", without("Expiration"), ["already expired"]),
        Case::response("an empty AccessKeyId", with("AccessKeyId", ""), ["came without the access key id"]),
        Case::response("an empty SecretAccessKey", with("SecretAccessKey", ""), ["came without the secret access key"]),
        Case::response("an empty SessionToken", with("SessionToken", ""), ["came without the session token"]),
        Case::response(
            "an element as SecretAccessKey",
            with("SecretAccessKey", &element),
            ["looking for a data element"],
        ),
        Case::response("an unknown entity", with("SessionToken", &format!("&{TOKEN};")), ["invalid XML escape"]),
        Case::response("two SecretAccessKeys", ok(document(&bad().and("SecretAccessKey", SECRET))), LAST_VALUE),
        Case::response("a SessionToken of 4 MB", with("SessionToken", &"x".repeat(4 << 20)), LONG_VALUE),
    ]
}

fn dates() -> Vec<Case> {
    let dates = [
        ("an empty Expiration", ""),
        ("not a date", "soon"),
        ("a date without a zone", "2099-01-01T00:00:00"),
        ("a date without a time", "2099-01-01"),
        ("seconds since 1970", "4070908800"),
        ("the year 99999", "99999-01-01T00:00:00Z"),
        ("a negative year", "-2099-01-01T00:00:00Z"),
        ("February 30", "2099-02-30T00:00:00Z"),
        ("a secret as the date", SECRET),
    ];
    let past = [("the year 0", "0000-01-01T00:00:00Z"), ("a date in the past", "2020-01-01T00:00:00Z")];
    let dates = dates.map(|(name, date)| Case::response(name, with("Expiration", date), ["Expiration is not a date"]));
    dates
        .into_iter()
        .chain(past.map(|(name, date)| Case::response(name, with("Expiration", date), ["already expired"])))
        .collect()
}

fn refusals() -> Vec<Case> {
    let denied = "User: arn:aws:sts::123456789012:assumed-role/web/i-0abc123def4567890 is not authorized to perform: \
                        sts:AssumeRole on resource: arn:aws:iam::123456789012:role/team/reader-2";
    // STS includes the canonical request in its message, and so the session token.
    let canonical = format!(
        "The request signature we calculated does not match. The Canonical String for this request should have been \
         'POST\n/\n\nhost:sts.amazonaws.com\nx-amz-security-token:{TOKEN}\n\nhost'"
    );
    let cut = cut_after(error("AccessDenied", SECRET), "</Mess");
    let no_code = "<ErrorResponse><Error><Message>The request is too long.</Message></Error></ErrorResponse>";
    let bad_request = |code, message| http("400 Bad Request", error(code, message));
    let forbidden = |code, message| http("403 Forbidden", error(code, message));
    let throttled = || http("429 Too Many Requests", error("Throttling", "Rate exceeded"));
    vec![
        Case::response(
            "400 ValidationError",
            bad_request("ValidationError", "Value 'a b' at 'roleArn' failed to satisfy constraint"),
            ["refused (400 ValidationError): Value 'a b' at 'roleArn' failed"],
        ),
        Case::response(
            "400 ExpiredTokenException",
            bad_request("ExpiredTokenException", "The security token included in the request is expired"),
            ["refused (400 ExpiredTokenException): The security token included in the request is expired"],
        ),
        Case::response(
            "400 MalformedPolicyDocument",
            bad_request("MalformedPolicyDocument", "This policy contains invalid Json"),
            ["refused (400 MalformedPolicyDocument): This policy contains invalid Json"],
        ),
        Case::response("403 AccessDenied", forbidden("AccessDenied", denied), ["refused (403 AccessDenied): ", denied]),
        Case::response(
            "403 InvalidClientTokenId",
            forbidden("InvalidClientTokenId", "The security token included in the request is invalid."),
            ["refused (403 InvalidClientTokenId): The security token included in the request is invalid."],
        ),
        Case::response(
            "403 SignatureDoesNotMatch",
            forbidden("SignatureDoesNotMatch", &canonical),
            ["refused (403 SignatureDoesNotMatch): The request signature", "x-amz-security-token:***"],
        ),
        Case::response(
            "403 RegionDisabledException",
            forbidden("RegionDisabledException", "STS is not activated in this region for account:123456789012."),
            ["refused (403 RegionDisabledException): STS is not activated in this region for account:123456789012."],
        ),
        Case::response("403 with a secret", http("403 Forbidden", cut), ["refused (403 AccessDenied): ***"]),
        Case::response(
            "400 without a code",
            http("400 Bad Request", no_code),
            ["has answered 400: The request is too long."],
        ),
        Case::response("400 without a body", http("400 Bad Request", ""), ["has answered 400", "no root element"]),
        Case::response("403 with a page", http("403 Forbidden", portal()), ["has answered 403"]),
        Case::response("407", http("407 Proxy Authentication Required", ""), ["has answered 407"]),
        Case::response("429 Throttling", throttled(), ["refused (429 Throttling): Rate exceeded"]),
        Case::response("429 Throttling, on each attempt", throttled(), ["refused (429 Throttling): Rate exceeded"])
            .retried(),
        Case::response("500", http("500 Internal Server Error", ""), ["has answered 500"]),
        Case::response("500, on each attempt", http("500 Internal Server Error", ""), ["has answered 500"]).retried(),
        Case::response("503 with a page", http("503 Service Unavailable", portal()), ["has answered 503"]),
        Case::response("redirected to the same URL", redirect("/"), ["has answered 302"]),
        Case::response("redirected to another server", redirect("http://127.0.0.1:9/"), ["has answered 302"]),
    ]
}

/// Codes that reject the credentials of the base, which are the only ones there are: the error stays that of STS.
fn rejections() -> Vec<Case> {
    let message = "The security token included in the request is invalid.";
    let codes = [
        ("ExpiredToken", "refused (403 ExpiredToken): "),
        ("InvalidToken", "refused (403 InvalidToken): "),
        ("RequestExpired", "refused (403 RequestExpired): "),
        ("AuthFailure", "refused (403 AuthFailure): "),
        ("UnrecognizedClientException", "refused (403 UnrecognizedClientException): "),
        ("InvalidAccessKeyId", "refused (403 InvalidAccessKeyId): "),
        ("TokenRefreshRequired", "refused (403 TokenRefreshRequired): "),
    ];
    codes
        .map(|(code, shown)| Case::response(code, http("403 Forbidden", error(code, message)), [shown, message]))
        .into()
}

/// The clock of this machine, as far as the server's `Date` shows it.
fn skews() -> Vec<Case> {
    let message =
        "Signature expired: 20261124T100000Z is now earlier than 20261124T101500Z (20261124T103000Z - 15 min.)";
    let refused = |code, date| http_with("403 Forbidden", &[("Date", date)], error(code, message));
    let (past, future) = ("Wed, 01 Jan 2020 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT");
    let shown = "Signature expired: 20261124T100000Z is now earlier than 20261124T101500Z";
    vec![
        Case::response(
            "the clock is ahead",
            refused("SignatureDoesNotMatch", past),
            [shown, "min ahead of that of STS, set it"],
        ),
        Case::response(
            "the clock is behind",
            refused("SignatureDoesNotMatch", future),
            [shown, "min behind that of STS, set it"],
        ),
        Case::response("a date that is none", refused("SignatureDoesNotMatch", "soon"), [shown]),
    ]
}

pub(crate) const LAST_VALUE: Outcome = Outcome::Accepted("the last value counts");
pub(crate) const LONG_VALUE: Outcome = Outcome::Accepted("the length has no limit");

fn bad() -> Fields {
    Fields::xml(false)
}

fn with(field: &'static str, value: &str) -> Vec<u8> {
    ok(document(&bad().with(field, value)))
}

fn document(credentials: &Fields) -> String {
    let user = "<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:case</AssumedRoleId>\
                <Arn>arn:aws:sts::123456789012:assumed-role/reader-2/case</Arn></AssumedRoleUser>";
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
         <Credentials>{}</Credentials>{user}</AssumeRoleResult></AssumeRoleResponse>",
        credentials.to_xml()
    )
}

pub(crate) fn error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ErrorResponse>"
    )
}
