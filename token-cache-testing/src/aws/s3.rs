//! [`S3`]: the S3 server, its handle and its counts.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicI32, Ordering};
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

use super::serve::{Abort, Handler};
use super::sigv4::{SharedKeys, error_code};
use super::store::Store;

/// The S3 server of a [`FakeAws`](super::FakeAws). Cloning the handle is cheap.
///
/// It serves path-style requests over plain HTTP, and rejects credentials with the statuses and codes of S3:
///
/// | status and code              | cause                                                                |
/// |------------------------------|----------------------------------------------------------------------|
/// | 400 `ExpiredToken`           | the session has expired or was ended                                 |
/// | 400 `InvalidToken`           | the session token is missing, wrong, or sent with the long-term key  |
/// | 403 `AccessDenied`           | the request is not signed, or its presigned URL has expired          |
/// | 403 `InvalidAccessKeyId`     | the access key id is unknown                                         |
/// | 403 `SignatureDoesNotMatch`  | the signature was made with another secret                           |
///
/// Credentials are checked when the headers of a request have arrived, so a session that ends during an upload does not
/// interrupt it. Signatures for any region are accepted.
#[derive(Clone)]
pub struct S3 {
    inner: Arc<Inner>,
}

impl S3 {
    pub(crate) fn new(address: SocketAddr, directory: &Path, keys: SharedKeys) -> io::Result<Self> {
        let files = FileSystem::new(directory)
            .map_err(|error| io::Error::other(format!("cannot use the directory: {error:?}")))?;
        let (counts, page_size) = (SharedCounts::default(), Arc::new(AtomicI32::new(MAX_PAGE_SIZE)));
        let mut builder = S3ServiceBuilder::new(Store::new(files, Arc::clone(&page_size)));
        builder.set_auth(keys.clone());
        builder.set_access(SessionCheck { keys, counts: counts.clone() });
        let (service, directory) = (builder.build(), directory.to_owned());
        Ok(Self { inner: Arc::new(Inner { address, directory, service, counts, page_size }) })
    }

    /// The endpoint, `http://127.0.0.1:PORT`, without a trailing slash.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// assert!(aws.s3().endpoint().starts_with("http://127.0.0.1:"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// Creates an empty bucket, without a request. Does nothing if the bucket exists.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if the name breaks the rules of S3, and any error of the file system.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// aws.s3().create_bucket("data")?;
    /// assert!(aws.s3().create_bucket("../data").is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_bucket(&self, name: &str) -> io::Result<()> {
        // This also rejects names that lead out of the directory.
        if !AwsNameValidation::new().validate_bucket_name(name) {
            let message = format!("{name:?} is not a valid bucket name");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        match std::fs::create_dir(self.inner.directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    /// Limits the pages of a listing to this many keys, at least 1 and at most the 1,000 of S3, so that few objects fill
    /// several pages. Default: 1,000.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// aws.s3().set_page_size(2); // a listing of five objects has three pages
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_page_size(&self, keys: u16) {
        let keys = i32::from(keys).clamp(1, MAX_PAGE_SIZE);
        self.inner.page_size.store(keys, Ordering::Relaxed);
    }

    /// The requests received so far.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// reqwest::get(aws.s3().endpoint()).await?; // unsigned
    /// assert_eq!(aws.s3().counts().requests, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn counts(&self) -> S3Counts {
        let counts = self.inner.counts.lock();
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
        self.inner.counts.lock().requests += 1;
        let request: HttpRequest = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::http_body_unsync(DrainOnDrop(Some(body))),
        });
        let response = self.inner.service.call(request).await.map_err(|_| Abort)?;
        if let Some(rejection) = error_code(&response).as_ref().and_then(rejection) {
            *self.inner.counts.lock().rejections.entry(rejection).or_default() += 1;
        }
        Ok(response)
    }
}

/// The requests that an S3 server received, from [`S3::counts`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Counts {
    /// All requests, including rejected ones.
    pub requests: u64,
    /// Requests rejected for their credentials, by error code. The keys are the codes of [`S3`] that have occurred.
    pub rejections: BTreeMap<&'static str, u64>,
    /// The number of different sessions with which a request was accepted. The long-term key does not count.
    pub sessions: usize,
}

impl S3Counts {
    /// The number of requests rejected with this code.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// reqwest::get(aws.s3().endpoint()).await?; // unsigned
    /// assert_eq!(aws.s3().counts().rejected("AccessDenied"), 1);
    /// assert_eq!(aws.s3().counts().rejected("ExpiredToken"), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn rejected(&self, code: &str) -> u64 {
        self.rejections.get(code).copied().unwrap_or(0)
    }

    /// The total number of requests rejected for their credentials.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// reqwest::get(aws.s3().endpoint()).await?; // unsigned
    /// assert_eq!(aws.s3().counts().rejected_in_all(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn rejected_in_all(&self) -> u64 {
        self.rejections.values().sum()
    }
}

struct Inner {
    address: SocketAddr,
    directory: PathBuf,
    service: S3Service,
    counts: SharedCounts,
    page_size: Arc<AtomicI32>,
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
    /// Access key ids.
    sessions: HashSet<String>,
}

/// Admits requests with valid credentials. s3s calls it after it has verified the signature.
struct SessionCheck {
    keys: SharedKeys,
    counts: SharedCounts,
}

#[async_trait]
impl S3Access for SessionCheck {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let key = self.keys.check(cx.credentials(), cx.headers(), cx.uri())?;
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

/// A body that is read to its end even if the service drops it.
///
/// hyper closes a connection whose request body was not read, which resets it. A client that is still sending its upload would
/// then see a broken connection instead of the error response.
struct DrainOnDrop(Option<Incoming>);

impl HttpBody for DrainOnDrop {
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

impl Drop for DrainOnDrop {
    fn drop(&mut self) {
        if let Some(mut body) = self.0.take()
            && !body.is_end_stream()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
        }
    }
}

/// The page size of S3, <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
const MAX_PAGE_SIZE: i32 = 1000;
