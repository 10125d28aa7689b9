//! Azure: the places where azure_identity looks.

use std::env;
use std::path::PathBuf;

use crate::aws::set;
use crate::network::user_free;
use crate::report::{Section, State};

pub(crate) fn check() -> Section {
    let mut section = Section::new("Azure");
    let (tenant, client) = (set("AZURE_TENANT_ID"), set("AZURE_CLIENT_ID"));
    let secret = set("AZURE_CLIENT_SECRET").map(|_| "AZURE_CLIENT_SECRET");
    let certificate = set("AZURE_CLIENT_CERTIFICATE_PATH").map(|_| "AZURE_CLIENT_CERTIFICATE_PATH");
    match (secret.or(certificate), &tenant, &client) {
        (Some(proof), Some(_), Some(client)) => {
            section.add("environment", State::Found, format!("the service principal {client}, with {proof}"));
        }
        (Some(proof), _, _) => {
            section.add("environment", State::Problem, format!("{proof} without AZURE_TENANT_ID or AZURE_CLIENT_ID"));
        }
        (None, _, _) => section.add("environment", State::NotSet, "AZURE_CLIENT_SECRET is not set"),
    }
    match set("AZURE_FEDERATED_TOKEN_FILE") {
        Some(file) => match std::fs::metadata(&file) {
            Ok(_) if tenant.is_some() && client.is_some() => {
                section.add("workload identity", State::Found, format!("the token in {file}"));
            }
            Ok(_) => {
                section.add(
                    "workload identity",
                    State::Problem,
                    "AZURE_FEDERATED_TOKEN_FILE without AZURE_TENANT_ID or AZURE_CLIENT_ID",
                );
            }
            Err(error) => section.add("workload identity", State::Problem, format!("{file}: {error}")),
        },
        None => section.add("workload identity", State::NotSet, "AZURE_FEDERATED_TOKEN_FILE is not set"),
    }
    match (set("IDENTITY_ENDPOINT"), set("IDENTITY_HEADER")) {
        (Some(endpoint), Some(_)) => section.add("managed identity", State::Found, user_free(&endpoint)),
        (Some(_), None) => section.add("managed identity", State::Problem, "IDENTITY_ENDPOINT without IDENTITY_HEADER"),
        (None, _) => section.add("managed identity", State::Info, "http://169.254.169.254, on a machine of Azure"),
    }
    let folder = set("AZURE_CONFIG_DIR").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".azure")));
    match folder.map(|folder| folder.join("azureProfile.json")).filter(|path| path.exists()) {
        Some(path) => section.add("Azure CLI", State::Found, path.display().to_string()),
        None => section.add("Azure CLI", State::NotSet, "`az login` was not run"),
    }
    section
}
