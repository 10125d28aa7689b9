//! The S3 server.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::{Request, Response};
use s3s::access::{S3Access, S3AccessContext};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::{AwsNameValidation, NameValidation};
use s3s::{Body, HttpRequest, S3ErrorCode, S3Result};
use s3s_fs::FileSystem;

use super::clock;
use super::serve::{Abort, Handler};
use super::sigv4::{SharedKeys, error_code};
use super::store::Store;

/// The S3 server of a running kit; a cheap handle.
///
/// It answers path-style requests over plain HTTP, and refuses credentials
/// with AWS's codes and statuses:
///
/// | status and code              | when                                         |
/// |------------------------------|----------------------------------------------|
/// | 400 `ExpiredToken`           | the session is over, for as long as the kit runs |
/// | 400 `InvalidToken`           | the session token is missing or wrong, or comes with a long-term key |
/// | 403 `AccessDenied`           | the request is not signed, or its presigned URL is over |
/// | 403 `InvalidAccessKeyId`     | the key is not one of this kit's             |
/// | 403 `SignatureDoesNotMatch`  | the signature is not of that key's secret    |
///
/// A request is judged when it arrives: a session that ends during an upload
/// does not end the upload. The region of a signature is not looked at.
#[derive(Clone)]
pub struct S3 {
    shared: Arc<Shared>,
}

impl S3 {
    pub(crate) fn new(address: SocketAddr, folder: &Path, keys: SharedKeys) -> io::Result<Self> {
        let files =
            FileSystem::new(folder).map_err(|error| io::Error::other(format!("cannot use the folder: {error:?}")))?;
        let counts = SharedCounts::default();
        let mut builder = S3ServiceBuilder::new(Store(files));
        builder.set_auth(keys.clone());
        builder.set_access(Gate { keys, counts: counts.clone() });
        let (service, folder) = (builder.build(), folder.to_owned());
        Ok(Self { shared: Arc::new(Shared { address, folder, service, counts }) })
    }

    /// Where the server listens: `http://127.0.0.1:PORT`, with no slash at
    /// the end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Makes an empty bucket, without a request; one that is there stays as
    /// it is.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if the name breaks S3's rules, and
    /// what the file system has to say.
    pub fn create_bucket(&self, name: &str) -> io::Result<()> {
        // Also what keeps a name from leading out of the folder.
        if !AwsNameValidation::new().validate_bucket_name(name) {
            let message = format!("{name:?} is no name for a bucket");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        match std::fs::create_dir(self.shared.folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    /// What the server was asked so far.
    #[must_use]
    pub fn counts(&self) -> S3Counts {
        let counts = self.shared.counts.lock();
        S3Counts { requests: counts.requests, rejections: counts.rejections.clone(), sessions: counts.sessions.len() }
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

impl Handler for S3 {
    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Body>, Abort> {
        self.shared.counts.lock().requests += 1;
        let request: HttpRequest = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::http_body_unsync(ReadToTheEnd(Some(body))),
        });
        let response = self.shared.service.call(request).await.map_err(|_| Abort)?;
        if let Some(rejection) = error_code(&response).as_ref().and_then(rejection) {
            *self.shared.counts.lock().rejections.entry(rejection).or_default() += 1;
        }
        Ok(response)
    }
}

/// What an S3 server was asked, from [`S3::counts`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Counts {
    /// All requests, also those that were refused.
    pub requests: u64,
    /// Requests refused for their credentials, by the code of the error: the
    /// five of [`S3`]. A code that did not come up is not there.
    pub rejections: BTreeMap<&'static str, u64>,
    /// How many different sessions requests were accepted with; the
    /// long-term key is none.
    pub sessions: usize,
}

impl S3Counts {
    /// How many requests were refused with this code.
    #[must_use]
    pub fn rejected(&self, code: &str) -> u64 {
        self.rejections.get(code).copied().unwrap_or(0)
    }

    /// How many requests were refused for their credentials in all.
    #[must_use]
    pub fn rejected_in_all(&self) -> u64 {
        self.rejections.values().sum()
    }
}

struct Shared {
    address: SocketAddr,
    folder: PathBuf,
    service: S3Service,
    counts: SharedCounts,
}

#[derive(Clone, Default)]
struct SharedCounts(Arc<Mutex<Counts>>);

impl SharedCounts {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Counts {
    requests: u64,
    rejections: BTreeMap<&'static str, u64>,
    /// The ids of the sessions' keys.
    sessions: HashSet<String>,
}

/// Lets live credentials in; s3s asks it once the signature is good.
struct Gate {
    keys: SharedKeys,
    counts: SharedCounts,
}

#[async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let key = self.keys.check(cx.credentials(), cx.headers(), cx.uri(), clock::wall())?;
        if key.session_token().is_some() {
            self.counts.lock().sessions.insert(key.access_key_id().to_owned());
        }
        Ok(())
    }
}

fn rejection(code: &S3ErrorCode) -> Option<&'static str> {
    match code {
        S3ErrorCode::AccessDenied => Some("AccessDenied"),
        S3ErrorCode::ExpiredToken => Some("ExpiredToken"),
        S3ErrorCode::InvalidAccessKeyId => Some("InvalidAccessKeyId"),
        S3ErrorCode::InvalidToken => Some("InvalidToken"),
        S3ErrorCode::SignatureDoesNotMatch => Some("SignatureDoesNotMatch"),
        _ => None,
    }
}

/// A body that is read to its end even when the service drops it.
///
/// hyper closes a connection whose request was not read, which resets it:
/// the client that still sends its upload would see a broken connection in
/// place of the error it was sent.
struct ReadToTheEnd(Option<Incoming>);

impl HttpBody for ReadToTheEnd {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for ReadToTheEnd {
    fn drop(&mut self) {
        if let Some(mut body) = self.0.take()
            && !body.is_end_stream()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
        }
    }
}
