//! [`FakeAws::sdk_config`]: an `SdkConfig` without any environment variable.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::default_async_sleep;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedTimeSource;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::FakeAws;

impl FakeAws {
    /// The configuration of an SDK client here, signed with the [`long_term_key`](Self::long_term_key): STS and all other
    /// services are at the issuer, and S3 at the S3 server. It reads neither the environment nor files, so tests in one process
    /// need no variables.
    ///
    /// Its HTTP client has no TLS, and its clock is that of the machine.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let sts = aws_sdk_sts::Client::new(&aws.sdk_config());
    /// let identity = sts.get_caller_identity().send().await?;
    /// assert_eq!(identity.arn(), Some("arn:aws:iam::123456789012:user/test"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        let key = &self.long_term_key;
        let credentials = Credentials::new(key.access_key_id(), key.secret_access_key(), None, None, "FakeAws");
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region().to_owned()))
            .endpoint_url(self.issuer.sts_endpoint())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .time_source(SharedTimeSource::default())
            .service_config(EndpointOfS3(self.s3.endpoint()));
        config.set_sleep_impl(default_async_sleep());
        config.build()
    }
}

/// What `AWS_ENDPOINT_URL_S3` would be.
#[derive(Debug)]
struct EndpointOfS3(String);

impl LoadServiceConfig for EndpointOfS3 {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        (key.service_id() == "S3" && key.env() == "AWS_ENDPOINT_URL").then(|| self.0.clone())
    }
}
