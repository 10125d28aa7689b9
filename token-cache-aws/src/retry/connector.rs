//! [`RetryRejected`] as the `HttpConnector` of each object_store version.

use http::{Method, header};

use super::RetryRejected;
use super::budget::Budget;
use super::signature::{Payload, RequestSignature, without_signature};
use super::verdict::{Verdict, as_ranged_get, may_be_rejection};
use crate::error_body::read_error_body;

macro_rules! connector {
    ($feature:literal, $object_store:ident, $version:ident, $authorize:expr) => {
        #[cfg(feature = $feature)]
        mod $version {
            use async_trait::async_trait;
            use aws_credential_types::Credentials;
            use $object_store::aws::AwsAuthorizer;
            use $object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};
            use $object_store::{ClientConfigKey, ClientOptions, Result};

            use super::*;
            use crate::cache::AwsTokenCache;
            use crate::provider::$version::convert;

            impl<C: HttpConnector> HttpConnector for RetryRejected<C> {
                fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
                    let client = self.connector.connect(options)?;
                    let budget = Budget::new(options.get_config_value(&ClientConfigKey::Timeout).as_deref());
                    Ok(HttpClient::new(RetryService { client, aws: self.aws.clone(), budget }))
                }
            }

            #[derive(Debug)]
            struct RetryService {
                client: HttpClient,
                aws: AwsTokenCache,
                budget: Budget,
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
                    let (mut parts, body) = response.into_parts();
                    let left = self.budget.start();
                    let Some(body) = left.limit(read_error_body(body)).await.transpose()? else {
                        parts.headers.remove(header::CONTENT_LENGTH);
                        return Ok(HttpResponse::from_parts(parts, Vec::new().into()));
                    };
                    if !body.is_whole {
                        parts.headers.remove(header::CONTENT_LENGTH);
                    }
                    let retry = match Verdict::new(retry.method(), &parts, &body) {
                        Verdict::Accepted => None,
                        Verdict::Rejected => left.limit(self.sign_again(retry, &signature)).await.flatten(),
                        Verdict::Unknown => left.limit(self.sign_head_again(retry, &signature)).await.flatten(),
                    };
                    match retry {
                        Some(retry) => self.client.execute(retry).await,
                        None => Ok(HttpResponse::from_parts(parts, body.bytes.into())),
                    }
                }
            }

            impl RetryService {
                /// Signs a rejected request with other credentials. `None`: there are none.
                async fn sign_again(&self, request: HttpRequest, signature: &RequestSignature) -> Option<HttpRequest> {
                    let fresh = self.aws.fresh_credentials(signature).await?;
                    sign(request, signature, &fresh)
                }

                /// The same for a `HEAD`, if the response to it was a rejection.
                async fn sign_head_again(
                    &self,
                    head: HttpRequest,
                    signature: &RequestSignature,
                ) -> Option<HttpRequest> {
                    if self.is_rejected_as_get(&head, signature).await {
                        self.sign_again(head, signature).await
                    } else {
                        None
                    }
                }

                /// Sends a `HEAD` as a `GET`, to read the error code from the response.
                async fn is_rejected_as_get(&self, head: &HttpRequest, signature: &RequestSignature) -> bool {
                    // If the cache has other credentials by now, retry with those.
                    let Some(signer) = self.aws.signer(signature) else { return true };
                    let Some(get) = sign(as_ranged_get(head.clone()), signature, &signer) else { return false };
                    let Ok(response) = self.client.execute(get).await else { return false };
                    if !may_be_rejection(response.status()) {
                        return false;
                    }
                    let (parts, body) = response.into_parts();
                    let Ok(body) = read_error_body(body).await else { return false };
                    matches!(Verdict::new(&Method::GET, &parts, &body), Verdict::Rejected)
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
