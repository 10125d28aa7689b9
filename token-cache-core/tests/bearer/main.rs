//! `BearerLayer`, over services that the test answers for.

#![allow(clippy::unwrap_used, reason = "tests")]

mod server;
mod stream;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join, join_all};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use token_cache_core::{BearerLayer, BoxError, ErrorKind, TemporaryToken, TokenCache};
use token_cache_testing::{SourceHandle, VirtualClock, mock_source};
use tower::{Layer, Service, ServiceExt};

use crate::server::{Got, Server, Strict};
use crate::stream::Stream;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// More than is kept of a body.
const TOO_MUCH: usize = 256 * 1024 + 1;

#[tokio::test]
async fn a_request_gets_the_token_in_place_of_what_was_there_and_keeps_all_else() {
    let mut bench = Bench::new();
    let request = Request::put("https://service/path?query")
        .header("x-own", "kept")
        .header(header::AUTHORIZATION, "Basic old")
        .extension(7_u8)
        .body(Full::<Bytes>::from("body"))
        .unwrap();
    let (answer, ()) = join(bench.send(request), bench.source.answer("one")).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    let got = bench.server.take();
    let got = &got[0];
    assert_eq!(got.parts.headers.get_all(header::AUTHORIZATION).iter().collect::<Vec<_>>(), ["Bearer one"]);
    assert_eq!(got.parts.headers["x-own"], "kept");
    assert_eq!(got.parts.extensions.get::<u8>(), Some(&7));
    assert_eq!((got.parts.method.as_str(), got.parts.uri.to_string().as_str()), ("PUT", "https://service/path?query"));
    assert_eq!((got.hint.exact(), got.body.as_deref().unwrap()), (Some(4), &b"body"[..]));
}

#[tokio::test]
async fn a_rejected_token_costs_one_new_one_and_no_failed_request() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    let (answer, ()) = join(bench.send(post("body")), bench.source.answer("two")).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    let got = bench.server.take();
    assert_eq!(got.iter().map(Got::bearer).collect::<Vec<_>>(), ["Bearer one", "Bearer two"]);
    for got in got {
        assert_eq!((got.hint.exact(), got.end_of_stream), (Some(4), false));
        assert_eq!(got.body.as_deref().unwrap(), b"body");
    }
    bench.send(post("body")).await.unwrap();
    assert_eq!(bench.server.take().len(), 1);
    assert_eq!(bench.source.handle.fetches(), 2);
}

#[tokio::test]
async fn a_rejection_by_grpc_status_counts_as_one() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    bench.server.speak_grpc();
    let (answer, ()) = join(bench.send(post("body")), bench.source.answer("two")).await;
    assert_eq!(answer.unwrap().headers()["grpc-status"], "0");
    assert_eq!(bench.server.take().len(), 2);
}

#[tokio::test]
async fn a_hundred_rejections_of_one_token_cost_one_fetch() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    bench.server.hold();
    let sent: Vec<_> = (0..100).map(|_| tokio::spawn(bench.send(post("body")))).collect();
    bench.source.handle.assert_no_fetch().await; // all are at the server
    bench.server.let_go();
    let (answers, ()) = join(join_all(sent), bench.source.answer("two")).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().unwrap().status() == StatusCode::OK));
    assert_eq!(bench.server.take().len(), 200);
    assert_eq!(bench.source.handle.fetches(), 2);
}

#[tokio::test]
async fn a_late_rejection_of_an_old_token_leaves_the_newer_one_alone() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    bench.server.hold();
    let late = tokio::spawn(bench.send(post("body")));
    bench.source.handle.assert_no_fetch().await; // it is at the server
    bench.clock.advance(SECOND);
    let (newer, ()) = join(bench.cache.refresh(), bench.source.answer("two")).await;
    bench.server.let_go();
    assert_eq!(late.await.unwrap().unwrap().status(), StatusCode::OK);
    assert!(Arc::ptr_eq(&newer.unwrap(), &bench.cache.peek().unwrap()));
    assert_eq!(bench.source.handle.fetches(), 2);
}

#[tokio::test]
async fn a_request_is_sent_twice_at_the_most() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    bench.server.revoke("two");
    let (answer, ()) = join(bench.send(post("body")), bench.source.answer("two")).await;
    assert_eq!(answer.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bench.server.take().len(), 2);
    assert_eq!(**bench.cache.peek().unwrap(), *"two");
}

#[tokio::test]
async fn an_answer_that_is_no_rejection_is_passed_on() {
    let bench = Bench::holding("one").await;
    bench.server.answer(StatusCode::FORBIDDEN);
    assert_eq!(bench.send(post("body")).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(bench.server.take().len(), 1);
    assert!(bench.cache.peek().is_some());
}

#[tokio::test]
async fn the_answer_stands_where_no_other_token_can_be_had() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    let sent = bench.send(post("body"));
    bench.clock.advance(SECOND);
    let (answer, ()) = join(sent, async { bench.source.handle.next_fetch().await.fail("the issuer is down") }).await;
    assert_eq!(answer.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bench.server.take().len(), 1);

    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    let (answer, ()) = join(bench.send(post("body")), bench.source.answer("one")).await;
    assert_eq!(answer.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bench.server.take().len(), 1, "the same token again would be rejected again");
}

#[tokio::test]
async fn what_cannot_be_sent_again_is_not_waited_for_and_its_token_is_dropped() {
    let trailers = Frame::trailers(HeaderMap::new());
    let cases: [(&str, Stream); 3] = [
        ("too much", Stream::of([Ok(Frame::data(Bytes::from(vec![0; TOO_MUCH])))])),
        ("too much in parts", Stream::of((0..3).map(|_| Ok(Frame::data(Bytes::from(vec![0; TOO_MUCH / 2])))))),
        ("trailers", Stream::of([Ok(Frame::data("body".into())), Ok(trailers)])),
    ];
    for (case, body) in cases {
        let bench = Bench::holding("one").await;
        bench.server.revoke("one");
        let answer = bench.send(Request::new(body)).now_or_never().expect(case);
        assert_eq!(answer.unwrap().status(), StatusCode::UNAUTHORIZED, "{case}");
        assert_eq!(bench.server.take().len(), 1, "{case}");
        assert!(bench.cache.peek().is_none(), "{case}");
    }
}

#[tokio::test]
async fn as_much_as_is_kept_can_be_sent_again() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    let half = Bytes::from(vec![7; TOO_MUCH / 2]);
    let body = Stream::of([Ok(Frame::data(half.clone())), Ok(Frame::data(half.clone()))]);
    let (answer, ()) = join(bench.send(Request::new(body)), bench.source.answer("two")).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    assert_eq!(bench.server.take()[1].body.as_ref().unwrap().len(), 2 * half.len());
}

#[tokio::test]
async fn a_stream_is_sent_on_from_where_it_is_when_the_answer_comes_early() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    bench.server.read_one_frame_of_rejected();
    let body = Stream::of(["a", "b", "c"].map(|data| Ok(Frame::data(data.into()))));
    let (answer, ()) = join(bench.send(Request::new(body)), bench.source.answer("two")).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    let got = bench.server.take();
    assert_eq!((got[1].hint.exact(), got[1].body.as_deref().unwrap()), (Some(3), &b"abc"[..]));

    // The connection that still has the first body learns that it is over, as an error and not as an end.
    let mut first = bench.server.unread();
    assert!(first.frame().await.unwrap().unwrap_err().to_string().contains("sent again"));
}

#[tokio::test]
async fn who_waits_for_the_rest_of_the_first_body_is_woken_when_the_second_begins() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    bench.server.read_one_frame_of_rejected();
    let body = Stream::without_end([Ok(Frame::data("a".into()))]);
    let second = tokio::spawn(bench.send(Request::new(body)));
    bench.source.handle.assert_no_fetch().await; // for the pacing: it has been rejected, and waits
    let mut first = bench.server.unread();
    let first = tokio::spawn(async move { first.frame().await.unwrap().map(drop) });
    tokio::task::yield_now().await;
    assert!(!first.is_finished());
    bench.source.answer("two").await;
    assert!(first.await.unwrap().unwrap_err().to_string().contains("sent again"));
    second.abort();
}

#[tokio::test]
async fn what_is_kept_of_a_body_is_let_go_when_the_answer_begins() {
    let bench = Bench::holding("one").await;
    let dropped = Arc::new(AtomicUsize::new(0));
    struct Owner(Arc<AtomicUsize>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            b"body"
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    bench.server.keep_accepted();
    let data = Bytes::from_owner(Owner(Arc::clone(&dropped)));
    let body = Stream::without_end([Ok(Frame::data(data))]);
    bench.send(Request::new(body)).await.unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "although the body is still being sent");
    drop(bench.server.unread());
}

#[tokio::test]
async fn a_body_that_fails_fails_as_ever() {
    let bench = Bench::holding("one").await;
    let body = Stream::of([Ok(Frame::data("a".into())), Err(io::Error::other("the disk is gone"))]);
    let error = bench.send(Request::new(body)).await.unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
}

#[tokio::test]
async fn an_empty_body_is_known_to_be_empty() {
    let bench = Bench::holding("one").await;
    bench.send(Request::new(Empty::<Bytes>::new())).await.unwrap();
    let got = bench.server.take();
    assert_eq!((got[0].hint.exact(), got[0].end_of_stream), (Some(0), true));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_error_is_the_caches() {
    let mut bench = Bench::new();
    let sent = bench.send(post("body"));
    let (answer, ()) = join(sent, async { bench.source.handle.next_fetch().await.fail("the issuer is down") }).await;
    let error = answer.unwrap_err();
    assert!(error.to_string().contains("the issuer is down"), "{error}");
    assert_eq!(error.downcast::<token_cache_core::Error>().unwrap().kind(), ErrorKind::Source);
    assert!(bench.server.take().is_empty());
}

#[tokio::test]
async fn p22_a_token_that_has_no_place_in_a_header_is_an_error_that_does_not_show_it() {
    let bench = Bench::holding("hunter2\n").await;
    let error = bench.send(post("body")).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("no place in a header") && !text.contains("hunter2"), "{text}");
    assert!(bench.server.take().is_empty());
}

#[tokio::test]
async fn p22_the_header_is_sensitive_and_made_once_a_token() {
    let made = Arc::new(AtomicUsize::new(0));
    let (cache, mut source, _) = cache();
    let layer = BearerLayer::new(&cache, {
        let made = Arc::clone(&made);
        move |token: &String| {
            made.fetch_add(1, Ordering::SeqCst);
            token
        }
    });
    let server = Server::default();
    let client = layer.layer(server.clone());
    let (answer, ()) = join(client.clone().oneshot(post("body")), source.answer("hunter2")).await;
    answer.unwrap();
    layer.layer(server.clone()).oneshot(post("body")).await.unwrap();
    assert_eq!(made.load(Ordering::SeqCst), 1);
    for got in server.take() {
        assert!(got.parts.headers[header::AUTHORIZATION].is_sensitive());
        let text = format!("{:?} {layer:?} {client:?} {:?}", got.parts, cache);
        assert!(text.contains("Sensitive") && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_the_one_that_is_called_and_made_ready_again() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    let inner = Strict::new(bench.server.clone());
    let mut client = bench.layer.layer(inner.clone());
    poll_fn(|context| Service::<Request<Full<Bytes>>>::poll_ready(&mut client, context)).await.unwrap();
    let (answer, ()) = join(client.call(post("body")), bench.source.answer("two")).await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    assert_eq!(inner.readied(), 2);
}

#[tokio::test]
async fn a_caller_who_goes_away_cancels_nobody_else() {
    let mut bench = Bench::holding("one").await;
    bench.server.revoke("one");
    let (gone, stays) = (tokio::spawn(bench.send(post("gone"))), tokio::spawn(bench.send(post("stays"))));
    bench.clock.advance(SECOND);
    let fetch = bench.source.handle.next_fetch().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    fetch.succeed(TemporaryToken::expires_in("two".to_owned(), HOUR));
    assert_eq!(stays.await.unwrap().unwrap().status(), StatusCode::OK);
}

type Sent = BoxFuture<'static, Result<Response<()>, BoxError>>;

struct Bench {
    cache: TokenCache<String>,
    source: Source,
    clock: VirtualClock,
    server: Server,
    layer: BearerLayer<String>,
}

struct Source {
    handle: SourceHandle<String>,
    clock: VirtualClock,
}

impl Source {
    /// Answers the next fetch, as soon as the pacing lets it be.
    async fn answer(&mut self, token: &str) {
        self.clock.advance(SECOND);
        self.handle.next_fetch().await.succeed(TemporaryToken::expires_in(token.to_owned(), HOUR));
    }
}

fn cache() -> (TokenCache<String>, Source, VirtualClock) {
    let (clock, (mock, handle)) = (VirtualClock::new(), mock_source());
    let cache = TokenCache::builder(mock).jitter(0.0).clock(clock.clone()).build();
    (cache, Source { handle, clock: clock.clone() }, clock)
}

impl Bench {
    fn new() -> Self {
        let (cache, source, clock) = cache();
        let layer = BearerLayer::new(&cache, |token| token);
        Self { cache, source, clock, server: Server::default(), layer }
    }

    async fn holding(token: &str) -> Self {
        let mut bench = Self::new();
        join(bench.cache.get(), bench.source.answer(token)).await.0.unwrap();
        bench
    }

    fn send<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static>(&self, request: Request<B>) -> Sent {
        self.layer.layer(self.server.clone()).oneshot(request).boxed()
    }
}

fn post(body: &'static str) -> Request<Full<Bytes>> {
    Request::post("https://service/").body(Full::from(body)).unwrap()
}
