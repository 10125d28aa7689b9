//! [`Memory`]: the bytes that a cache and a view keep allocated.

use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use token_cache_core::{TemporaryToken, TokenCache, View, source_fn};
use tokio::runtime::{Builder, Runtime};

/// The bytes that a cache and a view keep allocated after a fetch, and after reads by a number of threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) threads: usize,
    pub(crate) cache_bytes: i64,
    pub(crate) view_bytes: i64,
}

/// The numbers of threads to measure.
pub(crate) const THREADS: [usize; 3] = [1, 64, 512];

/// Of size zero, as is [`Converted`]: their `Arc`s are all that the tokens add.
struct Token;
struct Converted;

/// Builds a cache and a view, and reads both with `threads` threads at once.
pub(crate) fn measure(threads: usize) -> Memory {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Sets up what all caches of a process and of a thread share, here and below.
    let other_cache = new_cache(&runtime);
    let other_view = new_view(&other_cache, &runtime);

    let cache = new_cache(&runtime);
    let view = new_view(&cache, &runtime);
    let barrier = Barrier::new(threads);
    let read = || {
        read_cache(&other_cache);
        read_view(&other_view);
        // All threads exist at the same time, so that none reuses the memory of another.
        barrier.wait();
        let ((), cache_bytes) = live_bytes(|| read_cache(&cache));
        let ((), view_bytes) = live_bytes(|| read_view(&view));
        barrier.wait();
        (cache_bytes, view_bytes)
    };
    let read_bytes = thread::scope(|scope| {
        let readers: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        let bytes = readers.into_iter().map(|reader| reader.join().expect("a reader that does not panic"));
        bytes.fold((0, 0), |sum, (cache, view)| (sum.0 + cache, sum.1 + view))
    });
    // What they release at their end. What they have allocated includes the watchdog of the fetch, which another thread has
    // released already.
    let ((), view_bytes) = live_bytes(|| drop(view));
    let ((), cache_bytes) = live_bytes(|| drop(cache));
    Memory { threads, cache_bytes: read_bytes.0 - cache_bytes, view_bytes: read_bytes.1 - view_bytes }
}

/// A cache that has fetched a token.
fn new_cache(runtime: &Runtime) -> TokenCache<Token> {
    let source =
        source_fn(|| async { Ok::<_, io::Error>(TemporaryToken::expires_in(Token, Duration::from_secs(3600))) });
    let cache = TokenCache::builder(source).build();
    runtime.block_on(async {
        cache.get().await.expect("a token");
        // Lets the task of the fetch end.
        tokio::task::yield_now().await;
    });
    cache
}

/// A view that has converted the token.
fn new_view(cache: &TokenCache<Token>, runtime: &Runtime) -> View<Token, Converted> {
    let view = cache.view(|_| Converted);
    runtime.block_on(view.get()).expect("a token");
    view
}

fn read_cache(cache: &TokenCache<Token>) {
    for _ in 0..3 {
        cache.get().now_or_never().expect("a hit").expect("a token");
    }
}

fn read_view(view: &View<Token, Converted>) {
    for _ in 0..3 {
        view.get().now_or_never().expect("a hit").expect("a token");
    }
}

/// The result of `run`, and the bytes that it has allocated on this thread and not released.
fn live_bytes<R>(run: impl FnOnce() -> R) -> (R, i64) {
    let mut result = None;
    let counted = allocation_counter::measure(|| result = Some(run()));
    (result.expect("a result"), counted.bytes_current)
}
