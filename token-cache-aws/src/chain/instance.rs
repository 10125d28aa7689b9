//! [`InstanceMetadata`]: the role of the machine.

use std::error::Error as StdError;
use std::io;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::client::{Client, EndpointMode};
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::Profile;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials};

use token_cache_core::BoxError;

use super::environment::Environment;

#[derive(Debug)]
pub(super) struct InstanceMetadata {
    client: Client,
    config: ProviderConfig,
    /// Whether the configuration says that there is a service.
    is_named: bool,
}

impl InstanceMetadata {
    pub(super) fn new(
        env: &Environment,
        profile: Option<&Profile>,
        config: &ProviderConfig,
    ) -> Result<Self, CredentialsError> {
        let setting = |variable, key| env.setting(variable).or_else(|| profile.and_then(|profile| profile.get(key)));
        let endpoint = setting("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
        let mode = setting("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode");
        let client = Client::builder().configure(config);
        let client = match (endpoint, mode) {
            (Some(endpoint), _) => client.endpoint(endpoint).map_err(CredentialsError::invalid_configuration)?,
            (None, Some(mode)) if mode.eq_ignore_ascii_case("ipv6") => client.endpoint_mode(EndpointMode::IpV6),
            (None, _) => client.endpoint_mode(EndpointMode::IpV4),
        };
        Ok(Self { client: client.build(), config: config.clone(), is_named: endpoint.is_some() })
    }

    /// The name of the machine's role.
    pub(super) async fn role(&self) -> Result<String, RoleError> {
        let roles = match self.client.get(ROLES).await {
            Ok(roles) => roles,
            Err(ImdsError::ErrorResponse(context)) if context.response().status().as_u16() == 404 => {
                let reason = "Error retrieving credentials from IMDS: received 404 from IMDS: the machine has no role";
                return Err(RoleError::NotConfigured(reason.into()));
            }
            Err(error) if !self.is_named && is_absent(&error) => return Err(RoleError::NotConfigured(error.into())),
            Err(error) => return Err(RoleError::Failed(CredentialsError::provider_error(error))),
        };
        // A name a line. The SDK makes a line end a part of its next request, and panics.
        let role = roles.as_ref().lines().next().unwrap_or_default().trim();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if role.is_empty() || role.len() > MAX_ROLE_LEN || !role.bytes().all(is_name) {
            let reason = "Error retrieving credentials from IMDS: the list of roles has no name of a role";
            return Err(RoleError::Failed(CredentialsError::provider_error(reason)));
        }
        Ok(role.to_owned())
    }

    pub(super) async fn credentials(&self, role: &str) -> provider::Result {
        let provider = ImdsCredentialsProvider::builder().configure(&self.config).imds_client(self.client.clone());
        provider.profile(role).build().provide_credentials().await
    }
}

pub(super) enum RoleError {
    /// There is no service, or no role.
    NotConfigured(BoxError),
    Failed(CredentialsError),
}

/// For a profile with `credential_source = Ec2InstanceMetadata`.
impl ProvideCredentials for InstanceMetadata {
    fn provide_credentials<'a>(&'a self) -> provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        provider::future::ProvideCredentials::new(async {
            match self.role().await {
                Ok(role) => self.credentials(&role).await,
                Err(RoleError::NotConfigured(reason)) => Err(CredentialsError::provider_error(reason)),
                Err(RoleError::Failed(error)) => Err(error),
            }
        })
    }
}

/// Whether nothing is at the address of the service, as on a machine outside of EC2. A service that refuses
/// connections, or takes them and does not answer, is there and fails.
fn is_absent(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind.is_some_and(|kind| ABSENT.contains(&kind)) || error.to_string().contains(CONNECT_TIMED_OUT) {
            return true;
        }
        next = error.source();
    }
    false
}

const ABSENT: [io::ErrorKind; 4] = [
    io::ErrorKind::AddrNotAvailable,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkDown,
    io::ErrorKind::NetworkUnreachable,
];
/// In the SDK's error, whose type is private.
const CONNECT_TIMED_OUT: &str = "HTTP connect timeout";

/// The limit of IAM.
const MAX_ROLE_LEN: usize = 64;
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
