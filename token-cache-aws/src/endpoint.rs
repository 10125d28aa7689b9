//! [`EndpointConfig`]: the region and the S3 endpoint of an `SdkConfig`.

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

#[derive(Debug)]
pub(crate) struct EndpointConfig {
    pub(crate) region: Option<String>,
    pub(crate) s3_endpoint_url: Option<String>,
}

impl EndpointConfig {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let region = config.region().map(ToString::to_string);
        let endpoint_url = config.endpoint_url().map(ToOwned::to_owned);
        Self { region, s3_endpoint_url: s3_endpoint_url(config).or(endpoint_url) }
    }
}

/// The endpoint that the environment or the profile sets for S3 only. The SDK's clients look it up with the same key:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
fn s3_endpoint_url(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    config.service_config()?.load_config(key.ok()?)
}
