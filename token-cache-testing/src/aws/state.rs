//! What the issuer holds, and how it mints.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;

use super::fault::Faults;
use super::imds::Tokens;
use super::keys::{AccessKey, Identity, end_of_life};
use super::sigv4::SharedKeys;

/// What an issuer was asked and what it gave, from
/// [`Issuer::counts`](super::Issuer::counts).
///
/// Requests are counted when they arrive, also those that meet a fault or are
/// refused. An IMDS client that is failed asks again where it was failed, so
/// in an outage its tries show in [`imds_role`](Self::imds_role) and
/// [`imds_token`](Self::imds_token).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerCounts {
    /// Requests to the container endpoint.
    pub container: u64,
    /// Requests for an IMDS session token.
    pub imds_token: u64,
    /// Requests for the name of the role, which IMDS clients make before
    /// those for its credentials.
    pub imds_role: u64,
    /// Requests to IMDS for the credentials of a role.
    pub imds_credentials: u64,
    /// Requests to the portal of SSO for the credentials of a role.
    pub sso: u64,
    /// `AssumeRole`.
    pub assume_role: u64,
    /// `GetCallerIdentity`.
    pub caller_identity: u64,
    /// Everything else: the region, and what is not there.
    pub other: u64,
    /// Answers with a session that was alive, new or repeated.
    pub answered: u64,
    /// Sessions minted, with those of
    /// [`Issuer::new_session`](super::Issuer::new_session) and without those
    /// of [`Fault::Expired`](super::Fault::Expired).
    pub sessions: u64,
}

impl IssuerCounts {
    /// Requests for credentials, by whatever protocol: the sum of
    /// [`container`](Self::container),
    /// [`imds_credentials`](Self::imds_credentials), [`sso`](Self::sso) and
    /// [`assume_role`](Self::assume_role).
    #[must_use]
    pub fn credential_requests(&self) -> u64 {
        self.container + self.imds_credentials + self.sso + self.assume_role
    }
}

/// Whether an answer's session is to be alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionValidity {
    Alive,
    Expired,
}

pub(crate) struct Settings {
    pub(crate) lifetime: Duration,
    pub(crate) delay: Duration,
    pub(crate) reuse: Option<Duration>,
}

/// Gives a session of another issuer.
pub(crate) type Mint = Arc<dyn Fn() -> BoxFuture<'static, Option<AccessKey>> + Send + Sync>;

/// All that changes while the issuer runs, except the table of keys.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) tokens: Tokens,
    pub(crate) counts: IssuerCounts,
    /// What mints in place of the issuer.
    pub(crate) elsewhere: Option<Mint>,
    /// The last session that a metadata endpoint gave.
    last: Option<AccessKey>,
    keys: SharedKeys,
}

impl State {
    pub(crate) fn new(settings: Settings, keys: SharedKeys) -> Self {
        Self {
            settings,
            faults: Faults::default(),
            tokens: Tokens::default(),
            counts: IssuerCounts::default(),
            elsewhere: None,
            last: None,
            keys,
        }
    }

    pub(crate) fn mint(&mut self, identity: Identity, longest: Duration, now: SystemTime) -> AccessKey {
        self.counts.sessions += 1;
        let lifetime = self.settings.lifetime.min(longest);
        self.add(AccessKey::session(identity, now, end_of_life(now, lifetime), &mut rand::rng()))
    }

    pub(crate) fn metadata_session(&mut self, quality: SessionValidity, now: SystemTime) -> AccessKey {
        let identity = Identity::of_service();
        if quality == SessionValidity::Expired {
            return self.expired(identity, now);
        }
        self.counts.answered += 1;
        if let (Some(left), Some(last)) = (self.settings.reuse, &self.last)
            && lives_longer_than(last, left, now)
        {
            return last.clone();
        }
        let session = self.mint(identity, Duration::MAX, now);
        self.last = Some(session.clone());
        session
    }

    pub(crate) fn assumed_session(
        &mut self,
        identity: Identity,
        asked: Duration,
        quality: SessionValidity,
        now: SystemTime,
    ) -> AccessKey {
        if quality == SessionValidity::Expired {
            return self.expired(identity, now);
        }
        self.counts.answered += 1;
        self.mint(identity, asked, now)
    }

    /// A session that was over before it was given.
    fn expired(&self, identity: Identity, now: SystemTime) -> AccessKey {
        let ended = now - EXPIRED_FOR;
        self.add(AccessKey::session(identity, ended - EXPIRED_FOR, ended, &mut rand::rng()))
    }

    fn add(&self, key: AccessKey) -> AccessKey {
        self.keys.lock().insert(key.clone());
        key
    }
}

fn lives_longer_than(key: &AccessKey, left: Duration, now: SystemTime) -> bool {
    key.expires_at().and_then(|expires_at| expires_at.duration_since(now).ok()).is_some_and(|rest| rest > left)
}

/// Beyond any difference of clocks that a client might allow for.
const EXPIRED_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn state(reuse: Option<Duration>) -> (State, SystemTime) {
        let settings = Settings { lifetime: 10 * SECOND, delay: Duration::ZERO, reuse };
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        (State::new(settings, SharedKeys::default()), now)
    }

    #[test]
    fn each_request_mints_a_new_session() {
        let (mut state, now) = state(None);
        let first = state.metadata_session(SessionValidity::Alive, now);
        let second = state.metadata_session(SessionValidity::Alive, now);
        assert_ne!(first.access_key_id(), second.access_key_id());
        assert_eq!((state.counts.answered, state.counts.sessions), (2, 2));
    }

    #[test]
    fn a_session_is_repeated_until_too_little_of_it_is_left() {
        let (mut state, now) = state(Some(4 * SECOND));
        let first = state.metadata_session(SessionValidity::Alive, now);
        let same = state.metadata_session(SessionValidity::Alive, now + 5 * SECOND);
        assert_eq!(first.access_key_id(), same.access_key_id());
        let next = state.metadata_session(SessionValidity::Alive, now + 6 * SECOND);
        assert_ne!(first.access_key_id(), next.access_key_id());
        assert_eq!((state.counts.answered, state.counts.sessions), (3, 2));
    }

    #[test]
    fn an_assumed_role_lives_as_long_as_asked_but_no_longer_than_set() {
        let (mut state, now) = state(None);
        let mut lives = |asked| {
            let session = state.assumed_session(Identity::of_service(), asked, SessionValidity::Alive, now);
            session.expires_at().unwrap().duration_since(now).unwrap()
        };
        assert_eq!(lives(3 * SECOND), 3 * SECOND);
        assert_eq!(lives(3600 * SECOND), 10 * SECOND);
    }

    #[test]
    fn an_expired_session_is_over_and_not_repeated() {
        let (mut state, now) = state(Some(SECOND));
        let expired = state.metadata_session(SessionValidity::Expired, now);
        assert!(expired.expires_at().unwrap() < now);
        let alive = state.metadata_session(SessionValidity::Alive, now);
        assert_ne!(expired.access_key_id(), alive.access_key_id());
        assert_eq!((state.counts.answered, state.counts.sessions), (1, 1));
    }
}
