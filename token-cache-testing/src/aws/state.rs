//! The mutable state of the issuer, and how it mints sessions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;

use super::fault::Faults;
use super::imds::Tokens;
use super::keys::{AccessKey, Identity, ROLE, end_of_life};
use super::sigv4::SharedKeys;
use super::sts::AssumeRoleRequest;

/// The requests that an issuer received and the sessions it minted, from [`Issuer::counts`](super::Issuer::counts).
///
/// A request is counted when it arrives, also if it meets a fault or is refused. An IMDS client retries the request that
/// failed, so during an outage its attempts count as [`imds_role`](Self::imds_role) and [`imds_token`](Self::imds_token).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerCounts {
    /// Requests to the container endpoint.
    pub container: u64,
    /// Requests for an IMDS session token.
    pub imds_token: u64,
    /// Requests for the name of the role, which IMDS clients make before they request its credentials.
    pub imds_role: u64,
    /// Requests to IMDS for the credentials of a role.
    pub imds_credentials: u64,
    /// Requests to the SSO portal for the credentials of a role.
    pub sso: u64,
    /// `AssumeRole` requests.
    pub assume_role: u64,
    /// `GetCallerIdentity` requests.
    pub caller_identity: u64,
    /// All other requests: for the region, and for paths and actions that do not exist.
    pub other: u64,
    /// Answers with a valid session, new or repeated.
    pub answered: u64,
    /// Sessions minted, including those of [`Issuer::new_session`](super::Issuer::new_session), excluding those of
    /// [`Fault::Expired`](super::Fault::Expired).
    pub sessions: u64,
}

impl IssuerCounts {
    /// Requests for credentials by any protocol: the sum of [`container`](Self::container),
    /// [`imds_credentials`](Self::imds_credentials), [`sso`](Self::sso) and [`assume_role`](Self::assume_role).
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// reqwest::get(aws.issuer().container_uri()).await?;
    /// assert_eq!(aws.issuer().counts().credential_requests(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn credential_requests(&self) -> u64 {
        self.container + self.imds_credentials + self.sso + self.assume_role
    }
}

/// Whether the session of an answer is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionValidity {
    Valid,
    Expired,
}

pub(crate) struct Settings {
    pub(crate) lifetime: Duration,
    pub(crate) delay: Duration,
    pub(crate) reuse: Option<Duration>,
}

/// Returns a session of another issuer.
pub(crate) type SessionProvider = Arc<dyn Fn() -> BoxFuture<'static, Option<AccessKey>> + Send + Sync>;

/// Everything that changes while the issuer runs, except the table of keys.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) tokens: Tokens,
    pub(crate) counts: IssuerCounts,
    /// Mints in place of the issuer.
    pub(crate) session_provider: Option<SessionProvider>,
    /// The name of the instance's role.
    pub(crate) instance_role: String,
    /// The last session from a metadata endpoint.
    last: Option<AccessKey>,
    keys: SharedKeys,
    pub(crate) assume_role_requests: VecDeque<AssumeRoleRequest>,
}

impl State {
    pub(crate) fn new(settings: Settings, keys: SharedKeys) -> Self {
        Self {
            settings,
            faults: Faults::default(),
            tokens: Tokens::default(),
            counts: IssuerCounts::default(),
            session_provider: None,
            instance_role: ROLE.to_owned(),
            last: None,
            keys,
            assume_role_requests: VecDeque::new(),
        }
    }

    /// Mints a session with the configured lifetime, at most `max_lifetime`.
    pub(crate) fn mint(&mut self, identity: Identity, max_lifetime: Duration, now: SystemTime) -> AccessKey {
        self.counts.sessions += 1;
        let lifetime = self.settings.lifetime.min(max_lifetime);
        self.add(AccessKey::session(identity, now, end_of_life(now, lifetime), &mut rand::rng()))
    }

    pub(crate) fn metadata_session(&mut self, validity: SessionValidity, now: SystemTime) -> AccessKey {
        let identity = Identity::of_service();
        if validity == SessionValidity::Expired {
            return self.expired_session(identity, now);
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
        requested: Duration,
        validity: SessionValidity,
        now: SystemTime,
    ) -> AccessKey {
        if validity == SessionValidity::Expired {
            return self.expired_session(identity, now);
        }
        self.counts.answered += 1;
        self.mint(identity, requested, now)
    }

    pub(crate) fn end_sessions(&mut self) {
        self.last = None;
        self.keys.lock().end_sessions();
    }

    /// Mints a session that has already expired.
    fn expired_session(&self, identity: Identity, now: SystemTime) -> AccessKey {
        let ended = now - EXPIRED_FOR;
        self.add(AccessKey::session(identity, ended - EXPIRED_FOR, ended, &mut rand::rng()))
    }

    fn add(&self, key: AccessKey) -> AccessKey {
        self.keys.lock().insert(key.clone());
        key
    }
}

fn lives_longer_than(key: &AccessKey, left: Duration, now: SystemTime) -> bool {
    key.expires_at()
        .and_then(|expires_at| expires_at.duration_since(now).ok())
        .is_some_and(|remaining| remaining > left)
}

/// More than any clock skew that a client may allow for.
const EXPIRED_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::VirtualClock;

    const SECOND: Duration = Duration::from_secs(1);

    fn state(reuse: Option<Duration>) -> (State, SystemTime) {
        let settings = Settings { lifetime: 10 * SECOND, delay: Duration::ZERO, reuse };
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        (State::new(settings, SharedKeys::new(Arc::new(VirtualClock::new()))), now)
    }

    #[test]
    fn each_request_mints_a_new_session() {
        let (mut state, now) = state(None);
        let first = state.metadata_session(SessionValidity::Valid, now);
        let second = state.metadata_session(SessionValidity::Valid, now);
        assert_ne!(first.access_key_id(), second.access_key_id());
        assert_eq!((state.counts.answered, state.counts.sessions), (2, 2));
    }

    #[test]
    fn a_session_is_repeated_while_enough_of_it_is_left() {
        let (mut state, now) = state(Some(4 * SECOND));
        let first = state.metadata_session(SessionValidity::Valid, now);
        let same = state.metadata_session(SessionValidity::Valid, now + 5 * SECOND);
        assert_eq!(first.access_key_id(), same.access_key_id());
        let next = state.metadata_session(SessionValidity::Valid, now + 6 * SECOND);
        assert_ne!(first.access_key_id(), next.access_key_id());
        assert_eq!((state.counts.answered, state.counts.sessions), (3, 2));
    }

    #[test]
    fn a_session_that_was_ended_is_not_repeated() {
        let (mut state, now) = state(Some(SECOND));
        let first = state.metadata_session(SessionValidity::Valid, now);
        state.end_sessions();
        let next = state.metadata_session(SessionValidity::Valid, now);
        assert_ne!(first.access_key_id(), next.access_key_id());
    }

    #[test]
    fn an_assumed_role_gets_the_requested_or_the_configured_lifetime() {
        let (mut state, now) = state(None);
        let mut lifetime = |requested| {
            let session = state.assumed_session(Identity::of_service(), requested, SessionValidity::Valid, now);
            session.expires_at().unwrap().duration_since(now).unwrap()
        };
        assert_eq!(lifetime(3 * SECOND), 3 * SECOND);
        assert_eq!(lifetime(3600 * SECOND), 10 * SECOND);
    }

    #[test]
    fn an_expired_session_is_neither_counted_nor_repeated() {
        let (mut state, now) = state(Some(SECOND));
        let expired = state.metadata_session(SessionValidity::Expired, now);
        assert!(expired.expires_at().unwrap() < now);
        let valid = state.metadata_session(SessionValidity::Valid, now);
        assert_ne!(expired.access_key_id(), valid.access_key_id());
        assert_eq!((state.counts.answered, state.counts.sessions), (1, 1));
    }
}
