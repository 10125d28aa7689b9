//! Request bodies, and when they can be sent a second time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, iter};

use bytes::Bytes;
use futures::future::join;
use futures::{FutureExt, stream};
use http::{HeaderMap, Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, StreamBody};
use token_cache_core::FetchState;

use crate::frames::FrameBody;
use crate::harness::Harness;

const KIB: usize = 1024;

/// One byte more than the layer buffers of a body.
const TOO_MUCH: usize = 256 * KIB + 1;

#[tokio::test]
async fn a_body_that_cannot_be_repeated_returns_the_rejection_at_once() {
    let trailers = Frame::trailers(HeaderMap::new());
    let too_much = || Frame::data(Bytes::from(vec![0; TOO_MUCH]));
    let half = || Frame::data(Bytes::from(vec![0; TOO_MUCH / 2]));
    let cases: [(&str, FrameBody); 3] = [
        ("one large chunk", FrameBody::new([Ok(too_much())])),
        ("several chunks", FrameBody::new([Ok(half()), Ok(half()), Ok(half())])),
        ("trailers", FrameBody::new([Ok(Frame::data("body".into())), Ok(trailers)])),
    ];
    for (case, body) in cases {
        let harness = Harness::with_token("one").await;
        harness.server.revoke("one");
        let response = harness.send(Request::new(body)).now_or_never().expect(case);
        assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED, "{case}");
        assert_eq!(harness.server.take_requests().len(), 1, "{case}");
        assert!(harness.cache.status().fetch != FetchState::Idle, "{case}");
    }
}

#[tokio::test]
async fn a_body_of_256_kib_is_repeated() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    let half = Bytes::from(vec![7; TOO_MUCH / 2]);
    let body = FrameBody::new([Ok(Frame::data(half.clone())), Ok(Frame::data(half.clone()))]);
    let (response, ()) = join(harness.send(Request::new(body)), harness.source.succeed("two")).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    assert_eq!(harness.server.take_requests()[1].body.as_ref().unwrap().len(), 2 * half.len());
}

#[tokio::test]
async fn the_second_request_has_a_bounded_number_of_frames() {
    let alternating = [&[1; 4 * KIB][..], b"2"];
    let cases: [(&str, Vec<&[u8]>, usize); 4] = [
        ("single bytes", iter::repeat_n(&b"1"[..], 16 * KIB).collect(), 1),
        ("large and small chunks", alternating.into_iter().cycle().take(126).collect(), 126),
        ("large chunks", iter::repeat_n(&[1; 4 * KIB][..], 64).collect(), 64),
        ("empty chunks", [&b""[..], b"1"].into_iter().cycle().take(16 * KIB).collect(), 1),
    ];
    for (case, chunks, frames) in cases {
        let mut harness = Harness::with_token("one").await;
        harness.server.revoke("one");
        let body = chunks.concat();
        let request = Request::new(chunked(chunks.into_iter().map(Bytes::copy_from_slice).collect::<Vec<_>>()));
        let (response, ()) = join(harness.send(request), harness.source.succeed("two")).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK, "{case}");
        let second = &harness.server.take_requests()[1];
        assert_eq!((second.frames, second.size_hint.lower()), (frames, body.len() as u64), "{case}");
        assert!(*second.body.as_ref().unwrap() == body, "{case}");
    }
}

#[tokio::test]
async fn the_memory_for_a_body_does_not_depend_on_its_frames() {
    for (case, chunk, frames) in [("empty", "", KIB * KIB), ("single bytes", "1", 256 * KIB)] {
        let harness = Harness::with_token("one").await;
        let request = Request::new(chunked(iter::repeat_n(Bytes::from_static(chunk.as_bytes()), frames)));
        let memory = allocation_counter::measure(|| drop(harness.send(request).now_or_never().unwrap().unwrap()));
        // The server collects the body too.
        assert!(memory.bytes_max < 4 * 256 * KIB as u64, "{case}: {memory:?}");
        assert_eq!(harness.server.take_requests()[0].frames, frames, "{case}");
    }
}

#[tokio::test]
async fn after_an_early_rejection_the_stream_continues() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    harness.server.reject_after_one_frame();
    let body = FrameBody::new(["a", "b", "c"].map(|data| Ok(Frame::data(data.into()))));
    let (response, ()) = join(harness.send(Request::new(body)), harness.source.succeed("two")).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    let second = &harness.server.take_requests()[1];
    assert_eq!((second.size_hint.exact(), second.body.as_deref().unwrap()), (Some(3), &b"abc"[..]));

    // The connection that still has the first body gets an error and not the end of the body.
    let mut first = harness.server.take_unread_body();
    assert_eq!((first.is_end_stream(), first.size_hint().exact()), (false, None));
    assert!(first.frame().await.unwrap().unwrap_err().to_string().contains("sent again"));
}

#[tokio::test]
async fn the_second_request_wakes_a_reader_of_the_first_body() {
    let mut harness = Harness::with_token("one").await;
    harness.server.revoke("one");
    harness.server.reject_after_one_frame();
    let body = FrameBody::without_end([Ok(Frame::data("a".into()))]);
    let response = tokio::spawn(harness.send(Request::new(body)));
    harness.source.handle.assert_no_fetch().await; // the token is rejected, and the pacing delays the next fetch
    let mut first = harness.server.take_unread_body();
    let reader = tokio::spawn(async move { first.frame().await.unwrap().map(drop) });
    tokio::task::yield_now().await;
    assert!(!reader.is_finished());
    harness.source.succeed("two").await;
    assert!(reader.await.unwrap().unwrap_err().to_string().contains("sent again"));
    response.abort();
}

#[tokio::test]
async fn the_response_frees_the_buffered_chunks() {
    struct CountedBuffer(Arc<AtomicUsize>);

    impl AsRef<[u8]> for CountedBuffer {
        fn as_ref(&self) -> &[u8] {
            b"body"
        }
    }

    impl Drop for CountedBuffer {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let harness = Harness::with_token("one").await;
    let dropped = Arc::new(AtomicUsize::new(0));
    harness.server.accept_after_one_frame();
    let data = Bytes::from_owner(CountedBuffer(Arc::clone(&dropped)));
    let body = FrameBody::without_end([Ok(Frame::data(data))]);
    harness.send(Request::new(body)).await.unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "the body is still being sent");
    drop(harness.server.take_unread_body());
}

#[tokio::test]
async fn an_error_of_the_body_is_returned() {
    let harness = Harness::with_token("one").await;
    let body = FrameBody::new([Ok(Frame::data("a".into())), Err(io::Error::other("disk error"))]);
    let error = harness.send(Request::new(body)).await.unwrap_err();
    assert_eq!(error.to_string(), "disk error");
}

#[tokio::test]
async fn an_empty_body_is_known_to_be_empty() {
    let harness = Harness::with_token("one").await;
    harness.send(Request::new(Empty::<Bytes>::new())).await.unwrap();
    let request = &harness.server.take_requests()[0];
    assert_eq!((request.size_hint.exact(), request.end_of_stream), (Some(0), true));
}

fn chunked(
    chunks: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>,
) -> impl Body<Data = Bytes, Error = io::Error> + Send {
    StreamBody::new(stream::iter(chunks.into_iter().map(|chunk| Ok(Frame::data(chunk)))))
}
