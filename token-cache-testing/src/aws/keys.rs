//! Access keys, and the table that both services share.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::clock;
use rand::Rng;
use rand::distr::{Alphanumeric, SampleString};

/// An access key that the kit knows: its long-term key, or a session's.
///
/// `Debug` shows neither the access key id nor the secrets, only when the key
/// expires.
#[derive(Clone)]
pub struct AccessKey {
    id: String,
    secret: String,
    session: Option<Session>,
    identity: Identity,
}

impl AccessKey {
    /// A key without a session token, which never expires.
    pub(crate) fn long_term(identity: Identity, rng: &mut impl Rng) -> Self {
        Self { id: random_id("AKIA", rng), secret: random_secret(rng), session: None, identity }
    }

    /// A session that begins at `issued_at` and is over at `expires_at`, which
    /// is rounded down to the millisecond: what the endpoints announce and
    /// what the servers enforce is then the same moment.
    pub(crate) fn session(
        identity: Identity,
        issued_at: SystemTime,
        expires_at: SystemTime,
        rng: &mut impl Rng,
    ) -> Self {
        let session = Session {
            token: Alphanumeric.sample_string(rng, TOKEN_LENGTH),
            issued_at,
            expires_at: floor_to_millis(expires_at),
        };
        Self { id: random_id("ASIA", rng), secret: random_secret(rng), session: Some(session), identity }
    }

    /// A session of another issuer, for
    /// [`Issuer::with_session_provider`](super::Issuer::with_session_provider). The kit's own S3 server
    /// does not know it.
    #[must_use]
    pub fn foreign(id: String, secret: String, token: String, expires_at: SystemTime) -> Self {
        let session = Session { token, issued_at: clock::wall(), expires_at: floor_to_millis(expires_at) };
        Self { id, secret, session: Some(session), identity: Identity::of_service() }
    }

    /// The access key id: 20 upper-case letters and digits, beginning with
    /// `AKIA` for the long-term key and with `ASIA` for a session.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.id
    }

    /// The secret access key: 40 letters and digits.
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        &self.secret
    }

    /// The session token; `None` for the long-term key.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.token.as_str())
    }

    /// The first moment at which the servers refuse the session; `None` for
    /// the long-term key. In whole milliseconds.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.session.as_ref().map(|session| session.expires_at)
    }

    pub(crate) fn issued_at(&self) -> Option<SystemTime> {
        self.session.as_ref().map(|session| session.issued_at)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("expires_at", &self.expires_at()).finish_non_exhaustive()
    }
}

/// Who signs with a key, as `GetCallerIdentity` tells it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

impl Identity {
    /// The user whose the long-term key is.
    pub(crate) fn user() -> Self {
        Self { arn: format!("arn:aws:iam::{ACCOUNT}:user/test"), user_id: "AIDAAAAAAAAAAAAAAAAA".into() }
    }

    /// The role of a machine or a container, assumed by the service it runs
    /// in.
    pub(crate) fn of_service() -> Self {
        Self::of_role(ACCOUNT, ROLE, "i-00000000000000000")
    }

    pub(crate) fn of_role(account: &str, role: &str, session: &str) -> Self {
        Self {
            arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
            user_id: format!("AROAAAAAAAAAAAAAAAAA:{session}"),
        }
    }
}

/// Every key ever made. Expired sessions stay, so that they are told from
/// unknown keys for as long as the kit runs.
#[derive(Default)]
pub(crate) struct Keys {
    by_id: HashMap<String, AccessKey>,
}

impl Keys {
    pub(crate) fn insert(&mut self, key: AccessKey) {
        self.by_id.insert(key.id.clone(), key);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&AccessKey> {
        self.by_id.get(id)
    }

    /// Judges what came with a good signature.
    ///
    /// A wrong token is told before the expiry: AWS says of a token only that
    /// it has expired once it knows it for its own.
    pub(crate) fn check(&self, id: &str, token: Option<&[u8]>, now: SystemTime) -> Result<&AccessKey, Refusal> {
        let key = self.get(id).ok_or(Refusal::UnknownKey)?;
        if token != key.session_token().map(str::as_bytes) {
            return Err(Refusal::WrongToken);
        }
        if key.expires_at().is_some_and(|expires_at| expires_at <= now) {
            return Err(Refusal::Expired);
        }
        Ok(key)
    }
}

/// Why a signed request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Expired,
    UnknownKey,
    WrongToken,
}

/// `start` plus a lifetime chosen by the user, kept within what RFC 3339 can
/// write.
pub(crate) fn end_of_life(start: SystemTime, lifetime: Duration) -> SystemTime {
    start + lifetime.min(LONGEST_LIFETIME)
}

#[derive(Clone)]
struct Session {
    token: String,
    issued_at: SystemTime,
    expires_at: SystemTime,
}

fn floor_to_millis(time: SystemTime) -> SystemTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => time - Duration::from_nanos(u64::from(since.subsec_nanos() % 1_000_000)),
        Err(_) => time,
    }
}

fn random_id(prefix: &str, rng: &mut impl Rng) -> String {
    let mut id = String::from(prefix);
    id.extend((0..ID_LENGTH - prefix.len()).map(|_| {
        let digit = ID_ALPHABET[rng.random_range(0..ID_ALPHABET.len())];
        char::from(digit)
    }));
    id
}

fn random_secret(rng: &mut impl Rng) -> String {
    Alphanumeric.sample_string(rng, SECRET_LENGTH)
}

/// The account of AWS's own examples.
pub(crate) const ACCOUNT: &str = "123456789012";

/// The role of machines and containers.
pub(crate) const ROLE: &str = "test-role";

const ID_LENGTH: usize = 20;

/// Base 32, as AWS's own ids are.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const SECRET_LENGTH: usize = 40;

/// Long enough to show a buffer or a log field that was made for keys only;
/// AWS's own have several hundred characters.
const TOKEN_LENGTH: usize = 356;

/// Ten years: longer than any test, and far from where time overflows.
const LONGEST_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn session(lifetime: Duration) -> (Keys, AccessKey, SystemTime) {
        let now = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        let key = AccessKey::session(Identity::of_service(), now, now + lifetime, &mut rand::rng());
        let mut keys = Keys::default();
        keys.insert(key.clone());
        (keys, key, now)
    }

    #[test]
    fn a_session_has_the_form_that_aws_gives_it() {
        let (_, key, _) = session(Duration::from_secs(1));
        assert_eq!(key.access_key_id().len(), 20);
        assert!(key.access_key_id().starts_with("ASIA"));
        assert!(key.access_key_id().bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
        assert_eq!(key.secret_access_key().len(), 40);
        assert!(key.session_token().unwrap().len() > 100);
    }

    #[test]
    fn a_session_is_good_until_its_very_last_nanosecond() {
        let (keys, key, _) = session(Duration::from_secs(1));
        let token = key.session_token().map(str::as_bytes);
        let end = key.expires_at().unwrap();
        let check = |now| keys.check(key.access_key_id(), token, now).map(|_| ());
        assert_eq!(check(end - Duration::from_nanos(1)), Ok(()));
        assert_eq!(check(end), Err(Refusal::Expired));
        assert_eq!(check(end + Duration::from_secs(1_000_000)), Err(Refusal::Expired));
    }

    #[test]
    fn an_expiry_is_rounded_down_to_the_millisecond() {
        let (_, key, now) = session(Duration::from_secs(1));
        let end = now + Duration::from_secs(1);
        assert_eq!(end.duration_since(key.expires_at().unwrap()).unwrap().as_nanos(), 456_789);
    }

    #[test]
    fn a_token_must_be_there_for_a_session_and_absent_for_a_long_term_key() {
        let (mut keys, key, now) = session(Duration::from_secs(1));
        let long_term = AccessKey::long_term(Identity::user(), &mut rand::rng());
        keys.insert(long_term.clone());
        let check = |key: &AccessKey, token| keys.check(key.access_key_id(), token, now).map(|_| ());
        assert_eq!(check(&key, None), Err(Refusal::WrongToken));
        assert_eq!(check(&key, Some(b"other".as_slice())), Err(Refusal::WrongToken));
        assert_eq!(check(&long_term, Some(b"other".as_slice())), Err(Refusal::WrongToken));
        assert_eq!(check(&long_term, None), Ok(()));
        assert_eq!(keys.check("AKIAUNKNOWN", None, now).err(), Some(Refusal::UnknownKey));
    }

    #[test]
    fn a_lifetime_without_end_does_not_overflow() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert!(end_of_life(now, Duration::MAX) > now);
    }

    #[test]
    fn debug_shows_no_part_of_a_key() {
        let (_, key, _) = session(Duration::from_secs(1));
        let debug = format!("{key:?}");
        assert!(!debug.contains(key.access_key_id()));
        assert!(!debug.contains(key.secret_access_key()));
        assert!(!debug.contains(key.session_token().unwrap()));
    }
}
