//! Where credentials are to be used: the region and the endpoint of the configuration they come from.

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

#[derive(Debug)]
pub(crate) struct Location {
    pub(crate) region: Option<String>,
    pub(crate) s3_endpoint_url: Option<String>,
}

impl Location {
    pub(crate) fn of(config: &SdkConfig) -> Self {
        let region = config.region().map(ToString::to_string);
        let for_all = config.endpoint_url().map(ToOwned::to_owned);
        Self { region, s3_endpoint_url: s3_endpoint_url(config).or(for_all) }
    }
}

/// What the environment or the profile says of S3 alone. The SDK's clients ask for it with this key.
fn s3_endpoint_url(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    config.service_config()?.load_config(key.ok()?)
}
