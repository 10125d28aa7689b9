//! The program: one agent for a host.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use token_cache_agent::{Agent, Listener, Secret, expiry_buffer};
use token_cache_aws::{AssumeRole, AwsTokenCache, credential_cache};
use token_cache_core::{BoxError, TokenCaches};
use token_cache_gcp::MetadataServer;
use token_cache_oauth2::{Client, ClientCredentials, TokenRequest};

/// Serves one cached token to all processes of this host.
///
/// SDKs fetch credentials in each process. This agent fetches them once, refreshes them before any client has to ask again, and
/// answers over the protocols that SDKs know, so programs need nothing but environment variables.
///
/// AWS, from the environment of the agent (keys, profiles, SSO, web identity, container, IMDS):
///
///     token-cache-agent --token-file /run/user/1000/agent-token
///
/// It prints the variables to export:
///
///     export AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:1338/aws/credentials
///     export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/user/1000/agent-token
///
/// A role, assumed with these credentials:
///
///     token-cache-agent --token-file agent-token --role arn:aws:iam::222222222222:role/reader
///
/// Azure, as a service principal whose secret is in a file:
///
///     token-cache-agent --no-aws --azure-tenant TENANT --azure-client CLIENT --azure-secret-file secret
///
/// Google Cloud, on a machine that has a metadata server, which 96 processes would overload:
///
///     token-cache-agent --no-aws --google
#[derive(Parser)]
#[command(version, about, verbatim_doc_comment)]
struct Arguments {
    /// The loopback address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:1338")]
    listen: SocketAddr,
    /// Listen on this Unix socket instead.
    #[cfg(unix)]
    #[arg(long, conflicts_with = "listen")]
    unix: Option<PathBuf>,
    /// Where to write the secret that clients of AWS present. It is a new one at each start, and only this user can read it.
    #[arg(long, required_unless_present = "no_aws")]
    token_file: Option<PathBuf>,
    /// Do not serve credentials of AWS.
    #[arg(long)]
    no_aws: bool,
    /// Assume this role, and serve its sessions.
    #[arg(long, conflicts_with = "no_aws")]
    role: Option<String>,
    /// Serve tokens of the metadata server of Google Cloud. Its protocol has no secret: every process of this host gets tokens.
    #[arg(long)]
    google: bool,
    /// What clients see as the name of the service account.
    #[arg(long, default_value = "default")]
    google_email: String,
    /// What clients see as the project.
    #[arg(long, default_value = "", env = "GOOGLE_CLOUD_PROJECT")]
    google_project: String,
    /// The directory (tenant) id of a service principal of Entra ID.
    #[arg(long, requires = "azure_client", requires = "azure_secret_file")]
    azure_tenant: Option<String>,
    /// Its application (client) id.
    #[arg(long)]
    azure_client: Option<String>,
    /// A file with its client secret.
    #[arg(long)]
    azure_secret_file: Option<PathBuf>,
    /// The authority of Entra ID.
    #[arg(long, default_value = "https://login.microsoftonline.com", env = "AZURE_AUTHORITY_HOST")]
    azure_authority: String,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    let secret = Secret::random()?;
    let mut agent = Agent::new(secret.clone());
    #[cfg(unix)]
    let listener = match &arguments.unix {
        Some(path) => Listener::unix(path).await?,
        None => Listener::tcp(arguments.listen).await?,
    };
    #[cfg(not(unix))]
    let listener = Listener::tcp(arguments.listen).await?;

    if let (false, Some(token_file)) = (arguments.no_aws, &arguments.token_file) {
        secret.write_to(token_file)?;
        println!("export AWS_CONTAINER_CREDENTIALS_FULL_URI={}", listener.aws_url());
        println!("export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={}", std::path::absolute(token_file)?.display());
        agent = agent.aws(aws_cache(arguments.role.as_deref()).await);
    }
    if arguments.google {
        let cache = MetadataServer::new()?.cache().name("google").expiry_buffer_by(expiry_buffer);
        agent = agent.google(cache.keep_warm(FOREVER).build(), arguments.google_email, arguments.google_project);
        if let Some(address) = listener.address() {
            println!("export GCE_METADATA_HOST={address}");
            println!("export GCE_METADATA_IP={address}");
        }
    }
    if let (Some(tenant), Some(client), Some(file)) =
        (&arguments.azure_tenant, &arguments.azure_client, &arguments.azure_secret_file)
    {
        let url = format!("{}/{tenant}/oauth2/v2.0/token", arguments.azure_authority.trim_end_matches('/'));
        let client_secret = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let client = Client::new(&url, client.as_str())?.secret_in_body(client_secret.trim());
        agent = agent.azure(azure_caches(client));
        println!("export IDENTITY_ENDPOINT={}", listener.azure_url());
        println!("export IDENTITY_HEADER={}", secret.expose());
    }
    agent.serve(listener, stop()).await;
    Ok(())
}

async fn aws_cache(role: Option<&str>) -> token_cache_core::TokenCache<aws_credential_types::Credentials> {
    match role {
        Some(role) => {
            let base = AwsTokenCache::from_env().await;
            let source = AssumeRole::new(role).source(&base).await;
            credential_cache(source).expiry_buffer_by(expiry_buffer).keep_warm(FOREVER).build()
        }
        None => {
            let aws = AwsTokenCache::builder().cache(|cache| cache.expiry_buffer_by(expiry_buffer).keep_warm(FOREVER));
            aws.load().await.cache().clone()
        }
    }
}

fn azure_caches(client: Client) -> TokenCaches<String, token_cache_oauth2::AccessToken> {
    let source = move |resource: &String| {
        let scope = format!("{}/.default", resource.trim_end_matches('/'));
        ClientCredentials::new(client.clone(), TokenRequest::scopes([scope]))
    };
    let caches = TokenCaches::builder(source).cache(|cache, _| cache.name("azure").expiry_buffer_by(expiry_buffer));
    caches.max_keys(MAX_RESOURCES).build()
}

/// Completes when the program is asked to end.
async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// How long a token is refreshed that nobody asks for: the agent is there to have one.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
const MAX_RESOURCES: usize = 100;
