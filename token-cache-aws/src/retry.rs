//! [`RetryRejected`]: signs a rejected request again with new credentials and sends it once more.

mod budget;
mod connector;
mod signature;
mod verdict;

use std::sync::Arc;

use aws_credential_types::Credentials;

use self::signature::RequestSignature;
use crate::cache::AwsTokenCache;

/// An HTTP connector for object_store that repeats a request once if S3 rejected its credentials. Created by
/// [`AwsTokenCache::retry_rejected`].
#[derive(Clone, Debug)]
pub struct RetryRejected<C> {
    connector: C,
    aws: AwsTokenCache,
}

impl AwsTokenCache {
    /// Wraps the HTTP connector of a store. If S3 rejects the credentials of a request ([`is_credential_rejected`]),
    /// they are [replaced](token_cache_core::TokenCache::replace), and the request is signed with new credentials and
    /// sent once more. Meanwhile other stores keep theirs.
    ///
    /// ```no_run
    /// use object_store::aws::AmazonS3Builder;
    /// use object_store::client::ReqwestConnector;
    ///
    /// # async fn example() -> object_store::Result<()> {
    /// let aws = token_cache_aws::AwsTokenCache::from_env().await;
    /// let store = aws
    ///     .configure(AmazonS3Builder::new().with_bucket_name("bucket"))
    ///     .with_http_connector(aws.retry_rejected(ReqwestConnector::default()))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It retries individual HTTP requests: one upload part or one list page, never the whole operation. A rejected
    /// request has had no effect on the server, so no write happens twice, and conditional writes stay correct.
    ///
    /// The response to a `HEAD` has no body and so no error code. After a 400 or a 403, the same request is sent once
    /// as a `GET` of one byte to read the code.
    ///
    /// Whatever precedes the retry, such as reading the response or waiting for new credentials, takes at most a third of
    /// the request's timeout (10 seconds by default, or without one). After that the caller gets the response of S3.
    /// At most 64 KiB of an error response are read; a longer one is no rejection, and the caller gets its start.
    ///
    /// Unsigned requests, presigned URLs and requests of S3 Express sessions are not retried. If no new credentials are
    /// available, or the new ones are the same, the caller gets the response of S3.
    ///
    /// Use it only on stores whose credentials come from this cache, as set by [`configure`](Self::configure). The
    /// retry is signed by object_store: on 0.14 without one of its crypto features, nothing is retried.
    ///
    /// [`is_credential_rejected`]: crate::is_credential_rejected
    pub fn retry_rejected<C>(&self, connector: C) -> RetryRejected<C> {
        RetryRejected { connector, aws: self.clone() }
    }

    /// Credentials other than those that made `signature`, if there are any.
    async fn fresh_credentials(&self, signature: &RequestSignature) -> Option<Arc<Credentials>> {
        match self.signer(signature) {
            Some(rejected) => self.cache().replace(&rejected).await.ok(),
            // They have been replaced already.
            None => self.get().await.ok().filter(|credentials| !signature.is_by(credentials)),
        }
    }

    /// The credentials that made `signature`, unless they have been replaced.
    fn signer(&self, signature: &RequestSignature) -> Option<Arc<Credentials>> {
        self.cache().peek().filter(|credentials| signature.is_by(credentials))
    }
}
