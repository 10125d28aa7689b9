//! [`Environment`]: the process's environment, read once, in which empty is unset and every value is well-formed.
//!
//! The SDK reads each variable on its own and takes the values as they are: it panics on some, and others make it
//! continue with another identity. So it gets this snapshot instead.

use std::collections::HashMap;
use std::env;

use aws_credential_types::provider::error::CredentialsError;
use http::Uri;

pub(crate) struct Environment {
    values: HashMap<String, Result<String, Malformed>>,
}

impl Environment {
    pub(crate) fn read() -> Self {
        let named = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let values = named.filter_map(|(name, value)| match value.into_string() {
            Ok(value) if name.starts_with("AWS_") || name == SECRET_ALIAS => {
                (!value.is_empty()).then(|| (name, normalize(&value)))
            }
            Ok(value) => Some((name, Ok(value))),
            Err(_) => Some((name, Err(Malformed::NotUtf8))),
        });
        Self { values: values.collect() }
    }

    /// A variable that decides which identity is used. Surrounding whitespace is removed, as the AWS SDK for Java does.
    ///
    /// # Errors
    ///
    /// If it has a value that cannot be meant. A blank value is no value, but somebody has set it.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&str>, CredentialsError> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(malformed)) => Err(invalid(name, malformed.describe())),
        }
    }

    /// The first of two variables that is set.
    pub(crate) fn first_of(&self, names: [&'static str; 2]) -> Result<Option<(&'static str, &str)>, CredentialsError> {
        for name in names {
            if let Some(value) = self.get(name)? {
                return Ok(Some((name, value)));
            }
        }
        Ok(None)
    }

    /// Both values of two variables that require each other, or `None` if neither is set.
    ///
    /// # Errors
    ///
    /// If only one is set.
    pub(crate) fn both(&self, first: &str, second: &str) -> Result<Option<(&str, &str)>, CredentialsError> {
        let (set, unset) = match (self.get(first)?, self.get(second)?) {
            (Some(first), Some(second)) => return Ok(Some((first, second))),
            (None, None) => return Ok(None),
            (Some(_), None) => (first, second),
            (None, Some(_)) => (second, first),
        };
        Err(CredentialsError::invalid_configuration(format!(
            "the environment sets {set} but not {unset}; set both or neither, so that no other identity is used \
             instead"
        )))
    }

    /// A variable that does not decide which identity is used. Malformed is unset: [`check_settings`](Self::check_settings)
    /// reports it.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_deref().ok()
    }

    /// Whether the instance metadata service must not be used.
    pub(crate) fn is_metadata_disabled(&self) -> bool {
        self.setting("AWS_EC2_METADATA_DISABLED").is_some_and(is_true)
    }

    /// Fails if a variable has a value at which the SDK panics, or which it ignores.
    pub(crate) fn check_settings(&self) -> Result<(), CredentialsError> {
        let mut names: Vec<_> = self.values.keys().collect();
        // The same one of several in each run.
        names.sort_unstable();
        names.into_iter().try_for_each(|name| match (Setting::of(name), &self.values[name]) {
            (None, _) | (Some(_), Err(Malformed::Blank)) => Ok(()),
            (Some(_), Err(malformed)) => Err(invalid(name, malformed.describe())),
            (Some(setting), Ok(value)) => setting.check(value).map_err(|expected| invalid(name, expected)),
        })
    }

    /// The well-formed variables, for the SDK.
    pub(crate) fn variables(&self) -> HashMap<String, String> {
        let valid = self.values.iter().filter_map(|(name, value)| {
            let value = value.as_deref().ok()?;
            let Some(setting) = Setting::of(name) else { return Some((name.clone(), value.to_owned())) };
            setting.check(value).ok()?;
            Some((name.clone(), setting.for_sdk(value).to_owned()))
        });
        let mut variables: HashMap<_, _> = valid.collect();
        // The SDK reads only the first.
        if let (false, Some(name)) =
            (variables.contains_key("AWS_PROFILE"), variables.get("AWS_DEFAULT_PROFILE").cloned())
        {
            variables.insert("AWS_PROFILE".to_owned(), name);
        }
        variables
    }

    /// The same without those that decide which identity is used, and without the instance metadata service.
    pub(crate) fn variables_without_identity(&self) -> HashMap<String, String> {
        let mut variables = self.variables();
        variables.retain(|name, _| !IDENTITY.contains(&name.as_str()) && name != SECRET_ALIAS);
        variables.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
        variables
    }
}

/// The SDK's documented alternative name of `AWS_SECRET_ACCESS_KEY`.
pub(crate) const SECRET_ALIAS: &str = "SECRET_ACCESS_KEY";

/// The variables that select or configure a link of the chain.
const IDENTITY: [&str; 11] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Why a value cannot be meant.
#[derive(Clone, Copy)]
enum Malformed {
    Blank,
    ControlCharacter,
    NotUtf8,
    Quoted,
    Unprintable,
}

impl Malformed {
    const fn describe(self) -> &'static str {
        match self {
            Self::Blank => "is blank; set a value, or unset it",
            Self::ControlCharacter => "contains a line end or another control character; remove it",
            Self::NotUtf8 => "is not UTF-8; set it again",
            Self::Quoted => "has quotes around its value; remove them",
            Self::Unprintable => "starts with a byte order mark; remove it",
        }
    }
}

fn normalize(value: &str) -> Result<String, Malformed> {
    let trimmed = value.trim();
    let is_quoted = |quote| trimmed.len() > 1 && trimmed.starts_with(quote) && trimmed.ends_with(quote);
    match trimmed {
        "" => Err(Malformed::Blank),
        _ if trimmed.starts_with('\u{feff}') => Err(Malformed::Unprintable),
        _ if trimmed.contains(char::is_control) => Err(Malformed::ControlCharacter),
        _ if is_quoted('"') || is_quoted('\'') => Err(Malformed::Quoted),
        _ => Ok(trimmed.to_owned()),
    }
}

fn invalid(name: &str, problem: &str) -> CredentialsError {
    CredentialsError::invalid_configuration(format!("the variable {name} {problem}"))
}

/// The values that a setting can have. Variables of the environment and keys of profiles share them.
#[derive(Clone, Copy)]
pub(super) enum Setting {
    Attempts,
    Bool,
    EndpointMode,
    Region,
    RetryMode,
    Url,
}

impl Setting {
    fn of(variable: &str) -> Option<Self> {
        Some(match variable {
            "AWS_MAX_ATTEMPTS" => Self::Attempts,
            "AWS_EC2_METADATA_DISABLED"
            | "AWS_USE_FIPS_ENDPOINT"
            | "AWS_USE_DUALSTACK_ENDPOINT"
            | "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" => Self::Bool,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE" => Self::EndpointMode,
            "AWS_REGION" | "AWS_DEFAULT_REGION" => Self::Region,
            "AWS_RETRY_MODE" => Self::RetryMode,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT" => Self::Url,
            name if name.starts_with("AWS_ENDPOINT_URL") => Self::Url,
            _ => return None,
        })
    }

    pub(super) fn of_profile_key(key: &str) -> Option<Self> {
        Some(match key {
            "max_attempts" => Self::Attempts,
            "use_fips_endpoint" | "use_dualstack_endpoint" | "ignore_configured_endpoint_urls" => Self::Bool,
            "ec2_metadata_service_endpoint_mode" => Self::EndpointMode,
            "region" => Self::Region,
            "retry_mode" => Self::RetryMode,
            "endpoint_url" | "ec2_metadata_service_endpoint" => Self::Url,
            _ => return None,
        })
    }

    /// Fails with the rest of a sentence that begins with the name of the setting.
    pub(super) fn check(self, value: &str) -> Result<(), &'static str> {
        match self {
            Self::Attempts if value.parse::<u32>().is_ok_and(|attempts| attempts > 0) => Ok(()),
            Self::Attempts => Err("is not a number of attempts; set 1 or more, or unset it"),
            Self::Bool if is_true(value) || value.eq_ignore_ascii_case("false") => Ok(()),
            Self::Bool => Err("is neither true nor false; set one of them, or unset it"),
            Self::EndpointMode if ["ipv4", "ipv6"].iter().any(|mode| value.eq_ignore_ascii_case(mode)) => Ok(()),
            Self::EndpointMode => Err("is neither IPv4 nor IPv6; set one of them, or unset it"),
            Self::Region if is_region(value) => Ok(()),
            Self::Region => Err("is not the name of a region, such as eu-north-1"),
            Self::RetryMode if RETRY_MODES.contains(&value) => Ok(()),
            Self::RetryMode => Err("is not a retry mode; set standard or adaptive, or unset it"),
            Self::Url if is_http_url(value) => Ok(()),
            Self::Url => Err("is not the URL of a server; set one that starts with http:// or https://, or unset it"),
        }
    }

    /// The value in the form that the SDK accepts.
    pub(super) fn for_sdk(self, value: &str) -> &str {
        match self {
            // Other SDKs know this mode, and it is the default of the AWS CLI. This one panics at it.
            Self::RetryMode if value == "legacy" => "standard",
            _ => value,
        }
    }
}

const RETRY_MODES: [&str; 3] = ["standard", "adaptive", "legacy"];

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

/// A region becomes a part of a host name.
pub(crate) fn is_region(value: &str) -> bool {
    value.len() <= 63
        && !value.starts_with('-')
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !value.is_empty()
}

pub(super) fn is_http_url(value: &str) -> bool {
    value.parse::<Uri>().is_ok_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    })
}
