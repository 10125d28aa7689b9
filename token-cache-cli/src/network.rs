//! Proxies, certificates and clocks.

use std::time::Duration;

use token_cache_core::{Clock, SystemClock};

use crate::aws::set;
use crate::report::{Section, State};

pub(crate) fn check() -> Section {
    let mut section = Section::new("Network");
    let mut has_proxy = false;
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        if let Some(proxy) = set(name) {
            has_proxy = true;
            section.add("proxy", State::Info, format!("{name}={}", user_free(&proxy)));
        }
    }
    match set("NO_PROXY").or_else(|| set("no_proxy")) {
        Some(hosts) => section.add("no proxy", State::Info, hosts),
        None if has_proxy => {
            section.add("no proxy", State::Info, "NO_PROXY is not set; loopback and link-local never use a proxy")
        }
        None => section.add("proxy", State::NotSet, "none"),
    }
    let mut has_bundle = false;
    for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if let Some(path) = set(name) {
            has_bundle = true;
            match std::fs::metadata(&path) {
                Ok(_) => section.add("certificates", State::Found, format!("{name}={path}")),
                Err(error) => section.add("certificates", State::Problem, format!("{name}={path}: {error}")),
            }
        }
    }
    if !has_bundle {
        section.add("certificates", State::NotSet, "those of the system");
    }
    section
}

/// Compares the clock with the `Date` of a server. Its answer need not be a success.
pub(crate) async fn clock_skew(section: &mut Section, url: &str) {
    let client = match reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build() {
        Ok(client) => client,
        Err(error) => return section.add("clock", State::Info, format!("not compared: {error}")),
    };
    let shown = user_free(url);
    let response = match client.get(url).send().await {
        Ok(response) => response,
        Err(error) => {
            return section.add("clock", State::Info, format!("not compared: {shown}: {}", error.without_url()));
        }
    };
    let date = response.headers().get("date").and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        return section.add("clock", State::Info, format!("not compared: {shown} sends no date"));
    };
    let now = SystemClock::new().now().wall();
    let (skew, direction) = match now.duration_since(date) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if skew > MAX_SKEW {
        let skew = humantime::format_duration(Duration::from_secs(skew.as_secs()));
        section.add(
            "clock",
            State::Problem,
            format!("{skew} {direction} that of {shown}: signatures are refused at 5 minutes"),
        );
    } else {
        section.add("clock", State::Found, format!("as that of {shown}, within {} s", skew.as_secs()));
    }
}

/// A URL without its user, password and query.
pub(crate) fn user_free(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

const TIMEOUT: Duration = Duration::from_secs(5);
/// The date of a response is in whole seconds, and it takes some time.
const MAX_SKEW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_and_no_query_is_shown() {
        for (url, shown) in [
            ("http://user:p@ss@host:1/a?token=x#y", "http://host:1/a"),
            ("user:pass@host:1", "host:1"),
            ("https://host", "https://host"),
            ("", ""),
        ] {
            assert_eq!(user_free(url), shown);
        }
    }
}
