//! [`EndpointConfig`]: the region and the S3 endpoint of an `SdkConfig`.

#[cfg(feature = "chain")]
mod partition;

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

#[derive(Debug)]
pub(crate) struct EndpointConfig {
    pub(crate) region: Option<String>,
    /// The endpoint that the configuration sets.
    pub(crate) s3_endpoint_url: Option<String>,
    #[cfg(feature = "chain")]
    variant: EndpointVariant,
}

/// Which of a service's endpoints are used.
#[cfg(feature = "chain")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EndpointVariant {
    use_fips: bool,
    use_dual_stack: bool,
}

impl EndpointConfig {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let region = config.region().map(|region| region.as_ref().trim().to_owned());
        let urls = [s3_endpoint_url(config), config.endpoint_url().map(ToOwned::to_owned)];
        let is_set = |value: &String| !value.trim().is_empty();
        Self {
            region: region.filter(is_set),
            s3_endpoint_url: urls.into_iter().flatten().find(is_set),
            #[cfg(feature = "chain")]
            variant: EndpointVariant {
                use_fips: config.use_fips().unwrap_or_default(),
                use_dual_stack: config.use_dual_stack().unwrap_or_default(),
            },
        }
    }

    /// How a later configuration differs, in what it sets.
    #[cfg(feature = "chain")]
    pub(crate) fn difference(&self, later: &Self) -> Option<String> {
        match (&self.region, &later.region) {
            (Some(before), Some(now)) if before != now => Some(format!("its region was {before} and is {now}")),
            // Without the URLs: they may contain a user and a password.
            _ if self.s3_endpoint_url != later.s3_endpoint_url => Some("it sets another endpoint".to_owned()),
            _ if self.variant != later.variant => Some("it sets FIPS or dual stack endpoints differently".to_owned()),
            _ => None,
        }
    }

    /// The endpoint for stores in a region. `None`: the one that object_store uses.
    #[cfg(feature = "_object_store")]
    pub(crate) fn for_store(&self, region: Option<&str>) -> Option<String> {
        #[cfg(feature = "chain")]
        return self.s3_endpoint_url.clone().or_else(|| partition::s3_endpoint(region?, self.variant));
        #[cfg(not(feature = "chain"))]
        {
            let _ = region;
            self.s3_endpoint_url.clone()
        }
    }

    /// Whether the configuration requires FIPS or dual stack endpoints.
    #[cfg(feature = "_object_store")]
    pub(crate) fn has_variant(&self) -> bool {
        #[cfg(feature = "chain")]
        return self.variant.use_fips || self.variant.use_dual_stack;
        #[cfg(not(feature = "chain"))]
        false
    }

    /// Fails if S3 has no such endpoint.
    #[cfg(feature = "chain")]
    pub(crate) fn check(&self) -> Result<(), String> {
        match &self.region {
            Some(region) if self.s3_endpoint_url.is_none() => partition::check(region, self.variant),
            _ => Ok(()),
        }
    }
}

/// The endpoint that the environment or the profile sets for S3 only. The SDK's clients look it up with the same key:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
fn s3_endpoint_url(config: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    config.service_config()?.load_config(key.ok()?)
}
