//! Storing a token that was fetched, for the other processes.

use std::time::{Duration, SystemTime};

use token_cache_core::{BoxError, TemporaryToken, TimePoint, TokenSource};
use zeroize::Zeroizing;

use super::SharedSource;
use crate::codec::Codec;
use crate::events;
use crate::plan::{Id, TokenInfo};
use crate::random;
use crate::record::Record;
use crate::store::Version;

impl<S: TokenSource, C: Codec<S::Token>> SharedSource<S, C> {
    /// The record of a token that was just fetched. `None`: it cannot be sealed.
    pub(super) fn record_of(
        &self,
        token: &TemporaryToken<S::Token>,
        started_at: SystemTime,
    ) -> (TokenInfo, Option<Record>) {
        let expires_at = token.expires_at(started_at);
        let refresh_at = token.refresh_time().or_else(|| {
            let expires_at = expires_at?;
            let lifetime = expires_at.duration_since(started_at).unwrap_or_default();
            expires_at.checked_sub((self.expiry_buffer)(lifetime).min(lifetime))
        });
        let id = random::id();
        let info = TokenInfo { id: id.unwrap_or(Id([0; 16])), expires_at, refresh_at };
        let bytes = Zeroizing::new(self.codec.encode(token.value()));
        let sealed = id.and_then(|_| self.sealer.seal_token(&info, &bytes));
        (info, sealed.map(|token| Record { renewal: None, error: Vec::new(), token }))
    }

    /// Stores a new token if that is possible in time. It is returned in any case.
    pub(super) async fn try_publish(
        &self,
        version: Option<Version>,
        before: Option<Id>,
        info: &TokenInfo,
        record: Option<Record>,
    ) {
        let Some(record) = record else { return };
        let publish = self.publish(version, before, &record, keep(info, self.now()));
        if !matches!(self.with_timeout(publish).await, Some(Ok(()))) {
            events::not_published(&self.sealer.name);
        }
    }

    /// Stores a new token, unless another process has stored one since.
    async fn publish(
        &self,
        version: Option<Version>,
        before: Option<Id>,
        record: &Record,
        keep: Duration,
    ) -> Result<(), BoxError> {
        let (mut is_known, mut expected) = (version.is_some(), version);
        loop {
            if is_known && self.swap(expected.as_ref(), record, keep).await?.is_some() {
                return Ok(());
            }
            let found = self.load_record(&self.record_name).await?;
            if found.token.is_some_and(|(info, _)| info.is_valid(self.now()) && Some(info.id) != before) {
                return Ok(());
            }
            (is_known, expected) = (true, found.version);
        }
    }
}

/// How long a store has to keep the record of a token.
pub(super) fn keep(info: &TokenInfo, now: TimePoint) -> Duration {
    let remaining = info.expires_at.map(|expires_at| expires_at.duration_since(now.wall()).unwrap_or_default());
    remaining.map_or(MAX_KEEP, |remaining| remaining.min(MAX_KEEP)) + MIN_KEEP
}

/// How long a record is kept beyond its token.
pub(super) const MIN_KEEP: Duration = Duration::from_secs(60);
const MAX_KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
