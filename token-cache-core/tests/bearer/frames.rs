//! [`FrameBody`]: a request body given as a list of frames.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body of the given frames. It panics if it is polled after its end.
pub(crate) struct FrameBody {
    frames: VecDeque<Result<Frame<Bytes>, io::Error>>,
    end: End,
}

enum End {
    /// The body ends after its last frame.
    Pending,
    Reached,
    /// The body stays pending after its last frame.
    Never,
}

impl FrameBody {
    pub(crate) fn new(frames: impl IntoIterator<Item = Result<Frame<Bytes>, io::Error>>) -> Self {
        Self { frames: frames.into_iter().collect(), end: End::Pending }
    }

    /// A body that stays pending after its last frame.
    pub(crate) fn without_end(frames: impl IntoIterator<Item = Result<Frame<Bytes>, io::Error>>) -> Self {
        Self { frames: frames.into_iter().collect(), end: End::Never }
    }
}

impl Body for FrameBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match (self.frames.pop_front(), &self.end) {
            (Some(frame), _) => Poll::Ready(Some(frame)),
            (None, End::Never) => Poll::Pending,
            (None, End::Reached) => panic!("polled after its end"),
            (None, End::Pending) => {
                self.end = End::Reached;
                Poll::Ready(None)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.frames.iter().flatten().filter_map(Frame::data_ref);
        SizeHint::with_exact(data.map(|data| data.len() as u64).sum())
    }
}
