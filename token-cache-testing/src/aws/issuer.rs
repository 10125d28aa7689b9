//! The issuer of sessions: its handle, and what it mints.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::watch;

use super::clock;
use super::container;
use super::fault::{Arrival, Fault, OutageState};
use super::imds::Tokens;
use super::keys::{AccessKey, Identity};
use super::routes::Endpoint;
use super::sigv4::{SharedKeys, StsVerifier};
use super::state::{IssuerCounts, SessionValidity, Settings, State};

/// The issuer of a running kit; a cheap handle.
///
/// One port speaks four protocols: container credentials
/// ([`container_uri`](Self::container_uri)), IMDSv2
/// ([`imds_endpoint`](Self::imds_endpoint)), the portal of SSO
/// ([`sso_endpoint`](Self::sso_endpoint)) and STS
/// ([`sts_endpoint`](Self::sts_endpoint), `AssumeRole` and
/// `GetCallerIdentity`). What they hand out works on the kit's S3 server
/// until the moment it is said to expire, and not after.
///
/// Everything may be set at any time, while requests are on their way too.
#[derive(Clone)]
pub struct Issuer {
    shared: Arc<Shared>,
}

impl Issuer {
    pub(crate) fn new(
        address: SocketAddr,
        region: String,
        container_token: Option<String>,
        keys: SharedKeys,
        settings: Settings,
    ) -> Self {
        let state = State::new(settings, keys.clone());
        Self {
            shared: Arc::new(Shared {
                address,
                region,
                container_token,
                sso_token: Alphanumeric.sample_string(&mut rand::rng(), SSO_TOKEN_LENGTH),
                verifier: StsVerifier::new(keys),
                state: Mutex::new(state),
                cut: watch::Sender::new(()),
            }),
        }
    }

    /// The URI for `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    #[must_use]
    pub fn container_uri(&self) -> String {
        format!("{}{}", self.endpoint(), container::PATH)
    }

    /// The endpoint for `AWS_EC2_METADATA_SERVICE_ENDPOINT`, with no slash at
    /// the end.
    #[must_use]
    pub fn imds_endpoint(&self) -> String {
        self.endpoint()
    }

    /// The endpoint for `AWS_ENDPOINT_URL_STS`, with no slash at the end.
    #[must_use]
    pub fn sts_endpoint(&self) -> String {
        self.endpoint()
    }

    /// How long the sessions minted from now on live; over ten years is ten
    /// years. `AssumeRole` takes what was asked for (or one hour) if that is
    /// shorter.
    pub fn set_session_lifetime(&self, lifetime: Duration) {
        self.state().settings.lifetime = lifetime;
    }

    /// How long each request for credentials waits before its session is
    /// minted, so that a session has its whole lifetime before it when it
    /// leaves. Refusals wait as long, and so do faults that answer; an IMDS
    /// token, the name of the role and `GetCallerIdentity` do not wait.
    ///
    /// A request meets the fault that is there when it arrives or, if there
    /// is none, the one that is there when it has waited.
    pub fn set_delay(&self, delay: Duration) {
        self.state().settings.delay = delay;
    }

    /// Makes the container and IMDS endpoints give the same session again as
    /// long as it has more than `left` to live, as real metadata servers do.
    /// With `None`, which is the default, each request mints a new session,
    /// as `AssumeRole` always does.
    pub fn reuse_sessions(&self, left: Option<Duration>) {
        self.state().settings.reuse = left;
    }

    /// Makes the container, IMDS and SSO endpoints give sessions of another
    /// issuer, for a service that knows only those: each request calls `mint`,
    /// and is answered with 502 where it gives `None`. It is polled in the
    /// kit's own runtime.
    pub fn with_session_provider<F, Fut>(&self, mint: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<AccessKey>> + Send + 'static,
    {
        self.state().elsewhere = Some(Arc::new(move || Box::pin(mint())));
    }

    /// The endpoint for `AWS_ENDPOINT_URL_SSO`, with no slash at the end.
    #[must_use]
    pub fn sso_endpoint(&self) -> String {
        self.endpoint()
    }

    /// The access token that the portal of SSO asks for, as `aws sso login`
    /// would have left it in a file.
    #[must_use]
    pub fn sso_token(&self) -> &str {
        &self.shared.sso_token
    }

    /// Fails from now on until [`clear_fault`](Self::clear_fault), in place of the fault or
    /// the outage there is.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.fail(fault);
        if fault == Fault::Down {
            self.close_connections();
        }
    }

    /// Ends a fault or an outage, and calls off one that waits.
    pub fn clear_fault(&self) {
        self.state().faults.mend(clock::monotonic());
    }

    /// Orders an outage: it begins with the next request on the way to
    /// credentials (an IMDS token and the name of the role included), which
    /// is the first to meet `fault`, and is over `lasts` later. It takes the
    /// place of the fault or the outage there is.
    pub fn outage_at_next_request(&self, fault: Fault, lasts: Duration) {
        self.state().faults.arm(fault, lasts);
    }

    /// How far the ordered outage is. [`fail`](Self::fail) is none.
    #[must_use]
    pub fn outage(&self) -> OutageState {
        self.state().faults.phase(clock::monotonic())
    }

    /// Mints a session as the container endpoint would, without a request:
    /// no delay, no fault, always a new one.
    #[must_use]
    pub fn new_session(&self) -> AccessKey {
        self.state().mint(Identity::of_service(), Duration::MAX, clock::wall())
    }

    /// What the issuer was asked so far, and what it gave.
    #[must_use]
    pub fn counts(&self) -> IssuerCounts {
        self.state().counts
    }

    pub(crate) fn region(&self) -> &str {
        &self.shared.region
    }

    pub(crate) fn container_token(&self) -> Option<&str> {
        self.shared.container_token.as_deref()
    }

    pub(crate) fn verifier(&self) -> &StsVerifier {
        &self.shared.verifier
    }

    /// Changes when every open connection is to be closed.
    pub(crate) fn connections_to_close(&self) -> watch::Receiver<()> {
        self.shared.cut.subscribe()
    }

    /// Counts a request, and tells the fault that it meets.
    pub(crate) fn arrive(&self, endpoint: Endpoint) -> Option<Fault> {
        let Arrival { fault, outage_begins } = {
            let mut state = self.state();
            *endpoint.count(&mut state.counts) += 1;
            state.faults.arrive(endpoint.leads_to_credentials(), clock::monotonic())
        };
        if outage_begins && fault == Some(Fault::Down) {
            self.close_connections();
        }
        fault
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.state().faults.current(clock::monotonic())
    }

    pub(crate) fn delay(&self) -> Duration {
        self.state().settings.delay
    }

    pub(crate) fn with_tokens<T>(&self, f: impl FnOnce(&mut Tokens) -> T) -> T {
        f(&mut self.state().tokens)
    }

    /// A session for the container, IMDS or SSO endpoint to answer with.
    /// `None` where it is minted elsewhere and could not be.
    pub(crate) async fn metadata_session(&self, quality: SessionValidity) -> Option<AccessKey> {
        let elsewhere = self.state().elsewhere.clone().filter(|_| quality == SessionValidity::Alive);
        let Some(mint) = elsewhere else { return Some(self.state().metadata_session(quality, clock::wall())) };
        let session = mint().await?;
        let counts = &mut self.state().counts;
        (counts.answered, counts.sessions) = (counts.answered + 1, counts.sessions + 1);
        Some(session)
    }

    /// A session for STS to answer with.
    pub(crate) fn assumed_session(&self, identity: Identity, asked: Duration, quality: SessionValidity) -> AccessKey {
        self.state().assumed_session(identity, asked, quality, clock::wall())
    }

    fn close_connections(&self) {
        self.shared.cut.send_replace(());
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

struct Shared {
    address: SocketAddr,
    region: String,
    container_token: Option<String>,
    sso_token: String,
    verifier: StsVerifier,
    state: Mutex<State>,
    cut: watch::Sender<()>,
}

const SSO_TOKEN_LENGTH: usize = 64;
