//! Renewing a token as the holder of a lease.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{Either, pending, select};
use token_cache_core::{BoxError, TemporaryToken, TokenSource, requested_delay};

use super::publish::{MIN_KEEP, keep};
use super::{Loaded, SharedSource, StoreState, shared};
use crate::codec::Codec;
use crate::plan::{Holder, Id, MAX_PAUSE, Renewal, RenewalKind};
use crate::random;
use crate::record::Record;
use crate::store::Version;

/// A lease that this process holds.
struct Lease {
    holder: Holder,
    /// Of the record. `None`: unknown, or another process has changed it.
    version: Option<Version>,
}

impl<S: TokenSource, C: Codec<S::Token>> SharedSource<S, C> {
    /// Claims the lease, and fetches as its holder. `None`: another process was faster.
    pub(super) async fn claim(&self, loaded: Loaded<S::Token>) -> Option<Result<TemporaryToken<S::Token>, BoxError>> {
        let store = StoreState::Readable { token: loaded.token.as_ref().map(|(info, _)| info.id) };
        let Some(holder) = random::id() else { return Some(self.fetch_alone(store).await) };
        let lease = self.lease_record(Holder { id: holder, beat: 0 }, &loaded.sealed_token);
        let Some(record) = lease else { return Some(self.fetch_alone(store).await) };
        match self.swap(loaded.version.as_ref(), &record, self.settings.lease + MIN_KEEP).await {
            Ok(version) => Some(self.renew(holder, version?, loaded).await),
            Err(error) => Some(match self.use_due_token(loaded.token) {
                // Better than a fetch without a lease.
                Some(token) => Ok(token),
                None => self.fetch_without_store(error, store).await,
            }),
        }
    }

    async fn renew(
        &self,
        holder: Id,
        version: Version,
        loaded: Loaded<S::Token>,
    ) -> Result<TemporaryToken<S::Token>, BoxError> {
        let lease = Mutex::new(Lease { holder: Holder { id: holder, beat: 0 }, version: Some(version) });
        let started_at = self.now().wall();
        let fetched = match select(self.source.fetch(), pin!(self.keep_lease(&lease, &loaded.sealed_token))).await {
            Either::Left((fetched, _)) => fetched,
            Either::Right((never, _)) => match never {},
        };
        let version = lease.into_inner().unwrap_or_else(PoisonError::into_inner).version;
        let before = loaded.token.as_ref().map(|(info, _)| info.id);
        match fetched {
            Ok(token) => {
                let (info, record) = self.record_of(&token, started_at);
                self.try_publish(version, before, &info, record).await;
                self.memory().set_last(info);
                Ok(shared(token, &info))
            }
            Err(error) => {
                let pause = self.pause(holder, &error, &loaded);
                if let (Some(version), Some(pause)) = (version, pause) {
                    let keep = loaded.token.as_ref().map_or(MIN_KEEP, |(info, _)| keep(info, self.now()));
                    // If it fails, the lease ends by itself.
                    let _ = self.swap(Some(&version), &pause, keep).await;
                }
                self.use_due_token(loaded.token).ok_or(error)
            }
        }
    }

    /// Renews the lease for as long as it is polled.
    async fn keep_lease(&self, lease: &Mutex<Lease>, sealed_token: &[u8]) -> Infallible {
        loop {
            self.sleep(self.settings.lease / 3).await;
            let (holder, version) = {
                let mut lease = lock(lease);
                lease.holder.beat += 1;
                // Until the store has responded, the version is unknown.
                (lease.holder, lease.version.take())
            };
            let Some(version) = version else { return pending().await };
            let Some(record) = self.lease_record(holder, sealed_token) else { return pending().await };
            match self.swap(Some(&version), &record, self.settings.lease + MIN_KEEP).await {
                Ok(next) => lock(lease).version = next,
                Err(_) => lock(lease).version = Some(version),
            }
        }
    }

    /// `None`: it cannot be sealed.
    fn lease_record(&self, holder: Holder, sealed_token: &[u8]) -> Option<Record> {
        let (duration, written_at) = (self.settings.lease, self.now().wall());
        let renewal = Renewal { kind: RenewalKind::Fetching, holder, duration, written_at };
        let error = self.sealer.seal_error(&renewal, "")?;
        Some(Record { renewal: Some(renewal), error, token: sealed_token.to_vec() })
    }

    /// The record that tells the other processes of a failed fetch.
    fn pause(&self, holder: Id, error: &BoxError, loaded: &Loaded<S::Token>) -> Option<Record> {
        let pause = MIN_PAUSE + (DEFAULT_MAX_PAUSE - MIN_PAUSE).mul_f64(random::fraction());
        let duration = pause.max(requested_delay(error).unwrap_or_default()).min(MAX_PAUSE);
        // The beat of a pause differs from all beats of its lease.
        let holder = Holder { id: holder, beat: u32::MAX };
        let renewal = Renewal { kind: RenewalKind::Paused, holder, duration, written_at: self.now().wall() };
        let error = self.sealer.seal_error(&renewal, &short_text(&**error))?;
        Some(Record { renewal: Some(renewal), error, token: loaded.sealed_token.clone() })
    }
}

fn lock(lease: &Mutex<Lease>) -> MutexGuard<'_, Lease> {
    lease.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The messages of an error and its sources, as much as a record should have.
fn short_text(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text.chars().take(MAX_ERROR_LEN).collect()
}

/// After a failed fetch. Drawn, so that the fleet does not ask in step with the issuer's own intervals.
const MIN_PAUSE: Duration = Duration::from_secs(2);
const DEFAULT_MAX_PAUSE: Duration = Duration::from_secs(5);
/// In characters.
const MAX_ERROR_LEN: usize = 300;
