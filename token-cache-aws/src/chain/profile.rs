//! What a profile says about credentials: whether it configures any, and whose.

use aws_config::profile::{Profile, ProfileSet};

use super::account::account_of;
use super::identity::Identity;

/// The keys of a profile that mean credentials. A profile with one of them is used, or is an error.
pub(super) const CREDENTIAL_KEYS: [&str; 18] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "credential_process",
    "credential_source",
    "duration_seconds",
    "external_id",
    "login_session",
    "mfa_serial",
    "role_arn",
    "role_session_name",
    "source_profile",
    "sso_account_id",
    "sso_region",
    "sso_role_name",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

pub(super) fn configures_credentials(profile: &Profile) -> bool {
    CREDENTIAL_KEYS.into_iter().any(|key| profile.get(key).is_some())
}

/// The `credential_source` at the end of a profile's chain of roles.
pub(super) fn credential_source<'a>(profiles: &'a ProfileSet, name: &'a str) -> Option<&'a str> {
    walk(profiles, name, &mut Identity::new(String::new()))?.get("credential_source")
}

/// The profile with an MFA device, on the chain of roles of a profile.
pub(super) fn with_mfa(profiles: &ProfileSet, name: &str) -> Option<String> {
    let (mut name, mut visited) = (name, Vec::new());
    while !visited.contains(&name) {
        let profile = profiles.get_profile(name)?;
        if profile.get("mfa_serial").is_some() {
            return Some(name.to_owned());
        }
        visited.push(name);
        name = profile.get("source_profile")?;
    }
    None
}

/// The identity of a profile: its roles, and what assumes the first of them.
pub(super) fn identity(profiles: &ProfileSet, name: &str) -> Identity {
    let mut identity = Identity::new(format!("the profile \"{name}\""));
    let Some(base) = walk(profiles, name, &mut identity) else { return identity };
    let mut add = |keys: &[&str]| {
        let is_set = keys.iter().any(|key| base.get(key).is_some());
        if is_set {
            for key in keys {
                identity.add(key, base.get(key).unwrap_or_default());
            }
        }
        is_set
    };
    let is_issued = add(&["credential_source"])
        || add(&["web_identity_token_file", "role_arn"])
        || add(&["sso_session", "sso_start_url", "sso_account_id", "sso_role_name"])
        || add(&["login_session"])
        || add(&["credential_process"]);
    if !is_issued {
        identity.add("keys", "");
        identity.set_account(base.get("aws_access_key_id").and_then(account_of));
    }
    identity
}

/// Adds the roles of a profile, and returns the profile that assumes the first of them. In the order of the SDK, which
/// reports what is incomplete.
fn walk<'a>(profiles: &'a ProfileSet, name: &'a str, identity: &mut Identity) -> Option<&'a Profile> {
    let (mut name, mut visited) = (name, Vec::new());
    loop {
        let profile = profiles.get_profile(name)?;
        let has_keys = profile.get("aws_access_key_id").is_some() && profile.get("aws_secret_access_key").is_some();
        if visited.contains(&name)
            || has_keys && !visited.is_empty()
            || profile.get("web_identity_token_file").is_some()
        {
            return Some(profile);
        }
        visited.push(name);
        let Some(role) = profile.get("role_arn") else { return Some(profile) };
        identity.add("role_arn", role);
        match profile.get("source_profile") {
            Some(source) if source != name => name = source,
            _ => return Some(profile),
        }
    }
}
