//! [`AwsTokenCache::replace_rejected`]: other credentials in place of rejected ones.

use std::sync::Arc;

use aws_credential_types::Credentials;

use crate::builder::is_same;
use crate::cache::AwsTokenCache;

impl AwsTokenCache {
    /// Rejects credentials and waits for different ones. `None`: there are none.
    pub(crate) async fn replace_rejected(&self, rejected: &Arc<Credentials>) -> Option<Arc<Credentials>> {
        self.cache().invalidate(rejected);
        self.get().await.ok().filter(|credentials| !is_same(credentials, rejected))
    }
}
