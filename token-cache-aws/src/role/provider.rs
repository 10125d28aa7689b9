//! [`RoleProvider`]: calls `AssumeRole`. The SDK's own provider has neither a source identity, nor MFA, nor transitive
//! tags.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::Region;
use aws_config::identity::IdentityCache;
use aws_credential_types::Credentials;
use aws_credential_types::attributes::AccountId;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::Client;
use aws_sdk_sts::error::SdkError;
use aws_sdk_sts::operation::assume_role::{AssumeRoleError, AssumeRoleOutput};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::AssumeRole;
use super::base::BaseCredentials;
use crate::cache::AwsTokenCache;
use crate::defaults::with_sdk_defaults;
use crate::http_client::Exchange;

#[derive(Debug)]
pub(super) struct RoleProvider {
    role: AssumeRole,
    session_name: String,
    sts: Client,
    exchange: Exchange,
}

/// STS was asked, and did not answer.
#[derive(Debug, thiserror::Error)]
#[error("there was no response from {host}")]
struct NoResponse {
    host: String,
    source: SdkError<AssumeRoleError, HttpResponse>,
}

impl RoleProvider {
    pub(super) fn new(role: AssumeRole, base: &AwsTokenCache, credentials: BaseCredentials) -> Self {
        let config = with_sdk_defaults(base.config());
        let now = config.time_source().map_or(UNIX_EPOCH, |time_source| time_source.now());
        let http_client = config.http_client();
        let mut config = config
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .identity_cache(IdentityCache::no_cache());
        if let Some(region) = &role.region {
            config = config.region(Region::new(region.clone()));
        }
        let exchange = Exchange::default();
        config.set_http_client(http_client.map(|client| exchange.observe(client)));
        let session_name = role.session_name.clone().unwrap_or_else(|| default_session_name(now));
        Self { role, session_name, sts: Client::new(&config.build()), exchange }
    }

    async fn assume_role(&self) -> provider::Result {
        let role = &self.role;
        let policies = role.policy_arns.iter().map(|arn| PolicyDescriptorType::builder().arn(arn).build());
        let policies = Some(policies.collect::<Vec<_>>()).filter(|policies| !policies.is_empty());
        let tags: Result<Vec<_>, _> =
            role.tags.iter().map(|tag| Tag::builder().key(&tag.key).value(&tag.value).build()).collect();
        let tags = tags.map_err(CredentialsError::invalid_configuration)?;
        let transitive = role.tags.iter().filter(|tag| tag.is_transitive).map(|tag| tag.key.clone());
        let transitive = Some(transitive.collect::<Vec<_>>()).filter(|keys| !keys.is_empty());
        let mut request = self
            .sts
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(&self.session_name)
            .set_external_id(role.external_id.clone())
            .set_duration_seconds(role.duration.map(|duration| duration.as_secs().try_into().unwrap_or(i32::MAX)))
            .set_policy(role.policy.clone())
            .set_policy_arns(policies)
            .set_tags(Some(tags).filter(|tags| !tags.is_empty()))
            .set_transitive_tag_keys(transitive)
            .set_source_identity(role.source_identity.clone());
        if let Some(mfa) = &role.mfa {
            let code = mfa.code().await.map_err(|error| {
                CredentialsError::provider_error(format!("there is no code of the MFA device {}: {error}", mfa.serial))
            })?;
            request = request.serial_number(&mfa.serial).token_code(code.trim());
        }
        match request.send().await {
            Ok(output) => into_credentials(output),
            Err(error) if is_invalid_configuration(&error) => Err(CredentialsError::invalid_configuration(error)),
            Err(error) => Err(match self.exchange.unanswered() {
                Some(host) if error.as_service_error().is_none() => {
                    CredentialsError::provider_error(NoResponse { host, source: error })
                }
                _ => CredentialsError::provider_error(error),
            }),
        }
    }
}

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume_role())
    }
}

fn is_invalid_configuration(error: &SdkError<AssumeRoleError, HttpResponse>) -> bool {
    error
        .as_service_error()
        .is_some_and(|error| error.is_region_disabled_exception() || error.is_malformed_policy_document_exception())
}

fn into_credentials(output: AssumeRoleOutput) -> provider::Result {
    let Some(credentials) = output.credentials else {
        return Err(CredentialsError::unhandled("STS credentials must be defined"));
    };
    let expires_at = SystemTime::try_from(credentials.expiration).map_err(CredentialsError::unhandled)?;
    let account = output.assumed_role_user.as_ref().and_then(|user| user.arn.split(':').nth(4));
    let account = account.filter(|account| !account.is_empty()).map(AccountId::from);
    let mut builder = Credentials::builder()
        .access_key_id(credentials.access_key_id)
        .secret_access_key(credentials.secret_access_key)
        .session_token(credentials.session_token)
        .expiry(expires_at)
        .provider_name("AssumeRole");
    builder.set_account_id(account);
    let mut credentials = builder.build();
    credentials.get_property_mut_or_default::<Vec<Feature>>().push(Feature::CredentialsStsAssumeRole);
    Ok(credentials)
}

/// As the SDK's.
fn default_session_name(now: SystemTime) -> String {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("assume-role-provider-{}", since_epoch.as_millis())
}
