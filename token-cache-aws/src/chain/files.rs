//! [`ProfileFiles`]: the config file and the credentials file, read once.
//!
//! To the SDK, a file that it cannot read is an empty file: the chain continues with another identity.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_config::profile::{self, ProfileSet};
use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};

use super::environment::{Environment, Setting};
use super::profile::CREDENTIAL_KEYS;

pub(crate) struct ProfileFiles {
    config: Option<File>,
    credentials: Option<File>,
}

struct File {
    path: PathBuf,
    /// Without settings that have no value.
    text: String,
    /// The sections and keys of those.
    empty_settings: Vec<(String, String)>,
}

impl ProfileFiles {
    /// # Errors
    ///
    /// If a file exists that cannot be read, or one that a variable names does not exist or is empty.
    pub(crate) fn read(env: &Environment) -> Result<Self, CredentialsError> {
        Ok(Self {
            config: read(env, "AWS_CONFIG_FILE", "config")?,
            credentials: read(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials")?,
        })
    }

    /// The files, if they can be read and parsed.
    pub(crate) fn read_valid(env: &Environment) -> Option<Self> {
        let files = Self::read(env).ok()?;
        files.parse("default").is_ok().then_some(files)
    }

    pub(crate) const fn none() -> Self {
        Self { config: None, credentials: None }
    }

    /// The profiles, of which `selected` is looked up.
    ///
    /// # Errors
    ///
    /// The file, the line and the reason.
    pub(crate) fn parse(&self, selected: &str) -> Result<ProfileSet, CredentialsError> {
        let mut contents = HashMap::new();
        let mut variables = HashMap::new();
        for (file, variable) in [(&self.config, "AWS_CONFIG_FILE"), (&self.credentials, "AWS_SHARED_CREDENTIALS_FILE")]
        {
            let (path, text) = file.as_ref().map_or_else(|| (Path::new(ABSENT), ""), |file| (&file.path, &file.text));
            variables.insert(variable.to_owned(), path.to_string_lossy().into_owned());
            contents.insert(path.to_string_lossy().into_owned(), text.as_bytes().to_vec());
        }
        // Files in memory, so that errors have the path and nothing is read twice. The future is ready on its first poll.
        let (fs, env, files) = (Fs::from_map(contents), Env::from(variables), EnvConfigFiles::default());
        let parsed = pin!(profile::load(&fs, &env, &files, Some(selected.to_owned().into())));
        match parsed.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(profiles)) => Ok(profiles),
            Poll::Ready(Err(error)) => {
                let reason = error.source().unwrap_or(&error).to_string();
                Err(CredentialsError::invalid_configuration(FileError(reason)))
            }
            Poll::Pending => Err(CredentialsError::unhandled("the profile files could not be parsed")),
        }
    }

    /// Without settings at which the SDK panics.
    pub(crate) fn for_sdk(&self) -> EnvConfigFiles {
        let text =
            |file: &Option<File>| file.as_ref().map_or_else(String::new, |file| without_invalid_settings(&file.text));
        EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, text(&self.config))
            .with_contents(EnvConfigFileKind::Credentials, text(&self.credentials))
            .build()
    }

    /// The variable that names an empty file. A device such as `/dev/null` is meant to be empty.
    pub(crate) fn empty(&self, env: &Environment) -> Option<&'static str> {
        let files = [("AWS_CONFIG_FILE", &self.config), ("AWS_SHARED_CREDENTIALS_FILE", &self.credentials)];
        files.into_iter().find_map(|(variable, file)| {
            let file = file.as_ref()?;
            let is_empty = file.text.trim().is_empty() && fs::metadata(&file.path).is_ok_and(|found| found.is_file());
            (is_empty && env.setting(variable).is_some()).then_some(variable)
        })
    }

    /// A key of the profile that means credentials and has no value.
    pub(crate) fn empty_credential_key(&self, name: &str) -> Option<&str> {
        let files = [&self.config, &self.credentials].into_iter().flatten();
        let mut settings = files.flat_map(|file| &file.empty_settings);
        let found =
            settings.find(|(section, key)| bare_name(section) == name && CREDENTIAL_KEYS.contains(&key.as_str()));
        found.map(|(_, key)| key.as_str())
    }

    /// A section that seems to be the profile `name`, but that the SDK ignores, and how to spell it.
    pub(crate) fn misspelled(&self, name: &str) -> Option<String> {
        let config = sections(self.config.as_ref()).find_map(|(path, section)| {
            let is_ignored = section != "default" && bare_name(section) == name && section != format!("profile {name}");
            let is_ignored = is_ignored && section.split_whitespace().collect::<Vec<_>>() != ["profile", name];
            is_ignored.then(|| {
                spelling(path, section, &if name == "default" { name.into() } else { format!("profile {name}") })
            })
        });
        config.or_else(|| {
            sections(self.credentials.as_ref()).find_map(|(path, section)| {
                (section != name && bare_name(section) == name).then(|| spelling(path, section, name))
            })
        })
    }
}

fn spelling(path: &Path, section: &str, correct: &str) -> String {
    format!("{} has a section [{section}], which must be [{correct}] in this file", path.display())
}

/// The names in brackets.
fn sections(file: Option<&File>) -> impl Iterator<Item = (&Path, &str)> {
    file.into_iter().flat_map(|file| file.text.lines().filter_map(|line| Some((file.path.as_path(), section(line)?))))
}

fn section(line: &str) -> Option<&str> {
    Some(line.strip_prefix('[')?.split(']').next()?.trim())
}

/// A name without the prefix and the quotes that some tools write.
fn bare_name(section: &str) -> &str {
    let name = section.strip_prefix("profile").filter(|name| name.starts_with(char::is_whitespace)).unwrap_or(section);
    name.trim().trim_matches(['"', '\''])
}

fn read(env: &Environment, variable: &'static str, name: &str) -> Result<Option<File>, CredentialsError> {
    let named = env.get(variable)?;
    let Some(path) = named.map_or_else(|| default_path(env, name), |path| Some(expand_home(env, path))) else {
        return Ok(None);
    };
    let fail = |problem: &str| {
        let source = if named.is_some() { format!(", which {variable} names,") } else { String::new() };
        Err(CredentialsError::invalid_configuration(FileError(format!(
            "the file {}{source} {problem}",
            path.display()
        ))))
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let is_absent = match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => true,
                // A home folder that this user may not enter is not this user's.
                ErrorKind::PermissionDenied => fs::symlink_metadata(&path).is_err(),
                _ => false,
            };
            if is_absent && named.is_none() {
                return Ok(None);
            }
            return fail(&format!("cannot be read: {error}; correct it, or unset {variable}"));
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => {
            let (text, empty_settings) = without_empty_values(&text);
            Ok(Some(File { path, text, empty_settings }))
        }
        Err(error) => {
            let line =
                error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            fail(&format!("is not UTF-8 on line {}; save it as UTF-8", line + 1))
        }
    }
}

fn default_path(env: &Environment, name: &str) -> Option<PathBuf> {
    Some(Path::new(home(env)?).join(".aws").join(name))
}

fn expand_home(env: &Environment, path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), home(env)) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => path.into(),
    }
}

fn home(env: &Environment) -> Option<&str> {
    ["HOME", "USERPROFILE"].into_iter().find_map(|name| env.setting(name)).filter(|home| !home.is_empty())
}

/// Removes settings without a value, which count as not set. The lines keep their numbers.
fn without_empty_values(text: &str) -> (String, Vec<(String, String)>) {
    let mut lines = text.lines().peekable();
    let (mut kept, mut removed, mut current) = (String::with_capacity(text.len()), Vec::new(), "");
    while let Some(line) = lines.next() {
        current = section(line).unwrap_or(current);
        let has_subproperties = lines.peek().is_some_and(|next| is_indented(next) && !next.trim().is_empty());
        match property(line) {
            Some((key, "")) if !key.is_empty() && (is_indented(line) || !has_subproperties) => {
                removed.push((current.to_owned(), key.to_ascii_lowercase()));
            }
            _ => kept += line,
        }
        kept.push('\n');
    }
    (kept, removed)
}

/// Removes settings that the SDK does not accept, and translates those of other SDKs.
fn without_invalid_settings(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let setting = property(line).and_then(|(key, value)| Some((key, Setting::of_profile_key(key)?, value)));
        match setting {
            Some((_, setting, value)) if setting.check(value).is_err() => "\n".to_owned(),
            Some((key, setting, value)) if setting.for_sdk(value) != value => {
                format!("{key} = {}\n", setting.for_sdk(value))
            }
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// The key and the value of a line.
fn property(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=').filter(|_| !line.trim_start().starts_with(['[', '#', ';']))?;
    Some((key.trim(), without_comment(value)))
}

fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

fn without_comment(value: &str) -> &str {
    let comment = value
        .char_indices()
        .find(|(at, mark)| matches!(mark, '#' | ';') && (*at == 0 || value[..*at].ends_with(char::is_whitespace)));
    value[..comment.map_or(value.len(), |(at, _)| at)].trim()
}

/// Fails if a setting of the profile has a value at which the SDK panics, or which it ignores.
pub(super) fn check_settings(profiles: &ProfileSet, name: &str) -> Result<(), CredentialsError> {
    let Some(profile) = profiles.get_profile(name) else { return Ok(()) };
    PROFILE_SETTINGS.into_iter().try_for_each(|key| {
        let Some((setting, value)) = Setting::of_profile_key(key).zip(profile.get(key)) else { return Ok(()) };
        setting.check(value).map_err(|problem| {
            CredentialsError::invalid_configuration(format!("in the profile \"{name}\", {key} {problem}"))
        })
    })
}

const PROFILE_SETTINGS: [&str; 9] = [
    "max_attempts",
    "use_fips_endpoint",
    "use_dualstack_endpoint",
    "ignore_configured_endpoint_urls",
    "ec2_metadata_service_endpoint_mode",
    "region",
    "retry_mode",
    "endpoint_url",
    "ec2_metadata_service_endpoint",
];

/// In place of a file that does not exist.
const ABSENT: &str = "/no such file";

/// A file that cannot be read or parsed, and the profile that is looked for, if one is. It quotes nothing from the file, so it is not redacted: that could hide a part
/// of the path.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FileError(pub(super) String);
