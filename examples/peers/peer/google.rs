//! Google's cache, which is private: it sits in the credentials of an external account.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use google_cloud_auth::credentials::external_account::ProgrammaticBuilder;
use google_cloud_auth::credentials::subject_token::{Builder, SubjectToken, SubjectTokenProvider};
use google_cloud_auth::credentials::{CacheableResource, Credentials};
use google_cloud_auth::errors::SubjectTokenProviderError;
use http::Extensions;
use http::header::AUTHORIZATION;

use super::{Caller, Peer};
use crate::exchange::Exchange;
use crate::script::{Down, Script};

pub(crate) struct Google;

#[derive(Debug)]
struct Source(Arc<Script>);

struct ExternalAccount {
    credentials: Credentials,
    /// Served for as long as this is.
    _exchange: Exchange,
}

impl Peer for Google {
    fn name(&self) -> &'static str {
        "google-cloud-auth"
    }

    fn package(&self) -> Option<&'static str> {
        Some("google-cloud-auth")
    }

    fn note(&self) -> &'static str {
        "the credentials of an external account, whose subject tokens are the source, and whose exchange for an access token \
         is a server on loopback that answers at once. It fetches by a timer of its own, from its construction on: with less \
         than 240 s left, or after an error, every 10 s. So in C, D, D2, E and G no caller has any part in a fetch, and a \
         token of 5 s leaves a hole of 5 s that is not seen here. In H callers wait for that timer"
    }

    fn fresh(&self, script: Arc<Script>) -> anyhow::Result<Arc<dyn Caller>> {
        let exchange = Exchange::start(Arc::clone(&script))?;
        let credentials = ProgrammaticBuilder::new(Arc::new(Source(script)))
            .with_audience("peers")
            .with_subject_token_type("urn:ietf:params:oauth:token-type:jwt")
            .with_token_url(exchange.url())
            .build()?;
        Ok(Arc::new(ExternalAccount { credentials, _exchange: exchange }))
    }
}

impl SubjectTokenProvider for Source {
    type Error = Down;

    async fn subject_token(&self) -> Result<SubjectToken, Down> {
        Ok(Builder::new(self.0.fetch().await?.number.to_string()).build())
    }
}

impl SubjectTokenProviderError for Down {
    fn is_transient(&self) -> bool {
        true
    }
}

#[async_trait]
impl Caller for ExternalAccount {
    async fn get(&self) -> anyhow::Result<usize> {
        let CacheableResource::New { data, .. } = self.credentials.headers(Extensions::new()).await? else {
            anyhow::bail!("not modified since nothing");
        };
        let bearer = data.get(AUTHORIZATION).context("no token in the headers")?.to_str()?;
        Ok(bearer.trim_start_matches("Bearer ").parse()?)
    }
}
