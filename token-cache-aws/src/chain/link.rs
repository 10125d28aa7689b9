//! [`Link`]: the link of the default chain that is configured. The SDK tries each in turn instead.

use std::error::Error as _;

use aws_config::profile::ProfileSet;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::error::CredentialsError;
use http::uri::PathAndQuery;

use super::account::account_of;
use super::environment::{Environment, SECRET_ALIAS, is_http_url};
use super::files::{FileError, ProfileFiles, check_settings};
use super::identity::Identity;
use super::profile::{CREDENTIAL_KEYS, configures_credentials, identity};
use crate::source::is_printable;

/// The first link of the default chain of which something is set. If it is not whole, that is an error: the next link
/// is another identity.
pub(super) enum Link {
    Environment(Credentials),
    Profile(Box<Profile>),
    WebIdentity,
    Container,
    InstanceMetadata,
}

pub(super) struct Profile {
    pub(super) name: String,
    pub(super) files: ProfileFiles,
    pub(super) profiles: ProfileSet,
}

/// What the environment and the files configure.
pub(super) struct Resolved {
    pub(super) link: Link,
    /// Of the instance metadata service, it is not known yet.
    pub(super) identity: Identity,
}

impl Resolved {
    /// The identity of one profile.
    pub(super) fn profile(env: &Environment, name: &str) -> Result<Self, CredentialsError> {
        let files = ProfileFiles::read(env)?;
        let profiles = files.parse(name)?;
        check_settings(&profiles, name)?;
        let found = profiles.get_profile(name).filter(|profile| configures_credentials(profile));
        if let (None, Some(spelling)) = (found, files.misspelled(name)) {
            return Err(CredentialsError::invalid_configuration(spelling));
        }
        let identity = identity(&profiles, name);
        Ok(Self { link: Link::Profile(Box::new(Profile { name: name.to_owned(), files, profiles })), identity })
    }

    /// The identity of the default chain.
    pub(super) fn default_chain(env: &Environment) -> Result<Self, CredentialsError> {
        if let Some(credentials) = keys(env)? {
            let mut identity = Identity::new("the environment".to_owned());
            identity.set_account(account_of(credentials.access_key_id()));
            return Ok(Self { link: Link::Environment(credentials), identity });
        }
        if let Some(resolved) = Self::selected_profile(env)? {
            return Ok(resolved);
        }
        if let Some((_, role)) = env.both("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")? {
            let identity = Identity::new("a web identity".to_owned()).with("AWS_ROLE_ARN", role);
            return Ok(Self { link: Link::WebIdentity, identity });
        }
        if let Some((variable, uri)) = container(env)? {
            let identity = Identity::new("the container's endpoint".to_owned()).with(variable, uri);
            return Ok(Self { link: Link::Container, identity });
        }
        let identity = Identity::new(INSTANCE_METADATA.to_owned());
        Ok(Self { link: Link::InstanceMetadata, identity })
    }

    /// `None` if the profile configures no credentials: it may contain a region only.
    fn selected_profile(env: &Environment) -> Result<Option<Self>, CredentialsError> {
        let variable = selected(env)?;
        let name = variable.map_or("default", |(_, name)| name);
        let resolved = Self::profile(env, name)?;
        let Link::Profile(profile) = &resolved.link else { return Ok(None) };
        match (profile.profiles.get_profile(name), variable) {
            (Some(profile), _) if configures_credentials(profile) => Ok(Some(resolved)),
            (None, Some((variable, _))) => Err(CredentialsError::invalid_configuration(format!(
                "{variable} names the profile \"{name}\", which is neither in ~/.aws/config nor in \
                 ~/.aws/credentials (nor in the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name)"
            ))),
            _ => {
                let empty_key = profile.files.empty_credential_key(name);
                let problem = empty_key
                    .map(|key| format!("in the profile \"{name}\", {key} has no value; set one, or remove it"));
                // A tool may be about to write it.
                let empty_file = || {
                    profile
                        .files
                        .empty(env)
                        .map(|name| format!("the file that {name} names is empty; fill it, or unset {name}"))
                };
                match problem.or_else(empty_file) {
                    Some(problem) => Err(CredentialsError::invalid_configuration(problem)),
                    None => Ok(None),
                }
            }
        }
    }
}

/// Names the profile in an error of the files.
pub(super) fn of_profile(name: &str, error: CredentialsError) -> CredentialsError {
    match error.source().and_then(|source| source.downcast_ref()) {
        Some(FileError(reason)) => CredentialsError::invalid_configuration(FileError(format!(
            "the profile \"{name}\" has no credentials: {reason}"
        ))),
        None => error,
    }
}

/// The variable that names the profile, and the name.
pub(super) fn selected(env: &Environment) -> Result<Option<(&'static str, &str)>, CredentialsError> {
    // The name of the variable in the first versions of the AWS CLI, which still reads it. The SDK does not.
    let both = [env.get("AWS_PROFILE")?, env.get("AWS_DEFAULT_PROFILE")?];
    if let [Some(profile), Some(default)] = both
        && profile != default
    {
        return Err(CredentialsError::invalid_configuration(
            "AWS_PROFILE and AWS_DEFAULT_PROFILE name different profiles; unset AWS_DEFAULT_PROFILE",
        ));
    }
    env.first_of(["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
}

/// The access key of the environment.
pub(super) fn keys(env: &Environment) -> Result<Option<Credentials>, CredentialsError> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    const TOKEN: &str = "AWS_SESSION_TOKEN";
    let secret = match env.get(ID)? {
        // Other programs have a variable of this name too.
        Some(_) if env.get(SECRET)?.is_none() => SECRET_ALIAS,
        _ => SECRET,
    };
    let pair = match (env.get(ID)?, env.get(secret)?) {
        (Some(id), Some(secret)) => (id, secret),
        _ => match env.both(ID, SECRET)? {
            Some(pair) => pair,
            None if env.get(TOKEN)?.is_some() => {
                return Err(CredentialsError::invalid_configuration(format!(
                    "the environment sets {TOKEN} but neither {ID} nor {SECRET}; set all three, or unset it"
                )));
            }
            None => return Ok(None),
        },
    };
    let token = env.get(TOKEN)?;
    for (name, value) in [(ID, Some(pair.0)), (TOKEN, token)] {
        if value.is_some_and(|value| !is_printable(value)) {
            return Err(CredentialsError::invalid_configuration(format!(
                "the variable {name} contains a character that no request can carry; set it again, without spaces and \
                 line ends"
            )));
        }
    }
    let mut credentials = Credentials::new(pair.0, pair.1, token.map(ToOwned::to_owned), None, "EnvironmentVariable");
    credentials.get_property_mut_or_default::<Vec<Feature>>().push(Feature::CredentialsEnvVars);
    Ok(Some(credentials))
}

/// The variable with the URI of the container's endpoint, and the URI.
pub(super) fn container(env: &Environment) -> Result<Option<(&'static str, &str)>, CredentialsError> {
    let uri = env.first_of(["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"])?;
    let token = env.first_of(["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN"])?;
    match (uri, token) {
        (None, None) => Ok(None),
        (None, Some((token, _))) => Err(CredentialsError::invalid_configuration(format!(
            "the environment sets {token} but neither AWS_CONTAINER_CREDENTIALS_FULL_URI nor \
             AWS_CONTAINER_CREDENTIALS_RELATIVE_URI; set one of them, or unset it"
        ))),
        (Some((variable, uri)), _) => {
            let is_valid = match variable {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI" => is_http_url(uri),
                _ => uri.starts_with('/') && uri.parse::<PathAndQuery>().is_ok(),
            };
            if !is_valid {
                return Err(CredentialsError::invalid_configuration(format!(
                    "the variable {variable} is not the URI of an endpoint; set one that starts with {}",
                    if variable.ends_with("FULL_URI") { "http:// or https://" } else { "a slash" }
                )));
            }
            Ok(Some((variable, uri)))
        }
    }
}

/// The keys that mean credentials, for a message.
pub(super) fn credential_keys(profile: &aws_config::profile::Profile) -> String {
    CREDENTIAL_KEYS.into_iter().filter(|key| profile.get(key).is_some()).collect::<Vec<_>>().join(", ")
}

pub(super) const INSTANCE_METADATA: &str = "the instance metadata service";
