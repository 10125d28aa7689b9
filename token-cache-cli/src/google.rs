//! Google Cloud: the places where google-auth looks, and the metadata server.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use token_cache_core::TokenCache;
use token_cache_gcp::MetadataServer;
use tokio::time::timeout;

use crate::aws::set;
use crate::report::{Section, State};

pub(crate) async fn check() -> Section {
    let mut section = Section::new("Google Cloud");
    match set("GOOGLE_APPLICATION_CREDENTIALS") {
        Some(path) => key_file(&mut section, "variable", Path::new(&path)),
        None => section.add("variable", State::NotSet, "GOOGLE_APPLICATION_CREDENTIALS is not set"),
    }
    let folder = set("CLOUDSDK_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config/gcloud")));
    match folder.map(|folder| folder.join("application_default_credentials.json")).filter(|path| path.exists()) {
        Some(path) => key_file(&mut section, "gcloud", &path),
        None => section.add("gcloud", State::NotSet, "`gcloud auth application-default login` was not run"),
    }
    metadata_server(&mut section).await;
    section
}

fn key_file(section: &mut Section, name: &'static str, path: &Path) {
    let shown = path.display();
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) => return section.add(name, State::Problem, format!("{shown}: {error}")),
    };
    match serde_json::from_slice::<serde_json::Value>(&text) {
        Ok(key) => match key["type"].as_str() {
            Some(
                kind @ ("authorized_user" | "external_account" | "impersonated_service_account" | "service_account"),
            ) => {
                section.add(name, State::Found, format!("{kind} in {shown}"));
            }
            _ => section.add(name, State::Problem, format!("{shown} has no known `type`")),
        },
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            section.add(name, State::Problem, format!("{shown} is not JSON: line {line}, column {column}"));
        }
    }
}

async fn metadata_server(section: &mut Section) {
    let host = set("GCE_METADATA_HOST");
    let endpoint = format!("http://{}", host.as_deref().unwrap_or("metadata.google.internal"));
    let source = match MetadataServer::at(&endpoint) {
        Ok(source) => source,
        Err(error) => return section.add("metadata server", State::Problem, error.to_string()),
    };
    // A machine outside of Google's network may drop the packets.
    let cache: TokenCache<_> = source.cache().fetch_timeout(TIMEOUT).build();
    match timeout(TIMEOUT, cache.get_with_times()).await {
        Ok(Ok(found)) => {
            let expires_at = found.expires_at.map(humantime::format_rfc3339_seconds);
            let expiry = expires_at.map_or_else(String::new, |time| format!(", which expires at {time}"));
            section.add("metadata server", State::Found, format!("a token of {endpoint}{expiry}"));
        }
        Ok(Err(error)) if host.is_some() => section.add("metadata server", State::Problem, error.to_string()),
        Err(_) if host.is_some() => {
            section.add("metadata server", State::Problem, format!("{endpoint} does not respond"))
        }
        _ => section.add("metadata server", State::NotSet, "this is no machine of Google"),
    }
}

const TIMEOUT: Duration = Duration::from_secs(3);
