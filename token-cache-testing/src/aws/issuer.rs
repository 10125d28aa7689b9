//! [`Issuer`]: the handle by which a test controls the issuer of sessions.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rand::distr::{Alphanumeric, SampleString};
use token_cache_core::Clock;
use tokio::sync::watch;

use super::container;
use super::fault::{Arrival, Fault, OutageState};
use super::imds::Tokens;
use super::keys::{AccessKey, Identity};
use super::routes::Endpoint;
use super::sigv4::{SharedKeys, StsVerifier};
use super::state::{IssuerCounts, SessionValidity, Settings, State};
use super::sts::AssumeRoleRequest;

/// The issuer of sessions of a [`FakeAws`](super::FakeAws). Cloning the handle is cheap.
///
/// One port serves four protocols: container credentials ([`container_uri`](Self::container_uri)), IMDSv2
/// ([`imds_endpoint`](Self::imds_endpoint)), the SSO portal ([`sso_endpoint`](Self::sso_endpoint)) and STS
/// ([`sts_endpoint`](Self::sts_endpoint), `AssumeRole` and `GetCallerIdentity`). The S3 server accepts each session until it
/// expires, or until [`end_sessions`](Self::end_sessions).
///
/// All settings may be changed at any time, also while requests are being served.
#[derive(Clone)]
pub struct Issuer {
    inner: Arc<Inner>,
}

impl Issuer {
    pub(crate) fn new(
        address: SocketAddr,
        region: String,
        container_token: Option<String>,
        keys: SharedKeys,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let state = State::new(settings, keys.clone());
        Self {
            inner: Arc::new(Inner {
                address,
                region,
                container_token,
                sso_token: Alphanumeric.sample_string(&mut rand::rng(), SSO_TOKEN_LENGTH),
                verifier: StsVerifier::new(keys),
                state: Mutex::new(state),
                close: watch::Sender::new(()),
                clock,
            }),
        }
    }

    /// The URI for `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let answer = reqwest::get(aws.issuer().container_uri()).await?.text().await?;
    /// assert!(answer.contains("AccessKeyId"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn container_uri(&self) -> String {
        format!("{}{}", self.endpoint(), container::PATH)
    }

    /// The endpoint for `AWS_EC2_METADATA_SERVICE_ENDPOINT`, without a trailing slash.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let token = format!("{}/latest/api/token", aws.issuer().imds_endpoint());
    /// let request = reqwest::Client::new().put(token).header("X-aws-ec2-metadata-token-ttl-seconds", "60");
    /// assert_eq!(request.send().await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn imds_endpoint(&self) -> String {
        self.endpoint()
    }

    /// The endpoint for `AWS_ENDPOINT_URL_STS`, without a trailing slash.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let unsigned = reqwest::Client::new().post(aws.issuer().sts_endpoint()).body("Action=GetCallerIdentity&Version=2011-06-15");
    /// assert_eq!(unsigned.send().await?.status(), 403);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sts_endpoint(&self) -> String {
        self.endpoint()
    }

    /// The endpoint for `AWS_ENDPOINT_URL_SSO`, without a trailing slash.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let credentials = format!("{}/federation/credentials?account_id=123456789012&role_name=reader", aws.issuer().sso_endpoint());
    /// let request = reqwest::Client::new().get(credentials).header("x-amz-sso_bearer_token", aws.issuer().sso_token());
    /// assert_eq!(request.send().await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sso_endpoint(&self) -> String {
        self.endpoint()
    }

    /// The access token that the SSO portal requires. `aws sso login` stores such a token in a file.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// // The contents of `~/.aws/sso/cache/*.json`.
    /// let file = format!(r#"{{"accessToken": "{}", "expiresAt": "2099-01-01T00:00:00Z"}}"#, aws.issuer().sso_token());
    /// assert!(file.len() > 64);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sso_token(&self) -> &str {
        &self.inner.sso_token
    }

    /// Sets the lifetime of sessions minted from now on. Lifetimes above ten years count as ten years. `AssumeRole` grants
    /// the requested duration (by default one hour) if that is shorter.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use token_cache_core::Clock;
    /// use token_cache_testing::VirtualClock;
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = VirtualClock::new();
    /// let aws = FakeAws::builder().clock(clock.clone()).start().await?;
    /// aws.issuer().set_session_lifetime(Duration::from_secs(5));
    /// assert_eq!(aws.issuer().new_session().expires_at(), Some(clock.now().wall() + Duration::from_secs(5)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_session_lifetime(&self, lifetime: Duration) {
        self.state().settings.lifetime = lifetime;
    }

    /// Sets how long each request for credentials waits for its answer. The session is minted after the wait, so it has its
    /// whole lifetime left when it is sent. Refusals and faults that answer wait as long. Requests for an IMDS token or the
    /// name of the role, and `GetCallerIdentity`, do not wait.
    ///
    /// A request meets the fault that is set when it arrives or, if there is none, the one that is set after the wait.
    ///
    /// The wait follows the issuer's clock. With a `VirtualClock` the answer is held until the test has advanced the clock by
    /// this much after the request was [counted](Self::counts).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use token_cache_testing::VirtualClock;
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = VirtualClock::new();
    /// let aws = FakeAws::builder().clock(clock.clone()).start().await?;
    /// aws.issuer().set_delay(Duration::from_secs(30));
    ///
    /// let request = tokio::spawn(reqwest::get(aws.issuer().container_uri()));
    /// while aws.issuer().counts().container == 0 {
    ///     tokio::task::yield_now().await;
    /// }
    /// clock.advance(Duration::from_secs(30)); // the answer is sent now
    /// assert_eq!(request.await??.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_delay(&self, delay: Duration) {
        self.state().settings.delay = delay;
    }

    /// Replaces the name of the instance's role, as if another one were attached. Default: `test-role`.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// aws.issuer().set_instance_role("another-role"); // as `aws ec2 replace-iam-instance-profile-association` does
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_instance_role(&self, name: impl Into<String>) {
        self.state().instance_role = name.into();
    }

    /// Makes the container, IMDS and SSO endpoints repeat a session while more than `left` remains of it, as metadata servers
    /// do. With `None`, the default, each request mints a new session, as `AssumeRole` always does.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// aws.issuer().reuse_sessions(Some(Duration::from_secs(300)));
    /// let uri = aws.issuer().container_uri();
    /// let first = reqwest::get(&uri).await?.text().await?;
    /// assert_eq!(reqwest::get(&uri).await?.text().await?, first);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reuse_sessions(&self, left: Option<Duration>) {
        self.state().settings.reuse = left;
    }

    /// Makes the container, IMDS and SSO endpoints return sessions of another issuer, for services that only accept those.
    /// Each request calls `mint`, and gets 502 if it returns `None`. The future is polled on the runtime of the servers.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use token_cache_testing::aws::{AccessKey, FakeAws};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// aws.issuer().with_session_provider(|| async {
    ///     // For instance of MinIO, which mints sessions by `AssumeRole`.
    ///     let expires_at = SystemTime::now() + Duration::from_secs(900);
    ///     Some(AccessKey::foreign("MINIOID".into(), "secret".into(), "token".into(), expires_at))
    /// });
    /// let answer = reqwest::get(aws.issuer().container_uri()).await?.text().await?;
    /// assert!(answer.contains("MINIOID"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_session_provider<F, Fut>(&self, mint: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<AccessKey>> + Send + 'static,
    {
        self.state().session_provider = Some(Arc::new(move || Box::pin(mint())));
    }

    /// Ends every session minted so far before its announced expiry. From now on S3 and STS answer requests that are signed
    /// with one of them with `ExpiredToken`, and the metadata endpoints do not repeat them. Sessions minted later are valid.
    ///
    /// Requests that S3 has already admitted are completed. The [long-term key](super::FakeAws::long_term_key) and sessions of
    /// [another issuer](Self::with_session_provider) are not affected.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let before = aws.issuer().new_session();
    /// aws.issuer().end_sessions();
    /// let after = aws.issuer().new_session();
    /// // S3 rejects `before` as `ExpiredToken`, and accepts `after`.
    /// assert_ne!(before.access_key_id(), after.access_key_id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn end_sessions(&self) {
        self.state().end_sessions();
    }

    /// Makes the issuer fail until [`clear_fault`](Self::clear_fault). Replaces the current fault or outage.
    ///
    /// ```
    /// use token_cache_testing::aws::{FakeAws, Fault};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// aws.issuer().fail(Fault::Down);
    /// assert!(reqwest::get(aws.issuer().container_uri()).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn fail(&self, fault: Fault) {
        self.state().faults.fail(fault);
        if fault == Fault::Down {
            self.close_connections();
        }
    }

    /// Ends a fault or an outage, and cancels an outage that has not begun.
    ///
    /// ```
    /// use token_cache_testing::aws::{FakeAws, Fault};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// aws.issuer().fail(Fault::Status(500));
    /// aws.issuer().clear_fault();
    /// assert_eq!(reqwest::get(aws.issuer().container_uri()).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn clear_fault(&self) {
        let now = self.inner.clock.now();
        self.state().faults.clear(now);
    }

    /// Schedules an outage. It begins with the next request for credentials, for an IMDS token or for the name of the role;
    /// that request is the first to meet `fault`. It ends `duration` later by the issuer's clock. Replaces the current fault
    /// or outage.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use token_cache_testing::VirtualClock;
    /// use token_cache_testing::aws::{FakeAws, Fault};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = VirtualClock::new();
    /// let aws = FakeAws::builder().clock(clock.clone()).start().await?;
    /// aws.issuer().outage_at_next_request(Fault::Status(503), Duration::from_secs(60));
    /// let uri = aws.issuer().container_uri();
    ///
    /// assert_eq!(reqwest::get(&uri).await?.status(), 503);
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(reqwest::get(&uri).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn outage_at_next_request(&self, fault: Fault, duration: Duration) {
        self.state().faults.arm(fault, duration);
    }

    /// The state of the scheduled outage. A fault set with [`fail`](Self::fail) is not an outage.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use token_cache_testing::aws::{FakeAws, Fault, OutageState};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// aws.issuer().outage_at_next_request(Fault::Down, Duration::from_secs(60));
    /// assert_eq!(aws.issuer().outage(), OutageState::Armed);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn outage(&self) -> OutageState {
        let now = self.inner.clock.now();
        self.state().faults.outage(now)
    }

    /// Mints a session as the container endpoint would, but without a request, a delay or a fault. Each call mints a new one.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let session = aws.issuer().new_session();
    /// assert!(session.access_key_id().starts_with("ASIA"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new_session(&self) -> AccessKey {
        let now = self.wall();
        self.state().mint(Identity::of_service(), Duration::MAX, now)
    }

    /// The requests received and sessions minted so far.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// reqwest::get(aws.issuer().container_uri()).await?;
    /// assert_eq!((aws.issuer().counts().container, aws.issuer().counts().sessions), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn counts(&self) -> IssuerCounts {
        self.state().counts
    }

    /// The `AssumeRole` requests so far, the oldest first: those with a valid signature, also if they were refused. At most the
    /// last 1000.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let sts = aws_sdk_sts::Client::new(&aws.sdk_config());
    /// sts.assume_role().role_arn("arn:aws:iam::123456789012:role/reader").role_session_name("me").send().await?;
    /// assert_eq!(aws.issuer().assume_role_requests().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn assume_role_requests(&self) -> Vec<AssumeRoleRequest> {
        self.state().assume_role_requests.iter().cloned().collect()
    }

    pub(crate) fn record(&self, request: AssumeRoleRequest) {
        let requests = &mut self.state().assume_role_requests;
        if requests.len() == MAX_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(crate) fn instance_role(&self) -> String {
        self.state().instance_role.clone()
    }

    pub(crate) fn region(&self) -> &str {
        &self.inner.region
    }

    pub(crate) fn container_token(&self) -> Option<&str> {
        self.inner.container_token.as_deref()
    }

    pub(crate) fn verifier(&self) -> &StsVerifier {
        &self.inner.verifier
    }

    /// The time on the wall clock.
    pub(crate) fn wall(&self) -> SystemTime {
        self.inner.clock.now().wall()
    }

    /// Waits until the monotonic time is `until`.
    pub(crate) async fn sleep_until(&self, until: Duration) {
        self.inner.clock.sleep_until(until).await;
    }

    /// Changes when all open connections have to be closed.
    pub(crate) fn subscribe_close(&self) -> watch::Receiver<()> {
        self.inner.close.subscribe()
    }

    /// Counts a request. Returns the fault that it meets, and the monotonic time at which a request for credentials is due
    /// for its answer.
    pub(crate) fn on_request(&self, endpoint: Endpoint) -> (Option<Fault>, Duration) {
        let (Arrival { fault, outage_begins }, due) = {
            let mut state = self.state();
            // Read under the lock: a test that has seen the count may advance the clock at once.
            let now = self.inner.clock.now();
            *endpoint.count(&mut state.counts) += 1;
            let due = now.monotonic().saturating_add(state.settings.delay);
            (state.faults.on_request(endpoint.leads_to_credentials(), now), due)
        };
        if outage_begins && fault == Some(Fault::Down) {
            self.close_connections();
        }
        (fault, due)
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        let now = self.inner.clock.now();
        self.state().faults.current(now)
    }

    /// Calls `f` with the IMDS tokens and the monotonic time.
    pub(crate) fn with_tokens<T>(&self, f: impl FnOnce(&mut Tokens, Duration) -> T) -> T {
        let now = self.inner.clock.now().monotonic();
        f(&mut self.state().tokens, now)
    }

    /// A session for an answer of the container, IMDS or SSO endpoint. `None` if the session provider has none.
    pub(crate) async fn metadata_session(&self, validity: SessionValidity) -> Option<AccessKey> {
        let provider = self.state().session_provider.clone().filter(|_| validity == SessionValidity::Valid);
        let Some(mint) = provider else {
            let now = self.wall();
            return Some(self.state().metadata_session(validity, now));
        };
        let session = mint().await?;
        let counts = &mut self.state().counts;
        (counts.answered, counts.sessions) = (counts.answered + 1, counts.sessions + 1);
        Some(session)
    }

    /// A session for an answer of STS.
    pub(crate) fn assumed_session(
        &self,
        identity: Identity,
        requested: Duration,
        validity: SessionValidity,
    ) -> AccessKey {
        let now = self.wall();
        self.state().assumed_session(identity, requested, validity, now)
    }

    fn close_connections(&self) {
        self.inner.close.send_replace(());
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

struct Inner {
    address: SocketAddr,
    region: String,
    container_token: Option<String>,
    sso_token: String,
    verifier: StsVerifier,
    state: Mutex<State>,
    close: watch::Sender<()>,
    clock: Arc<dyn Clock>,
}

const MAX_REQUESTS: usize = 1000;
const SSO_TOKEN_LENGTH: usize = 64;
