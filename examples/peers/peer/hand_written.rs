//! A cache as applications write it: a mutex around the token, which is not held during a fetch, and a refresh in the
//! background.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error};
use tokio::task::JoinHandle;

use super::{Peer, PeerCache};
use crate::source::{IssuedToken, ScriptedSource, SourceError, lock};

pub(crate) struct HandWritten;

/// Works like [Arroyo's provider](https://github.com/ArroyoSystems/arroyo/blob/master/crates/arroyo-storage/src/aws.rs).
#[derive(Debug)]
pub(crate) struct MutexProvider {
    source: Arc<ScriptedSource>,
    token: Arc<Mutex<Option<StoredToken>>>,
    refresh: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone, Debug)]
struct StoredToken {
    credential: Arc<AwsCredential>,
    expires_at: SystemTime,
    refreshed_at: SystemTime,
}

impl Peer for HandWritten {
    fn name(&self) -> &'static str {
        "hand-written"
    }

    fn package(&self) -> Option<&'static str> {
        None
    }

    fn note(&self) -> &'static str {
        "written for this comparison after Arroyo's `aws.rs`: a mutex around the token; with less than 100 ms left, each \
         caller fetches; with less than 5 min left, and 100 ms after the last success, one task refreshes in the background"
    }

    fn build(&self, source: Arc<ScriptedSource>) -> anyhow::Result<Arc<dyn PeerCache>> {
        Ok(Arc::new(MutexProvider::new(source)))
    }
}

impl MutexProvider {
    pub(crate) fn new(source: Arc<ScriptedSource>) -> Self {
        Self { source, token: Arc::default(), refresh: Mutex::default() }
    }

    fn refresh_in_background(&self) {
        let mut refresh = lock(&self.refresh);
        if refresh.as_ref().is_none_or(JoinHandle::is_finished) {
            let (source, token) = (Arc::clone(&self.source), Arc::clone(&self.token));
            *refresh = Some(tokio::spawn(async move {
                // After a failure, the next caller starts another refresh.
                let _ = fetch(&source, &token).await;
            }));
        }
    }
}

#[async_trait]
impl CredentialProvider for MutexProvider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let stored = lock(&self.token).clone();
        let now = SystemTime::now();
        let remaining =
            stored.as_ref().and_then(|stored| stored.expires_at.duration_since(now).ok()).unwrap_or_default();
        let Some(stored) = stored.filter(|_| remaining >= Duration::from_millis(100)) else {
            let fetched = fetch(&self.source, &self.token).await;
            return fetched.map_err(|error| Error::Generic { store: "S3", source: error.into() });
        };
        let age = now.duration_since(stored.refreshed_at).unwrap_or_default();
        if remaining < Duration::from_secs(300) && age > Duration::from_millis(100) {
            self.refresh_in_background();
        }
        Ok(stored.credential)
    }
}

#[async_trait]
impl PeerCache for MutexProvider {
    async fn get(&self) -> anyhow::Result<usize> {
        Ok(self.get_credential().await?.key_id.parse()?)
    }
}

async fn fetch(source: &ScriptedSource, token: &Mutex<Option<StoredToken>>) -> Result<Arc<AwsCredential>, SourceError> {
    let IssuedToken { number, expires_at } = source.fetch().await?;
    let credential = Arc::new(AwsCredential {
        key_id: number.to_string(),
        secret_key: "secret".to_owned(),
        token: Some("session".to_owned()),
    });
    let stored = StoredToken { credential: Arc::clone(&credential), expires_at, refreshed_at: SystemTime::now() };
    *lock(token) = Some(stored);
    Ok(credential)
}
