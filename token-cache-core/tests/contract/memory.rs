//! Promise 28: nothing of a token outlives its last user, however many threads have read it.
//!
//! Thread-local caches would keep it: <https://github.com/rust-lang/regex/issues/362>.

use std::sync::{Barrier, Weak};
use std::thread;

use futures::FutureExt;
use token_cache_core::View;

use super::*;

const THREADS: usize = 64;

/// What 64 threads have read, while all of them still run.
fn read_by_threads<T: Send + Sync>(read: impl Fn() -> Arc<T> + Sync, then: impl FnOnce(Weak<T>)) {
    let (all_have_read, done) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                drop(read());
                all_have_read.wait();
                // The thread idles.
                done.wait();
            });
        }
        all_have_read.wait();
        let observer = Arc::downgrade(&read());
        // The idle threads must end for the test to fail.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| then(observer)));
        done.wait();
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

fn hit<T: Send + Sync + 'static, U: Send + Sync + 'static>(view: &View<T, U>) -> Arc<U> {
    // Callers wait for the first conversion.
    futures::executor::block_on(view.get()).unwrap()
}

#[test]
fn p28_no_thread_keeps_a_rotated_token() {
    let mut harness = Harness::new();
    runtime().block_on(harness.fetch("a", HOUR));
    let cache = harness.cache.clone();
    read_by_threads(
        || cache.get().now_or_never().unwrap().unwrap(),
        |observer| {
            harness.clock.advance(HOUR);
            runtime().block_on(harness.fetch("b", HOUR));
            assert!(observer.upgrade().is_none());
        },
    );
}

#[test]
fn p28_no_thread_keeps_an_invalidated_token() {
    let mut harness = Harness::new();
    runtime().block_on(harness.fetch("a", HOUR));
    let cache = harness.cache.clone();
    read_by_threads(
        || cache.get().now_or_never().unwrap().unwrap(),
        |observer| {
            harness.clock.advance(SECOND);
            harness.cache.invalidate(&observer.upgrade().unwrap());
            runtime().block_on(harness.fetch("b", HOUR));
            assert!(observer.upgrade().is_none());
        },
    );
}

#[test]
fn p28_no_thread_keeps_a_rotated_conversion() {
    let mut harness = Harness::new();
    runtime().block_on(harness.fetch("a", HOUR));
    let token = Arc::downgrade(&harness.cache.peek().unwrap());
    let view = harness.cache.view(|token| token.to_string());
    read_by_threads(
        || hit(&view),
        |observer| {
            harness.clock.advance(HOUR);
            runtime().block_on(harness.fetch("b", HOUR));
            assert!(token.upgrade().is_none(), "a view keeps no token");
            assert_eq!(*hit(&view), "b");
            assert!(observer.upgrade().is_none());
        },
    );
}

#[test]
fn p28_no_thread_keeps_an_invalidated_conversion() {
    let mut harness = Harness::new();
    runtime().block_on(harness.fetch("a", HOUR));
    let token = Arc::downgrade(&harness.cache.peek().unwrap());
    let view = harness.cache.view(|token| token.to_string());
    read_by_threads(
        || hit(&view),
        |observer| {
            harness.clock.advance(SECOND);
            view.invalidate(&observer.upgrade().unwrap());
            runtime().block_on(harness.fetch("b", HOUR));
            assert!(token.upgrade().is_none(), "a view keeps no token");
            assert_eq!(*hit(&view), "b");
            assert!(observer.upgrade().is_none());
        },
    );
}
