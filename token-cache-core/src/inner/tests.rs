//! A hit takes no lock: shown with the lock held, which only this crate can do.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::SystemTime;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;
use crate::clock::Clock;
use crate::source::{BoxError, source_fn};
use crate::status::Freshness;
use crate::token::TemporaryToken;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn cost_a_hit_in_fresh_takes_no_lock() {
    let (cache, _) = holding_an_hour([]).await;
    assert_eq!(cache.status().freshness, Freshness::Fresh);
    assert_hits_take_no_lock(&cache);
}

#[tokio::test]
async fn cost_a_hit_near_expiry_takes_no_lock_while_a_refresh_is_in_flight() {
    let (cache, clock) = holding_an_hour([Answer::None]).await;
    clock.advance(HOUR - 4 * MINUTE);
    cache.get().await.unwrap();
    let status = cache.status();
    assert!(status.freshness == Freshness::NearExpiry && status.refreshing);
    assert_hits_take_no_lock(&cache);
}

#[tokio::test]
async fn cost_a_hit_near_expiry_takes_no_lock_during_a_backoff() {
    let (cache, clock) = holding_an_hour([Answer::Failure]).await;
    clock.advance(HOUR - 4 * MINUTE);
    cache.get().await.unwrap();
    settled().await;
    let status = cache.status();
    assert!(status.freshness == Freshness::NearExpiry && status.failures == 1 && !status.next_attempt.is_zero());
    assert_hits_take_no_lock(&cache);
}

#[tokio::test]
async fn cost_a_hit_in_too_short_takes_no_lock_during_a_backoff() {
    let (cache, clock) = holding_an_hour([Answer::Failure]).await;
    clock.advance(HOUR - 50 * SECOND);
    cache.get().await.unwrap();
    let status = cache.status();
    assert!(status.freshness == Freshness::TooShort && status.failures == 1 && !status.next_attempt.is_zero());
    assert_hits_take_no_lock(&cache);
}

#[tokio::test]
async fn cost_a_hit_in_too_short_takes_no_lock_once_the_patience_is_over() {
    let (cache, clock) = holding_an_hour([Answer::None]).await;
    clock.advance(HOUR - 50 * SECOND);
    let waits = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get().await }
    });
    settled().await;
    clock.advance(5 * SECOND);
    waits.await.unwrap().unwrap();
    // The first who comes after the patience decides that for all others.
    cache.get().await.unwrap();
    let status = cache.status();
    assert!(status.freshness == Freshness::TooShort && status.refreshing);
    assert_hits_take_no_lock(&cache);
}

/// Reads on another thread while this one holds the lock: a reader that wants it too does not come back.
fn assert_hits_take_no_lock(cache: &TokenCache<&'static str>) {
    let view = cache.view(|token| token.len());
    view.get().now_or_never().expect("no hit").unwrap(); // the first read converts
    let (done, read) = mpsc::channel();
    let outcome = thread::scope(|scope| {
        let held = cache.shared.lock();
        scope.spawn(move || {
            for _ in 0..100 {
                let hits = (cache.get().now_or_never(), view.get().now_or_never());
                done.send(matches!(hits, (Some(Ok(_)), Some(Ok(_))))).unwrap();
            }
        });
        let patience = 10 * SECOND;
        let outcome: Result<Vec<_>, _> = (0..100).map(|_| read.recv_timeout(patience)).collect();
        // Before the scope ends, which waits for the reader.
        drop(held);
        outcome
    });
    let hits = outcome.expect("a hit waits for the lock");
    assert!(hits.iter().all(|hit| *hit), "no hit");
}

async fn holding_an_hour<const N: usize>(answers: [Answer; N]) -> (TokenCache<&'static str>, Hands) {
    let (clock, answers) = (Hands::default(), Mutex::new(VecDeque::from(answers)));
    answers.lock().unwrap().push_front(Answer::AnHour);
    let source = source_fn(move || {
        let answer = answers.lock().unwrap().pop_front();
        async move {
            match answer {
                Some(Answer::AnHour) => Ok(TemporaryToken::expires_in("a", HOUR)),
                Some(Answer::Failure) => Err(BoxError::from("the issuer is down")),
                Some(Answer::None) | None => future::pending().await,
            }
        }
    });
    let cache = TokenCache::builder(source).jitter(0.0).clock(clock.clone()).build();
    cache.get().await.unwrap();
    (cache, clock)
}

enum Answer {
    AnHour,
    Failure,
    None,
}

/// As the kit's clock, which is made for this crate as others see it and not for its own unit tests. In seconds.
#[derive(Clone, Debug, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn advance(&self, span: Duration) {
        self.0.fetch_add(span.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> TimePoint {
        let now = Duration::from_secs(self.0.load(Ordering::SeqCst));
        TimePoint::new(now, SystemTime::UNIX_EPOCH + now)
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            while clock.now().monotonic() < monotonic {
                tokio::task::yield_now().await;
            }
        })
    }
}

/// Lets every other task run until it waits.
async fn settled() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}
