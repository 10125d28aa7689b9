//! [`read_error_body`]: the start of an error response.

use http_body::Body;
use http_body_util::BodyExt;

/// The start of the body of an error response.
pub(crate) struct ErrorBody {
    pub(crate) bytes: Vec<u8>,
    /// Whether the body has no more than these bytes.
    pub(crate) is_whole: bool,
}

/// Reads at most [`MAX_LEN`] bytes. Errors come in a few hundred bytes, but a server, or a proxy in front of it, may send any
/// number.
pub(crate) async fn read_error_body<B: Body + Unpin>(mut body: B) -> Result<ErrorBody, B::Error>
where
    B::Data: AsRef<[u8]>,
{
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let data = data.as_ref();
        let room = MAX_LEN - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok(ErrorBody { bytes, is_whole: false });
        }
    }
    Ok(ErrorBody { bytes, is_whole: true })
}

pub(crate) const MAX_LEN: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    /// Fails if it is read on after its last chunk.
    struct Chunks(VecDeque<&'static [u8]>);

    impl Body for Chunks {
        type Data = &'static [u8];
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
        }
    }

    #[tokio::test]
    async fn body_is_read_up_to_its_limit() {
        static CHUNK: [u8; 1000] = [7; 1000];
        for (chunks, is_whole) in [(0, true), (65, true), (66, false), (400_000, false)] {
            let mut body = Chunks(std::iter::repeat_n(&CHUNK[..], chunks).collect());
            let read = read_error_body(&mut body).await.unwrap_or_else(|never| match never {});
            assert_eq!((read.bytes.len(), read.is_whole), ((chunks * 1000).min(MAX_LEN), is_whole));
            assert_eq!(body.0.len(), chunks.saturating_sub(66), "nothing is read after the limit");
        }
    }
}
