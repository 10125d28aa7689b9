//! [`ReplayBody`]: a request body that can be sent a second time.
//!
//! The first request reads the caller's body and keeps each chunk. The second request reads the kept data again and then
//! continues with the caller's body.

mod buffer;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use self::buffer::Buffer;
use crate::source::BoxError;

/// The body of a request that passes through a [`BearerLayer`](crate::BearerLayer): the caller's body, type-erased.
///
/// Once the request is sent again, the body of the first request ends with an error, so that no server takes it for complete.
pub struct ReplayBody {
    state: Arc<Mutex<State>>,
    attempt: Attempt,
}

/// Creates the body of the second request. Dropping it unused frees the kept data.
pub(super) struct Replay {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Second,
}

struct State {
    /// `None` after its end: a body must not be polled again then.
    body: Option<UnsyncBoxBody<Bytes, BoxError>>,
    /// The only attempt that may read. A connection may still poll the body of the first one.
    current: Attempt,
    /// What the first attempt has read. `None` if the request cannot be repeated.
    buffer: Option<Buffer>,
    /// Wakes a task that waits in the first attempt.
    waker: Option<Waker>,
}

impl ReplayBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let state = State {
            body: Some(body.map_err(Into::into).boxed_unsync()),
            current: Attempt::First,
            buffer: Some(Buffer::default()),
            waker: None,
        };
        Self { state: Arc::new(Mutex::new(state)), attempt: Attempt::First }
    }

    pub(super) fn replay(&self) -> Replay {
        Replay { state: Arc::clone(&self.state) }
    }
}

impl Replay {
    /// Whether everything read so far is buffered.
    pub(super) fn is_possible(&self) -> bool {
        lock(&self.state).buffer.is_some()
    }

    /// Returns the body from its start, if replay [is possible](Self::is_possible). From now on the first body returns an
    /// error.
    pub(super) fn start(self) -> Option<ReplayBody> {
        let mut state = lock(&self.state);
        state.buffer.as_ref()?;
        state.current = Attempt::Second;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(ReplayBody { state: Arc::clone(&self.state), attempt: Attempt::Second })
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if state.current == Attempt::First {
            state.buffer = None;
        }
    }
}

impl Body for ReplayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = lock(&self.state);
        if state.current != self.attempt {
            return Poll::Ready(Some(Err(Superseded.into())));
        }
        if let Some(chunk) = state.next_buffered() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let Some(body) = &mut state.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        match &frame {
            Poll::Ready(None) => state.body = None,
            Poll::Ready(Some(frame)) => state.record(frame.as_ref().ok().and_then(Frame::data_ref)),
            Poll::Pending => state.waker = Some(context.waker().clone()),
        }
        frame
    }

    /// False for a body that ends with an error: a connection would end the request as if it were complete.
    fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        state.current == self.attempt && state.unsent() == 0 && state.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let state = lock(&self.state);
        if state.current != self.attempt {
            return SizeHint::default();
        }
        let unsent = state.unsent();
        let rest = state.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(unsent));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(unsent));
        }
        hint
    }
}

impl State {
    /// The next chunk that the second attempt repeats.
    fn next_buffered(&mut self) -> Option<Bytes> {
        match self.current {
            Attempt::First => None,
            Attempt::Second => self.buffer.as_mut()?.pop(),
        }
    }

    /// The number of bytes that the second attempt has yet to repeat.
    fn unsent(&self) -> u64 {
        match (self.current, &self.buffer) {
            (Attempt::Second, Some(buffer)) => buffer.len() as u64,
            _ => 0,
        }
    }

    /// Buffers what the first attempt has read. `None` stands for trailers and errors, which cannot be repeated.
    fn record(&mut self, chunk: Option<&Bytes>) {
        let (Attempt::First, Some(buffer)) = (self.current, &mut self.buffer) else { return };
        if !chunk.is_some_and(|chunk| buffer.push(chunk)) {
            self.buffer = None;
        }
    }
}

impl fmt::Debug for ReplayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody").finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the request is being sent again with another token")]
struct Superseded;

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
