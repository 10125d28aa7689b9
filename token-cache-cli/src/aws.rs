//! AWS: the links of the SDK's default chain, and what it finds.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use token_cache_aws::{AwsTokenCache, is_no_credentials};
use token_cache_core::{Clock, SystemClock};

use crate::network::{clock_skew, user_free};
use crate::report::{Section, State};

pub(crate) async fn check() -> Section {
    let mut section = Section::new("AWS");
    environment(&mut section);
    profile(&mut section);
    web_identity(&mut section);
    container(&mut section);
    instance(&mut section);
    credentials(&mut section).await;
    section
}

fn environment(section: &mut Section) {
    let (key, secret) = (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY").or_else(|| set("SECRET_ACCESS_KEY")));
    let kind = if set("AWS_SESSION_TOKEN").is_some() { "a session" } else { "a long-term key" };
    match (key, secret) {
        (Some(_), Some(_)) => section.add("environment", State::Found, format!("{kind} in AWS_ACCESS_KEY_ID")),
        (None, None) => section.add("environment", State::NotSet, "AWS_ACCESS_KEY_ID is not set"),
        (Some(_), None) => {
            section.add("environment", State::Problem, "AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY")
        }
        (None, Some(_)) => {
            section.add("environment", State::Problem, "AWS_SECRET_ACCESS_KEY without AWS_ACCESS_KEY_ID")
        }
    }
}

fn profile(section: &mut Section) {
    let name = set("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let files =
        [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")].map(|(variable, file)| {
            set(variable)
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".aws").join(file)))
        });
    let mut found = Vec::new();
    for path in files.into_iter().flatten() {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let keys = keys_of(&text, &name);
                if !keys.is_empty() {
                    found.push(format!("{} ({})", path.display(), keys.join(", ")));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => section.add("profile", State::Problem, format!("{}: {error}", path.display())),
        }
    }
    let is_named = set("AWS_PROFILE").is_some();
    match found.is_empty() {
        false => section.add("profile", State::Found, format!("{name:?} in {}", found.join(" and "))),
        true if is_named => {
            section.add("profile", State::Problem, format!("AWS_PROFILE names {name:?}, which is in no file"))
        }
        true => section.add("profile", State::NotSet, "no default profile"),
    }
}

/// The names of the keys of a profile, without their values.
fn keys_of(text: &str, profile: &str) -> Vec<String> {
    let mut is_in_profile = false;
    let mut keys = Vec::new();
    for line in text.lines() {
        if let Some(header) = line.trim().strip_prefix('[').and_then(|line| line.split(']').next()) {
            let header = header.trim();
            let name = header.strip_prefix("profile ").unwrap_or(header).trim().trim_matches(['"', '\'']);
            is_in_profile = name == profile;
        } else if let (true, Some((key, _))) =
            (is_in_profile && !line.starts_with([' ', '\t', '#', ';']), line.split_once('='))
        {
            keys.push(key.trim().to_owned());
        }
    }
    keys
}

fn web_identity(section: &mut Section) {
    match (set("AWS_WEB_IDENTITY_TOKEN_FILE"), set("AWS_ROLE_ARN")) {
        (Some(file), Some(role)) => match std::fs::metadata(&file) {
            Ok(_) => section.add("web identity", State::Found, format!("{role}, with the token in {file}")),
            Err(error) => section.add("web identity", State::Problem, format!("{file}: {error}")),
        },
        (Some(_), None) => {
            section.add("web identity", State::Problem, "AWS_WEB_IDENTITY_TOKEN_FILE without AWS_ROLE_ARN");
        }
        (None, _) => section.add("web identity", State::NotSet, "AWS_WEB_IDENTITY_TOKEN_FILE is not set"),
    }
}

fn container(section: &mut Section) {
    let relative = set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|uri| format!("http://169.254.170.2{uri}"));
    let Some(uri) = relative.or_else(|| set("AWS_CONTAINER_CREDENTIALS_FULL_URI")) else {
        section.add("container", State::NotSet, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set");
        return;
    };
    match set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(|file| (std::fs::metadata(&file), file)) {
        Some((Err(error), file)) => section.add("container", State::Problem, format!("{file}: {error}")),
        _ => section.add("container", State::Found, user_free(&uri)),
    }
}

fn instance(section: &mut Section) {
    if set("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        section.add("instance", State::NotSet, "AWS_EC2_METADATA_DISABLED is true");
        return;
    }
    let endpoint = set("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    let text = endpoint.as_deref().map_or_else(|| "http://169.254.169.254, asked last".to_owned(), user_free);
    section.add("instance", State::Info, text);
}

async fn credentials(section: &mut Section) {
    let aws = AwsTokenCache::from_env().await;
    let got = aws.cache().get_with_times().await;
    match &got {
        Ok(found) => {
            let credentials = &*found.token;
            let kind = match (credentials.session_token(), credentials.access_key_id()) {
                (Some(_), _) => "a session",
                (None, id) if id.starts_with("AKIA") => "a long-term key of a user",
                (None, _) => "a long-term key",
            };
            let account =
                credentials.account_id().map_or_else(String::new, |id| format!(" of the account {}", id.as_str()));
            section.add("credentials", State::Found, format!("{kind}{account}"));
            match found.expires_at {
                Some(expires_at) => {
                    let now = SystemClock::new().now().wall();
                    let remaining = expires_at.duration_since(now).unwrap_or_default();
                    let time = humantime::format_rfc3339_seconds(expires_at);
                    let remaining = humantime::format_duration(Duration::from_secs(remaining.as_secs()));
                    section.add("expiry", State::Info, format!("{time}, in {remaining}"));
                    if let Some(next) = aws.cache().status().until_refresh {
                        let next = humantime::format_duration(Duration::from_secs(next.as_secs()));
                        section.add(
                            "refresh",
                            State::Info,
                            format!("this cache would refresh it in {next}, in the background"),
                        );
                    }
                }
                None => section.add("expiry", State::Info, "none, so a cache reads it again now and then"),
            }
        }
        Err(error) if is_no_credentials(error) => {
            section.add("credentials", State::NotSet, "no credentials are configured");
        }
        Err(error) => section.add("credentials", State::Problem, error.to_string()),
    }
    match aws.region() {
        Some(region) => section.add("region", State::Found, region),
        // Without credentials nobody misses it.
        None if got.is_err() => section.add("region", State::NotSet, "set AWS_REGION"),
        None => section.add("region", State::Problem, "none: set AWS_REGION, or region in the profile"),
    }
    let endpoint = aws.s3_endpoint_url().map_or_else(|| "that of AWS".to_owned(), user_free);
    section.add("S3 endpoint", State::Info, endpoint);

    if got.is_ok() {
        let sts = set("AWS_ENDPOINT_URL_STS").or_else(|| set("AWS_ENDPOINT_URL"));
        let sts = sts.unwrap_or_else(|| format!("https://sts.{}.amazonaws.com", aws.region().unwrap_or("us-east-1")));
        clock_skew(section, &sts).await;
    }
}

/// A variable that is set and not blank.
pub(crate) fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_profile_are_named_without_their_values() {
        let text =
            "[default]\nregion = eu\n[profile a b]\nrole_arn=x\ns3 =\n  max = 1\n# c = d\n[profile 'q']\nsso = y\n";
        assert_eq!(keys_of(text, "default"), ["region"]);
        assert_eq!(keys_of(text, "a b"), ["role_arn", "s3"]);
        assert_eq!(keys_of(text, "q"), ["sso"]);
        assert!(keys_of(text, "c").is_empty());
    }
}
