//! [`BaseCredentials`]: the credentials that assume a role.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::cache::AwsTokenCache;
use crate::rejected::is_rejection;
use crate::sdk::into_credentials_error;

/// The role of a source.
#[derive(Clone)]
pub(crate) struct Role {
    pub(crate) arn: Arc<str>,
    pub(crate) base: BaseCredentials,
}

/// The credentials of another cache, and a record of which of them were used last.
#[derive(Clone)]
pub(crate) struct BaseCredentials {
    aws: AwsTokenCache,
    /// Weak, so that it keeps no replaced credentials alive.
    last: Arc<Mutex<Weak<Credentials>>>,
}

impl BaseCredentials {
    pub(crate) fn new(aws: &AwsTokenCache) -> Self {
        Self { aws: aws.clone(), last: Arc::default() }
    }

    /// Fetches credentials in place of those that were used last, which STS has rejected. Whether there are others.
    ///
    /// They are not invalidated: STS also rejects valid ones, as in a region that the account has not enabled.
    pub(crate) async fn replace_last(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        // The cache may have replaced them already.
        let Some(rejected) = last.filter(|last| self.is_current(last)) else { return true };
        self.aws.cache().replace(&rejected).await.is_ok()
    }

    fn is_current(&self, credentials: &Arc<Credentials>) -> bool {
        self.aws.cache().peek().is_none_or(|current| Arc::ptr_eq(&current, credentials))
    }
}

impl ProvideCredentials for BaseCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.aws.get().await.map_err(into_credentials_error)?;
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&credentials);
            Ok((*credentials).clone())
        })
    }
}

impl fmt::Debug for BaseCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.aws.fmt(f)
    }
}

/// Whether STS has rejected the credentials of the request, and not the request itself.
pub(crate) fn is_rejected_by_sts(error: &CredentialsError) -> bool {
    let error = error.source().and_then(|source| source.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>());
    error.and_then(SdkError::as_service_error).and_then(ProvideErrorMetadata::code).is_some_and(is_rejection)
}
