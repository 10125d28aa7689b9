//! [`AccessKey`], and the table of keys that both services share.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::distr::{Alphanumeric, SampleString};

/// An access key: the long-term key, or that of a session.
///
/// `Debug` prints the expiry only, neither the access key id nor a secret.
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

    /// A session from `issued_at` until `expires_at`, which is rounded down to the millisecond, so that the endpoints announce
    /// exactly the expiry that the servers enforce.
    pub(crate) fn session(
        identity: Identity,
        issued_at: SystemTime,
        expires_at: SystemTime,
        rng: &mut impl Rng,
    ) -> Self {
        let session = Session {
            token: Alphanumeric.sample_string(rng, TOKEN_LENGTH),
            issued_at: Some(issued_at),
            expires_at: floor_to_millis(expires_at),
        };
        Self { id: random_id("ASIA", rng), secret: random_secret(rng), session: Some(session), identity }
    }

    /// A session of another issuer, for [`Issuer::with_session_provider`](super::Issuer::with_session_provider). The S3 server
    /// of [`FakeAws`](super::FakeAws) rejects it as unknown.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// use token_cache_testing::aws::AccessKey;
    ///
    /// let expires_at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    /// let key = AccessKey::foreign("id".into(), "secret".into(), "token".into(), expires_at);
    /// assert_eq!(key.expires_at(), Some(expires_at));
    /// ```
    #[must_use]
    pub fn foreign(id: String, secret: String, token: String, expires_at: SystemTime) -> Self {
        let session = Session { token, issued_at: None, expires_at: floor_to_millis(expires_at) };
        Self { id, secret, session: Some(session), identity: Identity::of_service() }
    }

    /// The access key id: 20 upper-case letters and digits, which start with `AKIA` for the long-term key and with `ASIA` for
    /// a session.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// assert!(aws.long_term_key().access_key_id().starts_with("AKIA"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.id
    }

    /// The secret access key: 40 letters and digits.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// assert_eq!(aws.long_term_key().secret_access_key().len(), 40);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        &self.secret
    }

    /// The session token; `None` for the long-term key.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// assert!(aws.issuer().new_session().session_token().is_some());
    /// assert_eq!(aws.long_term_key().session_token(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.token.as_str())
    }

    /// The time from which the servers reject the session, in whole milliseconds. `None` for the long-term key.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// assert!(aws.issuer().new_session().expires_at() > Some(SystemTime::now()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.session.as_ref().map(|session| session.expires_at)
    }

    /// When the session was minted. `None` for the long-term key and for a session of another issuer.
    pub(crate) fn issued_at(&self) -> Option<SystemTime> {
        self.session.as_ref().and_then(|session| session.issued_at)
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

/// The identity of a key, as `GetCallerIdentity` returns it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

impl Identity {
    /// The IAM user with the long-term key.
    pub(crate) fn user() -> Self {
        Self { arn: format!("arn:aws:iam::{ACCOUNT}:user/test"), user_id: "AIDAAAAAAAAAAAAAAAAA".into() }
    }

    /// The role of an instance or a container, assumed by the service it runs in.
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

/// Every key created so far. Sessions that have ended stay in it, because the servers reject them with another code than
/// unknown keys.
#[derive(Default)]
pub(crate) struct Keys {
    by_id: HashMap<String, Entry>,
}

struct Entry {
    key: AccessKey,
    /// Whether the session was ended before its expiry.
    ended: bool,
}

impl Keys {
    pub(crate) fn insert(&mut self, key: AccessKey) {
        self.by_id.insert(key.id.clone(), Entry { key, ended: false });
    }

    pub(crate) fn get(&self, id: &str) -> Option<&AccessKey> {
        self.by_id.get(id).map(|entry| &entry.key)
    }

    /// Ends all sessions.
    pub(crate) fn end_sessions(&mut self) {
        for entry in self.by_id.values_mut() {
            entry.ended = entry.key.session.is_some();
        }
    }

    /// Checks the key and the token of a request whose signature is valid.
    ///
    /// The token is compared before the expiry: AWS answers that a token has expired only for tokens that it issued.
    pub(crate) fn check(&self, id: &str, token: Option<&[u8]>, now: SystemTime) -> Result<&AccessKey, Rejection> {
        let Entry { key, ended } = self.by_id.get(id).ok_or(Rejection::UnknownKey)?;
        if token != key.session_token().map(str::as_bytes) {
            return Err(Rejection::WrongToken);
        }
        if *ended || key.expires_at().is_some_and(|expires_at| expires_at <= now) {
            return Err(Rejection::Expired);
        }
        Ok(key)
    }
}

/// Why a request with a valid signature is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    Expired,
    UnknownKey,
    WrongToken,
}

/// `start` plus `lifetime`, limited to a time that RFC 3339 can express.
pub(crate) fn end_of_life(start: SystemTime, lifetime: Duration) -> SystemTime {
    start + lifetime.min(MAX_LIFETIME)
}

#[derive(Clone)]
struct Session {
    token: String,
    issued_at: Option<SystemTime>,
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

/// The account in the examples of the AWS documentation.
pub(crate) const ACCOUNT: &str = "123456789012";

/// The role of instances and containers.
pub(crate) const ROLE: &str = "test-role";

const ID_LENGTH: usize = 20;

/// Base 32, like the ids of AWS.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const SECRET_LENGTH: usize = 40;

/// As long as the tokens of AWS, which have several hundred characters, so that a buffer that only fits keys is noticed.
const TOKEN_LENGTH: usize = 356;

/// Ten years: longer than any test, and far from an overflow.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

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
    fn a_session_looks_like_one_of_aws() {
        let (_, key, _) = session(Duration::from_secs(1));
        assert_eq!(key.access_key_id().len(), 20);
        assert!(key.access_key_id().starts_with("ASIA"));
        assert!(key.access_key_id().bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
        assert_eq!(key.secret_access_key().len(), 40);
        assert!(key.session_token().unwrap().len() > 100);
    }

    #[test]
    fn a_session_is_accepted_until_its_expiry() {
        let (keys, key, _) = session(Duration::from_secs(1));
        let token = key.session_token().map(str::as_bytes);
        let end = key.expires_at().unwrap();
        let check = |now| keys.check(key.access_key_id(), token, now).map(|_| ());
        assert_eq!(check(end - Duration::from_nanos(1)), Ok(()));
        assert_eq!(check(end), Err(Rejection::Expired));
        assert_eq!(check(end + Duration::from_secs(1_000_000)), Err(Rejection::Expired));
    }

    #[test]
    fn a_session_that_was_ended_is_rejected_as_expired() {
        let (mut keys, key, now) = session(Duration::from_secs(1));
        let long_term = AccessKey::long_term(Identity::user(), &mut rand::rng());
        keys.insert(long_term.clone());
        keys.end_sessions();
        let later = AccessKey::session(Identity::of_service(), now, now + Duration::from_secs(1), &mut rand::rng());
        keys.insert(later.clone());
        let check =
            |key: &AccessKey| keys.check(key.access_key_id(), key.session_token().map(str::as_bytes), now).map(|_| ());
        assert_eq!(check(&key), Err(Rejection::Expired));
        assert_eq!((check(&later), check(&long_term)), (Ok(()), Ok(())));
    }

    #[test]
    fn an_expiry_is_rounded_down_to_the_millisecond() {
        let (_, key, now) = session(Duration::from_secs(1));
        let end = now + Duration::from_secs(1);
        assert_eq!(end.duration_since(key.expires_at().unwrap()).unwrap().as_nanos(), 456_789);
    }

    #[test]
    fn only_a_session_has_a_token() {
        let (mut keys, key, now) = session(Duration::from_secs(1));
        let long_term = AccessKey::long_term(Identity::user(), &mut rand::rng());
        keys.insert(long_term.clone());
        let check = |key: &AccessKey, token| keys.check(key.access_key_id(), token, now).map(|_| ());
        assert_eq!(check(&key, None), Err(Rejection::WrongToken));
        assert_eq!(check(&key, Some(b"other".as_slice())), Err(Rejection::WrongToken));
        assert_eq!(check(&long_term, Some(b"other".as_slice())), Err(Rejection::WrongToken));
        assert_eq!(check(&long_term, None), Ok(()));
        assert_eq!(keys.check("AKIAUNKNOWN", None, now).err(), Some(Rejection::UnknownKey));
    }

    #[test]
    fn an_endless_lifetime_does_not_overflow() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert!(end_of_life(now, Duration::MAX) > now);
    }

    #[test]
    fn debug_prints_no_part_of_a_key() {
        let (_, key, _) = session(Duration::from_secs(1));
        let debug = format!("{key:?}");
        assert!(!debug.contains(key.access_key_id()));
        assert!(!debug.contains(key.secret_access_key()));
        assert!(!debug.contains(key.session_token().unwrap()));
    }
}
