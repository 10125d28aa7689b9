//! [`ReplayBody`]: a body that can be sent a second time, as far as what was sent is kept.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use crate::source::BoxError;

/// The body of a request under a [`BearerLayer`](crate::BearerLayer): the caller's, whatever its type.
pub struct ReplayBody {
    shared: Arc<Mutex<Shared>>,
    sending: Sending,
}

/// What a request can be sent again with. What is kept for it goes with it.
pub(super) struct Replay {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    First,
    Again,
}

struct Shared {
    /// `None`: it has ended, and may not be polled any more.
    body: Option<UnsyncBoxBody<Bytes, BoxError>>,
    /// Whose turn it is. A connection may go on to poll what it was given first.
    sending: Sending,
    /// All that was read in the first sending, for the second to begin with. `None`: it is not kept.
    kept: Option<VecDeque<Bytes>>,
    /// How much more may be kept.
    room: usize,
    /// Of who waits in the first sending.
    waker: Option<Waker>,
}

impl ReplayBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let shared = Shared {
            body: Some(body.map_err(Into::into).boxed_unsync()),
            sending: Sending::First,
            kept: Some(VecDeque::new()),
            room: KEPT,
            waker: None,
        };
        Self { shared: Arc::new(Mutex::new(shared)), sending: Sending::First }
    }

    pub(super) fn replay(&self) -> Replay {
        Replay { shared: Arc::clone(&self.shared) }
    }
}

impl Replay {
    /// Whether all that was read so far is kept.
    pub(super) fn is_whole(&self) -> bool {
        lock(&self.shared).kept.is_some()
    }

    /// The body from its begin, if it [is whole](Self::is_whole). The first one ends with an error, wherever it is.
    pub(super) fn again(self) -> Option<ReplayBody> {
        let mut shared = lock(&self.shared);
        shared.kept.as_ref()?;
        shared.sending = Sending::Again;
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(ReplayBody { shared: Arc::clone(&self.shared), sending: Sending::Again })
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        if shared.sending == Sending::First {
            shared.kept = None;
        }
    }
}

impl Body for ReplayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut shared = lock(&self.shared);
        if shared.sending != self.sending {
            return Poll::Ready(Some(Err(SentAgain.into())));
        }
        if let Some(data) = shared.next_kept() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(body) = &mut shared.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        match &frame {
            Poll::Ready(None) => shared.body = None,
            Poll::Ready(Some(frame)) => shared.keep(frame.as_ref().ok().and_then(Frame::data_ref)),
            Poll::Pending => shared.waker = Some(context.waker().clone()),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        shared.to_replay() == 0 && shared.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let shared = lock(&self.shared);
        let (kept, rest) =
            (shared.to_replay(), shared.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint));
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(kept));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(kept));
        }
        hint
    }
}

impl Shared {
    /// Of a second sending, what was read in the first.
    fn next_kept(&mut self) -> Option<Bytes> {
        match self.sending {
            Sending::First => None,
            Sending::Again => self.kept.as_mut()?.pop_front(),
        }
    }

    /// How much of that is left.
    fn to_replay(&self) -> u64 {
        match (self.sending, &self.kept) {
            (Sending::Again, Some(kept)) => kept.iter().map(|data| data.len() as u64).sum(),
            _ => 0,
        }
    }

    /// Keeps what was read in a first sending. `None`: something that cannot be kept.
    fn keep(&mut self, data: Option<&Bytes>) {
        let (Sending::First, Some(kept)) = (self.sending, &mut self.kept) else { return };
        match data.and_then(|data| Some((data, self.room.checked_sub(data.len())?))) {
            Some((data, room)) => {
                kept.push_back(data.clone());
                self.room = room;
            }
            None => self.kept = None,
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
struct SentAgain;

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much of a body is kept at the most.
const KEPT: usize = 256 * 1024;
