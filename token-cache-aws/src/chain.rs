//! [`ChainSource`]: the SDK's default chain or one profile, read again for each fetch.

mod account;
pub(crate) mod environment;
pub(crate) mod files;
mod identity;
mod instance;
mod link;
mod profile;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_config::meta::ProviderChainError;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials};
use aws_types::SdkConfig;
use token_cache_core::{BoxError, TemporaryToken, TokenSource};

use self::environment::Environment;
use self::files::ProfileFiles;
use self::identity::Identity;
use self::instance::{InstanceMetadata, RoleError};
use self::link::{Link, Profile, Resolved};
use crate::cache::AwsTokenCache;
use crate::cache_builder::LoadSettings;
use crate::defaults::{loader, timeouts};
use crate::endpoint::EndpointConfig;
use crate::error::{ChainHints, NoCredentials, Origin, is_sso_cache_write};
use crate::http_client::Exchange;
use crate::source::{into_fetch_error, into_token};

impl AwsTokenCache {
    /// Caches the credentials of the SDK's default chain: environment, profile, web identity, container, instance
    /// metadata. Region and endpoint come from the same configuration. Timeouts are those of [`defaults`](crate::defaults).
    ///
    /// This reads files, and may query the instance metadata service for the region, but fetches no credentials. Each
    /// fetch reads the environment and the files again, so a file that was corrected or rotated takes effect.
    ///
    /// An incomplete configuration, such as an access key without its secret or a profile that does not exist, is an
    /// error. The SDK alone would skip it and use the role of the machine, which is another identity. For the same
    /// reason the cache keeps the identity of its first credentials: if the configuration leads to another one later,
    /// fetches fail.
    ///
    /// Same as [`credential_cache`](Self::builder) without settings.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::from_env().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn from_env() -> Self {
        Self::builder().load().await
    }

    /// Caches the credentials of one profile, with its region and endpoint. Credentials in the environment are ignored.
    ///
    /// This reads files, and may query the instance metadata service for the region, but fetches no credentials. Each
    /// fetch reads the files again.
    ///
    /// ```no_run
    /// # use token_cache_aws::AwsTokenCache;
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = AwsTokenCache::from_profile("hub").await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn from_profile(name: impl Into<String>) -> Self {
        Self::builder().profile(name).load().await
    }
}

/// Makes a new provider of the SDK for each fetch. A provider that is kept reads a profile only once, replaces its
/// first error by a less helpful one, and returns expired credentials while the metadata service is down.
pub(crate) struct ChainSource {
    settings: LoadSettings,
    config: SdkConfig,
    /// Whose credentials the first fetch returned.
    identity: Mutex<Option<Identity>>,
}

/// One fetch.
struct Fetch {
    env: Environment,
    exchange: Exchange,
}

#[async_trait]
impl TokenSource for ChainSource {
    type Token = Credentials;

    async fn fetch(&self) -> Result<TemporaryToken<Credentials>, BoxError> {
        let fetch = Fetch { env: Environment::read(), exchange: Exchange::default() };
        // Boxed: the SDK's futures are large.
        let result = Box::pin(self.fetch_credentials(&fetch)).await;
        result.and_then(into_token).map_err(|error| {
            let hints = ChainHints { exchange: fetch.exchange, ..self.profile_hints(&fetch.env) };
            into_fetch_error(error, &Origin::Chain(hints))
        })
    }
}

impl ChainSource {
    /// Boxed: the SDK's future is large, and each future that contains it would be as large.
    pub(crate) fn load(settings: LoadSettings) -> Pin<Box<dyn Future<Output = Self> + Send>> {
        Box::pin(async {
            let env = Environment::read();
            let config = load_config(&settings, &env, env.variables()).await;
            Self { settings, config, identity: Mutex::new(None) }
        })
    }

    pub(crate) const fn config(&self) -> &SdkConfig {
        &self.config
    }

    async fn fetch_credentials(&self, fetch: &Fetch) -> provider::Result {
        let env = &fetch.env;
        env.check_settings()?;
        EndpointConfig::new(&self.config).check().map_err(CredentialsError::invalid_configuration)?;
        let Resolved { link, mut identity } = match &self.settings.profile {
            Some(name) => Resolved::profile(env, name).map_err(|error| link::of_profile(name, error))?,
            None => Resolved::default_chain(env)?,
        };
        // Before a request to another issuer. Within one source, an incomplete configuration has a better error below.
        self.require(Identity::source_difference, &identity)?;
        self.require_same_endpoint(env).await?;
        let credentials = match link {
            Link::Environment(credentials) => Ok(credentials),
            Link::Profile(profile) => self.fetch_from_profile(fetch, &profile).await,
            Link::WebIdentity => self.fetch_from_chain(fetch, WEB_IDENTITY).await,
            Link::Container => self.fetch_from_chain(fetch, CONTAINER).await,
            Link::InstanceMetadata => self.fetch_from_instance(fetch, &mut identity).await,
        };
        let credentials = credentials?;
        identity.set_account(credentials.account_id().and_then(|account| account.as_str().parse().ok()));
        self.require(Identity::difference, &identity)?;
        self.identity().get_or_insert(identity);
        Ok(credentials)
    }

    /// What an error should say of the profile that is selected now.
    fn profile_hints(&self, env: &Environment) -> ChainHints {
        let selected = || Some(link::selected(env).ok()??.1.to_owned());
        let name = self.settings.profile.clone().or_else(selected).unwrap_or_else(|| "default".to_owned());
        let profiles = ProfileFiles::read(env).and_then(|files| files.parse(&name));
        let with_mfa = profiles.ok().and_then(|profiles| profile::with_mfa(&profiles, &name));
        ChainHints { profile: Some(name).filter(|name| name != "default"), with_mfa, ..ChainHints::default() }
    }

    /// Fails if the credentials would be those of another identity than before.
    fn require(
        &self,
        difference: fn(&Identity, &Identity) -> Option<String>,
        identity: &Identity,
    ) -> Result<(), CredentialsError> {
        let difference = self.identity().as_ref().and_then(|first| difference(first, identity));
        match difference {
            None => Ok(()),
            // Not an invalid configuration, which is retried later: a file that is being written is complete soon.
            Some(difference) => Err(CredentialsError::provider_error(format!(
                "the credentials of this cache were from {difference}; a cache never changes its identity: restore the \
                 configuration, or create a new cache"
            ))),
        }
    }

    /// Fails if the configuration had another region or endpoint when this cache was made, which stores may already use.
    /// Credentials and region would be of two profiles. After the first credentials, neither changes.
    async fn require_same_endpoint(&self, env: &Environment) -> Result<(), CredentialsError> {
        if self.identity().is_some() {
            return Ok(());
        }
        let mut variables = env.variables();
        // That region does not change.
        variables.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
        let config = load_config(&self.settings, env, variables).await;
        match EndpointConfig::new(&self.config).difference(&EndpointConfig::new(&config)) {
            None => Ok(()),
            Some(difference) => Err(CredentialsError::provider_error(format!(
                "the configuration has changed since this cache was created: {difference}; restore it, or create a new cache"
            ))),
        }
    }

    fn identity(&self) -> MutexGuard<'_, Option<Identity>> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch_from_profile(&self, fetch: &Fetch, profile: &Profile) -> provider::Result {
        let result = match profile::credential_source(&profile.profiles, &profile.name) {
            Some(_) => self.fetch_from_profile_with_source(fetch, profile).await,
            None => {
                let variables = fetch.env.variables_without_identity();
                let loader =
                    self.loader(fetch, variables).profile_files(profile.files.for_sdk()).profile_name(&profile.name);
                provide(loader).await
            }
        };
        result.map_err(|error| match error {
            // "Not loaded" lets a chain try its next provider, and there is none here.
            CredentialsError::CredentialsNotLoaded(_) => {
                let keys = profile.profiles.get_profile(&profile.name).map(link::credential_keys);
                let keys =
                    keys.filter(|keys| !keys.is_empty()).map_or_else(String::new, |keys| format!(" (it sets {keys})"));
                CredentialsError::invalid_configuration(format!(
                    "the profile \"{}\" has no credentials{keys}{}; check ~/.aws/config and ~/.aws/credentials, or the \
                     files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name",
                    profile.name,
                    profile_reason(&error).map_or_else(String::new, |reason| format!(": {reason}"))
                ))
            }
            // A permanent error, so that the next try is later.
            error if is_sso_cache_write(&error) => CredentialsError::invalid_configuration(error),
            error => error,
        })
    }

    /// A profile whose first role is assumed with the credentials of another link. In the default chain, that link
    /// itself would come before the profile.
    async fn fetch_from_profile_with_source(&self, fetch: &Fetch, profile: &Profile) -> provider::Result {
        let (env, config) = (&fetch.env, self.provider_config(fetch));
        let mut provider = ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .profile_files(profile.files.for_sdk())
            .profile_name(&profile.name);
        if let Some(keys) = link::keys(env)? {
            provider = provider.with_custom_provider("Environment", keys);
        }
        if !env.is_metadata_disabled() {
            let profile = profile.profiles.get_profile(&profile.name);
            provider =
                provider.with_custom_provider("Ec2InstanceMetadata", InstanceMetadata::new(env, profile, &config)?);
        }
        if link::container(env)?.is_some() {
            let container = self.chain(fetch, CONTAINER).load().await;
            if let Some(container) = container.credentials_provider() {
                provider = provider.with_custom_provider("EcsContainer", container);
            }
        }
        provider.build().provide_credentials().await
    }

    /// The default chain with the variables of one link.
    async fn fetch_from_chain(&self, fetch: &Fetch, link: &[&str]) -> provider::Result {
        provide(self.chain(fetch, link)).await.map_err(|error| match error {
            CredentialsError::CredentialsNotLoaded(_) => CredentialsError::invalid_configuration(error),
            error => error,
        })
    }

    fn chain(&self, fetch: &Fetch, link: &[&str]) -> ConfigLoader {
        let env = &fetch.env;
        let mut variables = env.variables_without_identity();
        variables.extend(env.variables().into_iter().filter(|(name, _)| link.contains(&name.as_str())));
        let files = ProfileFiles::read_valid(env).unwrap_or(ProfileFiles::none());
        let mut loader = self.loader(fetch, variables).profile_files(files.for_sdk());
        if let Ok(Some((_, name))) = link::selected(env) {
            loader = loader.profile_name(name);
        }
        loader
    }

    async fn fetch_from_instance(&self, fetch: &Fetch, identity: &mut Identity) -> provider::Result {
        let env = &fetch.env;
        if env.is_metadata_disabled() {
            return Err(self.not_configured("disabled by AWS_EC2_METADATA_DISABLED".into()));
        }
        let files = ProfileFiles::read(env)?;
        let name = link::selected(env)?.map_or("default", |(_, name)| name);
        let profiles = files.parse(name)?;
        let instance = InstanceMetadata::new(env, profiles.get_profile(name), &self.provider_config(fetch))?;
        let role = instance.role().await.map_err(|error| match error {
            RoleError::NotConfigured(error) => self.not_configured(error),
            RoleError::Failed(error) => error,
        })?;
        identity.add("role", &role);
        self.require(Identity::difference, identity)?;
        instance.credentials(&role).await
    }

    /// Nothing is configured. But what has been configured before has failed.
    fn not_configured(&self, reason: BoxError) -> CredentialsError {
        match *self.identity() {
            Some(_) => CredentialsError::provider_error(reason),
            None => CredentialsError::not_loaded(NoCredentials(reason)),
        }
    }

    fn loader(&self, fetch: &Fetch, variables: HashMap<String, String>) -> ConfigLoader {
        let mut loader = loader(variables);
        // A region that is known needs no lookup. One that was not found before may be found now.
        if let Some(region) = self.config.region() {
            loader = loader.region(region.clone());
        }
        if let Some(client) = self.config.http_client() {
            loader = loader.http_client(fetch.exchange.observe(client));
        }
        loader
    }

    fn provider_config(&self, fetch: &Fetch) -> ProviderConfig {
        let mut config = ProviderConfig::without_region()
            .with_region(self.config.region().cloned())
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_timeout_config(timeouts());
        if let Some(retry_config) = self.config.retry_config() {
            config = config.with_retry_config(retry_config.clone());
        }
        if let Some(client) = self.config.http_client() {
            config = config.with_http_client(fetch.exchange.observe(client));
        }
        config
    }
}

async fn load_config(settings: &LoadSettings, env: &Environment, variables: HashMap<String, String>) -> SdkConfig {
    let files = ProfileFiles::read_valid(env).unwrap_or(ProfileFiles::none());
    let mut loader = loader(variables).profile_files(files.for_sdk());
    if let Some(name) = &settings.profile {
        loader = loader.profile_name(name);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(region.clone());
    }
    if let Some(url) = &settings.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(client) = &settings.http_client {
        loader = loader.http_client(client.clone());
    }
    loader.load().await
}

async fn provide(loader: ConfigLoader) -> provider::Result {
    match loader.load().await.credentials_provider() {
        Some(provider) => provider.provide_credentials().await,
        None => Err(CredentialsError::not_loaded("the SDK has no default chain")),
    }
}

/// Why a profile has no credentials.
fn profile_reason(error: &CredentialsError) -> Option<String> {
    let source = error.source()?;
    let Some(chain) = source.downcast_ref::<ProviderChainError<CredentialsError>>() else {
        return Some(source.to_string());
    };
    let attempt = chain.attempts().iter().find(|attempt| attempt.name() == "Profile")?;
    Some(attempt.error().source()?.to_string())
}

const WEB_IDENTITY: &[&str] = &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"];
const CONTAINER: &[&str] = &[
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];
