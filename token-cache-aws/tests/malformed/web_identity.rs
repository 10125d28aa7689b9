//! `AssumeRoleWithWebIdentity`, as in a pod on EKS: with a token from a file.

use crate::canary::{HALF, JWT, SECRET};
use crate::case::{Case, Outcome, Protocol};
use crate::response::{BINARY, Fields, Response, cut_after, http, ok, portal};
use crate::sts::{ROLE, error};

pub(crate) const PROTOCOL: Protocol = Protocol {
    name: "web identity",
    env: |fixture| {
        vec![
            ("AWS_WEB_IDENTITY_TOKEN_FILE", fixture.current("token").display().to_string()),
            ("AWS_ROLE_ARN", ROLE.to_owned()),
            ("AWS_ENDPOINT_URL_STS", fixture.url.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    },
    files: |_| vec![("token", JWT.into())],
    good: |_| ok(document(&Fields::xml(true))).into(),
    profile: None,
    source: None,
    mentions: &["STS", "AWS_WEB_IDENTITY_TOKEN_FILE", "WebIdentityToken"],
    cases,
};

fn cases() -> Vec<Case> {
    let whole = || ok(document(&bad()));
    let without = |field| ok(document(&bad().without(field)));
    let with = |field, value: &str| ok(document(&bad().with(field, value)));
    let refused = |code, message: &str| http("400 Bad Request", error(code, message));
    let with_token = format!("No OpenIDConnect provider found in your account for {JWT}");
    let assume_role = "<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>";
    let too_short = "Value '' at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or \
                     equal to 4";
    vec![
        Case::response("closed without a response", "", ["could not be asked", "connection closed"]),
        Case::response(
            "cut off in the body",
            cut_after(whole(), &SECRET[..20]),
            ["has not answered in full", "end of file"],
        ),
        Case::response("no response", Response::Hang, Outcome::TimesOut),
        Case::response("one byte at a time", Response::ByteByByte(whole()), Outcome::TimesOut),
        Case::response(
            "the document ends in a secret",
            ok(cut_after(document(&bad()), HALF)),
            ["came without the session token"],
        ),
        Case::response(
            "a captive portal",
            ok(portal()),
            ["has answered 200", "expected AssumeRoleWithWebIdentityResponse"],
        ),
        Case::response("the document of AssumeRole", ok(assume_role), ["expected AssumeRoleWithWebIdentityResponse"]),
        Case::response("no credentials", ok(document(&bad()).replace("Credentials>", "O>")), ["must be defined"]),
        Case::response("no SecretAccessKey", without("SecretAccessKey"), ["came without the secret access key"]),
        Case::response("no Expiration", without("Expiration"), ["already expired"]),
        Case::response("not a date", with("Expiration", "soon"), ["Expiration is not a date"]),
        Case::response("a date in the past", with("Expiration", "2020-01-01T00:00:00Z"), ["already expired"]),
        Case::response(
            "400 ExpiredTokenException",
            refused("ExpiredTokenException", "The web identity token that was passed is expired or is not valid"),
            ["refused (400 ExpiredTokenException): The web identity token that was passed is expired or is not valid"],
        ),
        Case::response(
            "400 InvalidIdentityToken, with the token",
            refused("InvalidIdentityToken", &with_token),
            ["refused (400 InvalidIdentityToken): No OpenIDConnect provider found in your account for ***"],
        ),
        Case::response(
            "400 IDPCommunicationError, on each attempt",
            refused("IDPCommunicationError", "Couldn't retrieve verification key from your identity provider"),
            ["refused (400 IDPCommunicationError): Couldn't retrieve verification key"],
        )
        .retried(),
        Case::response(
            "400 ValidationError for an empty token",
            refused("ValidationError", too_short),
            ["refused (400 ValidationError): ", too_short],
        ),
        Case::response(
            "403 AccessDenied",
            http("403 Forbidden", error("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")),
            ["refused (403 AccessDenied): Not authorized to perform sts:AssumeRoleWithWebIdentity"],
        ),
        Case::response("503", http("503 Service Unavailable", ""), ["has answered 503"]),
        Case::missing_file("no token file", "token", ["No such file", "AWS_WEB_IDENTITY_TOKEN_FILE names the file"]),
        Case::files("a token that is not UTF-8", vec![("token", BINARY.into())], ["WebIdentityToken", "UTF-8"]),
    ]
}

fn bad() -> Fields {
    Fields::xml(false)
}

fn document(credentials: &Fields) -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>{}</Credentials>\
         <SubjectFromWebIdentityToken>system:serviceaccount:default:case</SubjectFromWebIdentityToken>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        credentials.to_xml()
    )
}
