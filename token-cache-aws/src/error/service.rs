//! [`link`]: errors of STS, SSO and the instance metadata service, with the status and code of the response.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_config::imds::client::error::{ImdsError, TokenError};
#[cfg(feature = "sso")]
use aws_sdk_sso::operation::get_role_credentials::GetRoleCredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use token_cache_core::{Clock, SystemClock};

use super::error_chain::Link;
use super::sdk_messages::{SdkMessage, without_quote};

/// Replaces the `Display` of the SDK's service errors, which contains either too little or the whole response. `None`
/// for all other errors.
pub(super) fn link<'a>(error: &'a (dyn StdError + 'static)) -> Option<Link<'a>> {
    if let Some(ImdsError::ErrorResponse(context)) = error.downcast_ref() {
        return Some((format!("it has answered {}", context.response().status().as_u16()), None));
    }
    if let Some(SdkError::ServiceError(context)) = error.downcast_ref::<SdkError<TokenError, HttpResponse>>() {
        return Some((format!("it has answered {}: {}", context.raw().status().as_u16(), context.err()), None));
    }
    #[cfg(feature = "sso")]
    if let Some(error) = error.downcast_ref::<SdkError<GetRoleCredentialsError, HttpResponse>>() {
        return Some(service_link("SSO", error));
    }
    if let Some(error) = error.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
        return Some(service_link("STS", error));
    }
    let error = error.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>()?;
    Some(service_link("STS", error))
}

fn service_link<'a, E>(service: &str, error: &'a SdkError<E, HttpResponse>) -> Link<'a>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let SdkError::ServiceError(context) = error else {
        let failure = match error {
            SdkError::TimeoutError(_) => "has not answered in time",
            SdkError::ResponseError(_) => "has not answered in full",
            _ if is_missing_region(error) => "could not be asked: set AWS_REGION, or region in the profile",
            _ => "could not be asked",
        };
        return (format!("{service} {failure}"), error.source());
    };
    let (status, error) = (context.raw().status().as_u16(), context.err());
    if let Some(code) = error.code() {
        let message = error.message().map_or_else(String::new, |message| format!(": {message}"));
        let skew = clock_skew(service, code, context.raw());
        return (format!("{service} has refused ({status} {code}){message}{skew}"), None);
    }
    let answered = format!("{service} has answered {status}");
    let Some(source) = error.source() else { return (format!("{answered} without a reason"), None) };
    if let Some(metadata) = source.downcast_ref::<ErrorMetadata>() {
        let reason =
            metadata.message().map_or_else(|| " without a reason".to_owned(), |message| format!(": {message}"));
        return (answered + &reason, None);
    }
    let text = source.to_string();
    if SdkMessage::StsExpiration.is_in(&text) {
        return (format!("{answered}, but its Expiration is not a date"), None);
    }
    (format!("{answered}, but not with credentials: {}", without_quote(&text)), source.source())
}

/// What to add to a refusal that a wrong clock causes ([aws-sdk-js#527](https://github.com/aws/aws-sdk-js/issues/527)).
fn clock_skew(service: &str, code: &str, response: &HttpResponse) -> String {
    let date = response.headers().get("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    let Some(date) = date.filter(|_| SKEW_CODES.contains(&code)).and_then(|date| SystemTime::try_from(date).ok())
    else {
        return String::new();
    };
    let now = SystemClock::new().now().wall();
    let (skew, direction) = match now.duration_since(date) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if skew < MAX_SKEW {
        return String::new();
    }
    format!("; the clock of this machine is {} min {direction} that of {service}, set it", skew.as_secs() / 60)
}

/// The SDK builds no URL without a region, and says so several sources below.
fn is_missing_region(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string().contains(MISSING_REGION) {
            return true;
        }
        next = error.source();
    }
    false
}

const SKEW_CODES: [&str; 4] =
    ["InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"];
/// The limit of AWS for the time of a signature.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);
const MISSING_REGION: &str = "Missing Region";
