//! Promise 12 in processes that lack threads: in the child of a fork, and where the system starts none.
//!
//! Each test needs a separate process: a fork copies the locks that another thread holds.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::env;
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use fork::{Fork, fork, waitpid};
use token_cache_core::{ErrorKind, TemporaryToken, TokenCache, source_fn};
use tokio::runtime::Builder;
use tokio::sync::Notify;

const HOUR: Duration = Duration::from_secs(3600);

/// Runs an ignored test of this file in a separate process, on its main thread.
fn run(test: &str, variable: (&str, &str)) {
    let arguments = ["--exact", test, "--ignored", "--nocapture", "--test-threads=1"];
    let status =
        Command::new(env::current_exe().unwrap()).args(arguments).env(variable.0, variable.1).status().unwrap();
    assert!(status.success(), "{test}: {status}");
}

/// <https://github.com/delta-io/delta-rs/issues/2744>
#[test]
fn p12_after_a_fork_the_child_fetches_for_itself() {
    run("in_a_fork", ("RUST_BACKTRACE", "0"));
}

#[test]
#[ignore = "the process of the test above"]
fn in_a_fork() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (release, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let fetches = Arc::new(AtomicUsize::new(0));
    let source = {
        let (release, asked) = (Arc::clone(&release), Arc::clone(&asked));
        source_fn(move || {
            let (release, asked) = (Arc::clone(&release), Arc::clone(&asked));
            // The first fetch waits until the parent releases it, which the child does not notice.
            let number = fetches.fetch_add(1, Ordering::SeqCst);
            async move {
                if number == 0 {
                    asked.notify_one();
                    release.notified().await;
                }
                Ok::<_, std::io::Error>(TemporaryToken::expires_in(process::id(), HOUR))
            }
        })
    };
    let cache = TokenCache::builder(source).build();
    let lost = TokenCache::builder(source_fn(std::future::pending::<Result<TemporaryToken<u32>, std::io::Error>>))
        .runtime(runtime.handle().clone())
        .fetch_timeout(Duration::from_millis(50))
        .build();
    let parent = runtime.spawn({
        let cache = cache.clone();
        async move { cache.get().await }
    });
    runtime.block_on(asked.notified());

    match fork().unwrap() {
        Fork::Child => {
            let token = cache.get_blocking();
            let own = token.is_ok_and(|token| *token == process::id());
            // The runtime of the parent has no threads here.
            let kind = lost.get_blocking().unwrap_err().kind();
            // Not by a panic, which would run the remaining tests once more.
            process::exit(match (own, kind) {
                (true, ErrorKind::NoRuntime) => 0,
                (false, _) => 1,
                (true, _) => 2,
            });
        }
        Fork::Parent(child) => {
            let status = waitpid(child).unwrap();
            assert_eq!(status, 0, "1: not its own token, 2: not the error of a runtime that nobody drives (times 256)");
        }
    }
    release.notify_one();
    let token = runtime.block_on(parent).unwrap().unwrap();
    assert_eq!(*token, process::id(), "the parent's fetch goes on");
}

/// A limit of the system on threads, for example.
#[test]
fn p12_a_source_that_hangs_times_out_where_no_thread_can_start() {
    // No system has as much memory for the stack of a thread.
    run("without_threads", ("RUST_MIN_STACK", "1152921504606846976"));
}

#[test]
#[ignore = "the process of the test above"]
fn without_threads() {
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "a thread was started");
    let hangs = source_fn(std::future::pending::<Result<TemporaryToken<()>, std::io::Error>>);
    let cache = TokenCache::builder(hangs).fetch_timeout(Duration::from_millis(50)).build();
    let error = cache.get_blocking().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime, "no thread to fetch in");
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let error = runtime.block_on(cache.get()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}
