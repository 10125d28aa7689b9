//! [`s3_endpoint`]: the endpoints of S3 that object_store does not know: FIPS, dual stack, and those of other partitions
//! than `aws`.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};

use super::EndpointVariant;

/// `None`: object_store uses the right one.
#[cfg_attr(not(feature = "_object_store"), allow(dead_code, reason = "for stores"))]
pub(super) fn s3_endpoint(region: &str, variant: EndpointVariant) -> Option<String> {
    let suffix = dns_suffix(region)?;
    let EndpointVariant { use_fips, use_dual_stack } = variant;
    if suffix == DEFAULT_SUFFIX && !use_fips && !use_dual_stack {
        return None;
    }
    let service = if use_fips { "s3-fips" } else { "s3" };
    let dual_stack = if use_dual_stack { ".dualstack" } else { "" };
    Some(format!("https://{service}{dual_stack}.{region}.{suffix}"))
}

/// Fails if S3 has no such endpoint. The rule is that of the SDK's client for S3.
pub(super) fn check(region: &str, variant: EndpointVariant) -> Result<(), String> {
    if variant.use_fips && dns_suffix(region).is_some_and(|suffix| suffix == CHINA_SUFFIX) {
        return Err(format!(
            "S3 has no FIPS endpoint in {region}; unset AWS_USE_FIPS_ENDPOINT and use_fips_endpoint, or set \
             AWS_ENDPOINT_URL_S3"
        ));
    }
    Ok(())
}

/// The domain of a region's partition, by the rules of the SDK. The client for S3 has the same ones, and is large.
fn dns_suffix(region: &str) -> Option<String> {
    let params = Params::builder().region(region).use_fips(false).use_dual_stack(false).use_global_endpoint(false);
    let (params, resolver) = (params.build().ok()?, DefaultResolver::new());
    let endpoint = pin!(ResolveEndpoint::resolve_endpoint(&resolver, &params));
    // The rules are evaluated without waiting.
    let Poll::Ready(Ok(endpoint)) = endpoint.poll(&mut Context::from_waker(Waker::noop())) else { return None };
    Some(endpoint.url().strip_prefix(&format!("https://sts.{region}."))?.to_owned())
}

const DEFAULT_SUFFIX: &str = "amazonaws.com";
const CHINA_SUFFIX: &str = "amazonaws.com.cn";

#[cfg(test)]
mod tests {
    use super::*;

    /// <https://github.com/apache/arrow-rs-object-store/issues/779>
    #[test]
    fn endpoints_are_those_of_the_sdk() {
        let endpoint = |region, use_fips, use_dual_stack| {
            s3_endpoint(region, EndpointVariant { use_fips, use_dual_stack }).unwrap_or_default()
        };
        assert_eq!(endpoint("eu-north-1", false, false), "");
        assert_eq!(endpoint("us-gov-west-1", false, false), "");
        assert_eq!(endpoint("us-gov-west-1", true, false), "https://s3-fips.us-gov-west-1.amazonaws.com");
        assert_eq!(endpoint("us-east-1", false, true), "https://s3.dualstack.us-east-1.amazonaws.com");
        assert_eq!(endpoint("us-east-1", true, true), "https://s3-fips.dualstack.us-east-1.amazonaws.com");
        assert_eq!(endpoint("cn-north-1", false, false), "https://s3.cn-north-1.amazonaws.com.cn");
        assert_eq!(endpoint("cn-north-1", false, true), "https://s3.dualstack.cn-north-1.amazonaws.com.cn");
        assert_eq!(endpoint("no region", true, true), "");
    }

    #[test]
    fn an_endpoint_that_does_not_exist_is_refused() {
        let check = |region, use_fips| check(region, EndpointVariant { use_fips, use_dual_stack: false });
        assert!(check("cn-north-1", true).unwrap_err().contains("AWS_USE_FIPS_ENDPOINT"));
        assert!(check("cn-north-1", false).is_ok() && check("us-gov-west-1", true).is_ok());
    }
}
