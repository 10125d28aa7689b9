//! The cache under test, its clock, its runtimes and the answers of its source.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use token_cache_core::test_util::{Fetch, Harness, VirtualClock};
use token_cache_core::{Clock, ErrorKind, TemporaryToken, TimePoint, permanent, retry_after};
use tokio::runtime::{Builder, Runtime};

use crate::history::Failure;
use crate::program::{Answer, Buffer, Lifetime, NewToken, Refresh, Settings};
use crate::reference::{Reply, failure};
use crate::token::{Expiry, Secret, Stated};

/// A cache with these settings. It counts its reads of the clock in `reads`.
pub(crate) fn harness(
    settings: Settings,
    initial: Option<Stated>,
    keep_warm: Duration,
    reads: &Arc<AtomicUsize>,
) -> Harness<Secret> {
    let clock = VirtualClock::new();
    let detector = LoopDetector { clock: clock.clone(), reads: Arc::clone(reads) };
    let mut harness = Harness::with(|builder| {
        let builder = builder
            .min_ttl(settings.min_ttl)
            .min_refresh_interval(settings.min_refresh_interval)
            .max_backoff(settings.max_backoff)
            .fetch_timeout(settings.fetch_timeout)
            .stale_if_error(settings.stale_if_error)
            .jitter(settings.jitter)
            .jitter_sample(move || settings.jitter_sample)
            .keep_warm(keep_warm)
            .clock(detector);
        let builder = match settings.expiry_buffer {
            Buffer::Fixed(duration) => builder.expiry_buffer(duration),
            Buffer::Percent(percent) => builder.expiry_buffer_by(move |lifetime| lifetime * percent / 100),
        };
        let builder = if settings.token_eq {
            builder.token_eq(|one: &Secret, other: &Secret| one.value == other.value)
        } else {
            builder
        };
        match initial {
            Some(initial) => builder.initial(temporary(initial)),
            None => builder,
        }
    });
    harness.clock = clock;
    harness
}

/// A clock that panics in an endless loop: within one poll, nothing else can stop that.
#[derive(Debug)]
struct LoopDetector {
    clock: VirtualClock,
    reads: Arc<AtomicUsize>,
}

impl LoopDetector {
    fn count(&self) {
        assert!(self.reads.fetch_add(1, Ordering::SeqCst) < MAX_READS, "{ENDLESS_LOOP}");
    }
}

impl Clock for LoopDetector {
    fn now(&self) -> TimePoint {
        self.count();
        self.clock.now()
    }

    fn tick(&self) -> Option<NonZeroU64> {
        self.count();
        self.clock.tick()
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(monotonic)
    }
}

/// The answers of the source, and the tokens that callers store.
#[derive(Default)]
pub(crate) struct Answers {
    count: u32,
    last: Option<Stated>,
}

impl Answers {
    /// Answers a fetch.
    pub(crate) fn answer(&mut self, fetch: Fetch<Secret>, answer: Answer, wall: SystemTime) -> Reply {
        match answer {
            Answer::Fail { permanent: is_permanent, retry_after: wait } => {
                self.count += 1;
                let kind = if is_permanent { ErrorKind::Permanent } else { ErrorKind::Source };
                let error = format!("outage {}", self.count).into();
                let error = match wait {
                    Some(wait) => retry_after(error, wait),
                    None => error,
                };
                fetch.fail(if is_permanent { permanent(error) } else { error });
                // Zero states nothing.
                let retry_after = wait.filter(|wait| !wait.is_zero());
                Reply::Failure(Failure { kind, cause: Some(self.count), retry_after })
            }
            Answer::Panic => {
                fetch.panic();
                Reply::Failure(failure(ErrorKind::Panicked))
            }
            Answer::Token(token) => {
                let stated = self.state(token, wall);
                fetch.succeed(temporary(stated));
                Reply::Token(stated)
            }
        }
    }

    /// A token as the source or a caller states it.
    pub(crate) fn state(&mut self, token: NewToken, wall: SystemTime) -> Stated {
        self.count += 1;
        let value = self.last.filter(|_| token.equal).map_or(self.count, |last| last.secret.value);
        let expiry = match token.lifetime {
            Lifetime::Past(duration) => Expiry::At(wall - duration),
            Lifetime::Until(duration) => Expiry::At(wall + duration),
            Lifetime::In(duration) => Expiry::In(duration),
            Lifetime::Same => self.last.map_or(Expiry::Never, |last| last.expiry),
            Lifetime::Never => Expiry::Never,
        };
        let refresh_at = token.refresh.map(|refresh| match refresh {
            Refresh::In(duration) => wall + duration,
            Refresh::Past(duration) => wall - duration,
        });
        let stated = Stated { secret: Secret { value, serial: self.count }, expiry, refresh_at };
        self.last = Some(stated);
        stated
    }
}

pub(crate) fn temporary(stated: Stated) -> TemporaryToken<Secret> {
    let token = match stated.expiry {
        Expiry::At(wall) => TemporaryToken::new(stated.secret, wall),
        Expiry::In(lifetime) => TemporaryToken::expires_in(stated.secret, lifetime),
        Expiry::Never => TemporaryToken::never_expires(stated.secret),
    };
    match stated.refresh_at {
        Some(wall) => token.refresh_at(wall),
        None => token,
    }
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Runs the tasks of all runtimes until they wait.
pub(crate) fn run_tasks(runtimes: &[Runtime]) {
    for runtime in runtimes {
        runtime.block_on(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// Whether a condition holds, at the latest when the watchdog of a fetch has dropped its handle of the cache. It runs in
/// another thread, and has one for a moment.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    (0..60_000).any(|attempt| {
        if attempt > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        holds()
    })
}

/// The panic message in an endless loop of the cache.
pub(crate) const ENDLESS_LOOP: &str = "P11, P12: an endless loop";

/// More than any step needs.
const MAX_READS: usize = 10_000;
