//! [`RetryRejected`] as the `HttpConnector` of each object_store version.

use http::Method;

use super::RetryRejected;
use super::signature::{Payload, RequestSignature, without_signature};
use super::verdict::{Verdict, as_ranged_get, may_be_rejection};

macro_rules! connector {
    ($feature:literal, $object_store:ident, $version:ident, $authorize:expr) => {
        #[cfg(feature = $feature)]
        mod $version {
            use async_trait::async_trait;
            use aws_credential_types::Credentials;
            use $object_store::aws::AwsAuthorizer;
            use $object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};
            use $object_store::{ClientOptions, Result};

            use super::*;
            use crate::cache::AwsTokenCache;
            use crate::provider::$version::convert;

            impl<C: HttpConnector> HttpConnector for RetryRejected<C> {
                fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
                    let client = self.connector.connect(options)?;
                    Ok(HttpClient::new(RetryService { client, aws: self.aws.clone() }))
                }
            }

            #[derive(Debug)]
            struct RetryService {
                client: HttpClient,
                aws: AwsTokenCache,
            }

            #[async_trait]
            impl HttpService for RetryService {
                async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
                    let Some(signature) = RequestSignature::from_headers(request.headers()) else {
                        return self.client.execute(request).await;
                    };
                    let retry = request.clone();
                    let response = self.client.execute(request).await?;
                    if !may_be_rejection(response.status()) {
                        return Ok(response);
                    }
                    let (parts, body) = response.into_parts();
                    let body = body.bytes().await?;
                    let is_rejected = match Verdict::new(retry.method(), parts.status, &body) {
                        Verdict::Accepted => false,
                        Verdict::Rejected => true,
                        Verdict::Unknown => self.is_rejected_as_get(&retry, &signature).await,
                    };
                    if is_rejected
                        && let Some(fresh) = self.aws.fresh_credentials(&signature).await
                        && let Some(retry) = sign(retry, &signature, &fresh)
                    {
                        return self.client.execute(retry).await;
                    }
                    Ok(HttpResponse::from_parts(parts, body.into()))
                }
            }

            impl RetryService {
                /// Sends a `HEAD` as a `GET`, to read the error code from the response.
                async fn is_rejected_as_get(&self, head: &HttpRequest, signature: &RequestSignature) -> bool {
                    // If the cache has other credentials by now, retry with those.
                    let Some(signer) = self.aws.signer(signature) else { return true };
                    let Some(get) = sign(as_ranged_get(head.clone()), signature, &signer) else { return false };
                    let Ok(response) = self.client.execute(get).await else { return false };
                    let status = response.status();
                    if !may_be_rejection(status) {
                        return false;
                    }
                    let body = response.into_body().bytes().await.unwrap_or_default();
                    matches!(Verdict::new(&Method::GET, status, &body), Verdict::Rejected)
                }
            }

            fn sign(
                request: HttpRequest,
                signature: &RequestSignature,
                credentials: &Credentials,
            ) -> Option<HttpRequest> {
                let credential = convert(credentials);
                let digest = match &signature.payload {
                    Payload::Digest(digest) => Some(&digest[..]),
                    Payload::Unsigned | Payload::Other => None,
                };
                let authorizer = AwsAuthorizer::new(&credential, &signature.service, &signature.region)
                    .with_sign_payload(!matches!(signature.payload, Payload::Unsigned));
                let authorize: fn(&AwsAuthorizer<'_>, &mut HttpRequest, Option<&[u8]>) -> bool = $authorize;
                let mut request = without_signature(request);
                authorize(&authorizer, &mut request, digest).then_some(request)
            }
        }
    };
}

connector!("object_store-0_12", object_store_0_12, v0_12, |authorizer, request, digest| {
    authorizer.authorize(request, digest);
    true
});
connector!("object_store-0_13", object_store_0_13, v0_13, |authorizer, request, digest| {
    authorizer.authorize(request, digest);
    true
});
// Fails without one of the crypto features of object_store.
connector!("object_store-0_14", object_store, v0_14, |authorizer, request, digest| {
    authorizer.try_authorize(request, digest).is_ok()
});
