//! [`defaults`]: the SDK's configuration loader, with timeouts that suit a cache.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_types::SdkConfig;
use aws_types::sdk_config::SharedTimeSource;

use crate::chain::environment::Environment;
use crate::chain::files::ProfileFiles;
use crate::credential_cache::OPERATION_TIMEOUT;
use crate::http_client::http_client;

/// The SDK's default configuration, with timeouts of 60 seconds per operation and 5 seconds per attempt.
///
/// Use it to set in code what [`AwsTokenCache::from_env`](crate::AwsTokenCache::from_env) reads from the environment:
///
/// ```no_run
/// # async fn example() -> Result<(), token_cache_aws::ConfigError> {
/// let config = token_cache_aws::defaults().region("eu-north-1").load().await;
/// let aws = token_cache_aws::AwsTokenCache::from_sdk_config(&config)?;
/// # Ok(())
/// # }
/// ```
///
/// It reads the environment and the profile files. A setting that is empty counts as not set, and so does one at which
/// the SDK would panic, such as an unknown retry mode; `from_env` reports it.
#[must_use]
pub fn defaults() -> ConfigLoader {
    let env = Environment::read();
    let loader = loader(env.variables());
    // The SDK reports files that cannot be parsed.
    match ProfileFiles::read_valid(&env) {
        Some(files) => loader.profile_files(files.for_sdk()),
        None => loader,
    }
}

/// The SDK's configuration loader, with these variables as its environment.
pub(crate) fn loader(variables: HashMap<String, String>) -> ConfigLoader {
    let loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts()).env(variables.into());
    match http_client() {
        Some(client) => loader.http_client(client),
        None => loader,
    }
}

pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_timeout(OPERATION_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build()
}

/// Adds what an STS client requires and an `SdkConfig` may lack, such as that of
/// [`AwsTokenCache::from_provider`](crate::AwsTokenCache::from_provider).
pub(crate) fn with_sdk_defaults(config: &SdkConfig) -> SdkConfig {
    let mut builder = config.to_builder();
    if config.behavior_version().is_none() {
        builder.set_behavior_version(Some(BehaviorVersion::latest()));
    }
    if config.time_source().is_none() {
        builder.set_time_source(Some(SharedTimeSource::default()));
    }
    if config.http_client().is_none() {
        builder.set_http_client(http_client());
    }
    builder.build()
}

/// STS and the metadata services answer within a second, so a slower attempt is better retried.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
