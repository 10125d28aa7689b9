//! The design that programs write for themselves, as a provider of object_store: credentials behind a mutex, their expiry on
//! the wall clock, and a refresh in the background.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::task::JoinHandle;

use crate::reader::credential;
use crate::script::{Down, Script, lock};

#[derive(Debug)]
pub(crate) struct Seed {
    script: Arc<Script>,
    token: Arc<Mutex<Token>>,
    refresh: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone, Debug)]
struct Token {
    credential: Arc<AwsCredential>,
    expires_at: SystemTime,
    refreshed_at: SystemTime,
}

impl Seed {
    pub(crate) async fn new(script: Arc<Script>) -> Result<Self, Down> {
        let token = fetch(&script).await?;
        Ok(Self { script, token: Arc::new(Mutex::new(token)), refresh: Mutex::default() })
    }

    fn refresh_behind(&self) {
        let mut refresh = lock(&self.refresh);
        if refresh.as_ref().is_none_or(JoinHandle::is_finished) {
            let (script, token) = (Arc::clone(&self.script), Arc::clone(&self.token));
            *refresh = Some(tokio::spawn(async move {
                if let Ok(new) = fetch(&script).await {
                    *lock(&token) = new;
                }
            }));
        }
    }
}

#[async_trait]
impl CredentialProvider for Seed {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let Token { credential, expires_at, refreshed_at } = lock(&self.token).clone();
        let now = SystemTime::now();
        let remaining = expires_at.duration_since(now).unwrap_or_default();
        if remaining < Duration::from_millis(100) {
            let new = fetch(&self.script)
                .await
                .map_err(|down| object_store::Error::Generic { store: "S3", source: down.into() })?;
            *lock(&self.token) = new.clone();
            return Ok(new.credential);
        }
        if remaining < Duration::from_secs(300)
            && now.duration_since(refreshed_at).unwrap_or_default() > Duration::from_millis(100)
        {
            self.refresh_behind();
        }
        Ok(credential)
    }
}

async fn fetch(script: &Script) -> Result<Token, Down> {
    let issued = script.fetch().await?;
    let credential = Arc::new(credential(issued.number));
    Ok(Token { credential, expires_at: issued.expires_at, refreshed_at: SystemTime::now() })
}
