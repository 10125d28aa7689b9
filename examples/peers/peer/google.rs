//! The token cache of google-cloud-auth. It is private, so it is reached through external account credentials.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use google_cloud_auth::credentials::external_account::ProgrammaticBuilder;
use google_cloud_auth::credentials::subject_token::{Builder, SubjectToken, SubjectTokenProvider};
use google_cloud_auth::credentials::{CacheableResource, Credentials};
use google_cloud_auth::errors::SubjectTokenProviderError;
use http::Extensions;
use http::header::AUTHORIZATION;

use super::{Peer, PeerCache};
use crate::source::{ScriptedSource, SourceError};
use crate::token_endpoint::TokenEndpoint;

pub(crate) struct Google;

#[derive(Debug)]
struct Source(Arc<ScriptedSource>);

struct ExternalAccount {
    credentials: Credentials,
    /// Serves the credentials until it is dropped.
    _endpoint: TokenEndpoint,
}

impl Peer for Google {
    fn name(&self) -> &'static str {
        "google-cloud-auth"
    }

    fn package(&self) -> Option<&'static str> {
        Some("google-cloud-auth")
    }

    fn note(&self) -> &'static str {
        "external account credentials: the source provides the subject tokens, and a server on loopback exchanges them for \
         access tokens without a delay. A background task fetches from construction on, by a timer: every 10 s after an \
         error or with less than 240 s left. In C, D, D2, E and G callers therefore never start a fetch, and the 5 s without \
         a valid token that follow a token of 5 s are not visible here. In H callers wait for the timer"
    }

    fn build(&self, source: Arc<ScriptedSource>) -> anyhow::Result<Arc<dyn PeerCache>> {
        let endpoint = TokenEndpoint::start(Arc::clone(&source))?;
        let credentials = ProgrammaticBuilder::new(Arc::new(Source(source)))
            .with_audience("peers")
            .with_subject_token_type("urn:ietf:params:oauth:token-type:jwt")
            .with_token_url(endpoint.url())
            .build()?;
        Ok(Arc::new(ExternalAccount { credentials, _endpoint: endpoint }))
    }
}

impl SubjectTokenProvider for Source {
    type Error = SourceError;

    async fn subject_token(&self) -> Result<SubjectToken, SourceError> {
        Ok(Builder::new(self.0.fetch().await?.number.to_string()).build())
    }
}

impl SubjectTokenProviderError for SourceError {
    fn is_transient(&self) -> bool {
        true
    }
}

#[async_trait]
impl PeerCache for ExternalAccount {
    async fn get(&self) -> anyhow::Result<usize> {
        let CacheableResource::New { data, .. } = self.credentials.headers(Extensions::new()).await? else {
            anyhow::bail!("`NotModified`, although the request had no entity tag");
        };
        let bearer = data.get(AUTHORIZATION).context("the headers contain no token")?.to_str()?;
        Ok(bearer.trim_start_matches("Bearer ").parse()?)
    }
}
