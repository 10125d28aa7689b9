//! [`check`]: which requests are answered.

use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};

/// The status to refuse a request with, before its path and secret are looked at.
///
/// The headers are those that a browser or a proxy adds. Neither has any business here: the one would act for a page, the other
/// for another host.
pub(crate) fn check<B>(request: &Request<B>, hosts: &[String]) -> Result<(), StatusCode> {
    let headers = request.headers();
    let host = headers.get(HOST).map(|host| host.as_bytes());
    let mut all_hosts = headers.get_all(HOST).iter();
    let is_own = hosts.iter().any(|own| host.is_some_and(|host| host.eq_ignore_ascii_case(own.as_bytes())));
    // A target that contains a host would count in place of the header.
    if !is_own || all_hosts.nth(1).is_some() || request.uri().authority().is_some() {
        return Err(StatusCode::FORBIDDEN);
    }
    let is_foreign =
        |name: &str| FOREIGN.contains(&name) || name.starts_with("x-forwarded-") || name.starts_with("sec-fetch-");
    if headers.keys().any(|name| is_foreign(name.as_str())) {
        return Err(StatusCode::FORBIDDEN);
    }
    if request.method() != Method::GET {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    Ok(())
}

const FOREIGN: [&str; 5] = ["forwarded", "via", "origin", "referer", "x-real-ip"];
