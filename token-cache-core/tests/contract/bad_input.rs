//! Extreme settings, tokens and times: nothing panics, nothing overflows, no caller hangs.

use std::time::SystemTime;

use futures::FutureExt;
use futures::future::BoxFuture;
use token_cache_core::{ErrorKind, TimePoint, TokenCache, TokenCacheBuilder, source_fn};

use super::*;

#[test]
fn p18_each_setting_accepts_every_token_and_clock() {
    runtime().block_on(async {
        for setting in settings() {
            for token in tokens() {
                for start in starts() {
                    check(&[setting], token, start).await;
                }
            }
        }
    });
}

#[test]
fn p18_each_pair_of_settings_accepts_every_token() {
    runtime().block_on(async {
        let settings = settings();
        for (n, one) in settings.iter().enumerate() {
            // Of two values for one setting, the last one counts.
            for two in settings[n + 1..].iter().filter(|two| two.name() != one.name()) {
                for token in tokens() {
                    check(&[*one, *two], token, starts()[0]).await;
                }
            }
        }
    });
}

#[test]
fn p18_extreme_settings_accept_every_token_and_clock() {
    runtime().block_on(async {
        for duration in DURATIONS {
            let all: Vec<_> = SETTERS.iter().map(|setter| Setting::Duration(setter.0, setter.1, duration)).collect();
            for token in tokens() {
                for start in starts() {
                    check(&all, token, start).await;
                }
            }
        }
    });
}

#[tokio::test]
async fn p12_a_buffer_function_that_panics_blocks_no_caller() {
    let clock = VirtualClock::new();
    let source = source_fn(|| async { Ok::<_, std::io::Error>(TemporaryToken::expires_in((), HOUR)) });
    let builder = TokenCache::builder(source).clock(clock.clone());
    let cache = builder.expiry_buffer_by(|_| std::panic::resume_unwind(Box::new("a function that panics"))).build();
    assert!(result(cache.get().boxed(), &clock).await.is_some(), "get hangs");
    assert!(result(cache.get().boxed(), &clock).await.is_some(), "the next get hangs");
}

/// Uses a cache for its whole life, and long after every expiry.
#[tokio::test]
async fn p12_an_expired_answer_shows_both_times() {
    let harness = Harness::new();
    let get = harness.spawn_get();
    let mut source = harness.source;
    source.next_fetch().await.succeed(TemporaryToken::new("a", harness.clock.wall() - 90 * SECOND));
    let error = get.await.unwrap().unwrap_err().to_string();
    for part in ["90.0s before", "at 2025-12-31T23:58:30Z", "the clock of this machine at 2026-01-01T00:00:00Z"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn p12_a_missing_runtime_says_how_to_pass_one() {
    let harness = Harness::new();
    let error = harness.poll_get().unwrap().unwrap_err().to_string();
    assert!(error.contains("TokenCacheBuilder::runtime"), "{error}");
}

async fn check(settings: &[Setting], token: TokenTimes, start: TimePoint) {
    let clock = VirtualClock::new();
    clock.advance(start.monotonic());
    clock.set_wall(start.wall());
    let source = source_fn(move || async move {
        match token.create() {
            Some(token) => Ok::<_, std::io::Error>(token),
            None => std::future::pending().await,
        }
    });
    let builder = settings.iter().fold(TokenCache::builder(source).clock(clock.clone()), |b, setting| setting.apply(b));
    let cache = builder.build();
    let case = || format!("{settings:?} {token:?} {start:?}");
    let mut last = None;
    for duration in STEPS {
        clock.advance(duration);
        for call in ["get", "get_valid_for", "refresh"] {
            let future = match call {
                "get_valid_for" => cache.get_valid_for(Duration::MAX).boxed(),
                "refresh" => cache.refresh().boxed(),
                _ => cache.get().boxed(),
            };
            match result(future, &clock).await {
                Some(Ok(token)) => last = Some(token),
                // A panic in the task of a fetch would be reported as `NoRuntime`.
                Some(Err(error)) => assert!(EXPECTED.contains(&error.kind()), "{call}: {error}, {}", case()),
                None => panic!("{call} hangs: {}", case()),
            }
        }
        assert!(format!("{cache:?}").contains("Status"));
        last.iter().for_each(|token| cache.invalidate(token));
        let _ = cache.peek();
    }
}

/// Advances the clock, in growing steps, until a call returns. `None` if it never does.
async fn result(
    mut call: BoxFuture<'_, Result<Arc<()>, Error>>,
    clock: &VirtualClock,
) -> Option<Result<Arc<()>, Error>> {
    for duration in STEPS {
        clock.advance(duration);
        // The task of a fetch runs twice before its caller does: it starts, and it ends.
        for _ in 0..4 {
            if let Some(result) = (&mut call).now_or_never() {
                return Some(result);
            }
            tokio::task::yield_now().await;
        }
    }
    None
}

#[derive(Clone, Copy, Debug)]
enum Setting {
    Duration(&'static str, Setter, Duration),
    BufferFunction(Duration),
    Jitter(f64),
}

type Builder = TokenCacheBuilder<()>;
type Setter = fn(Builder, Duration) -> Builder;

impl Setting {
    const fn name(self) -> &'static str {
        match self {
            Self::Duration(name, ..) => name,
            Self::BufferFunction(_) => "expiry_buffer",
            Self::Jitter(_) => "jitter",
        }
    }

    fn apply(self, builder: Builder) -> Builder {
        match self {
            Self::Duration(_, setter, duration) => setter(builder, duration),
            Self::BufferFunction(duration) => builder.expiry_buffer_by(move |_| duration),
            Self::Jitter(fraction) => builder.jitter(fraction),
        }
    }
}

fn settings() -> Vec<Setting> {
    let durations =
        SETTERS.iter().flat_map(|setter| DURATIONS.map(|duration| Setting::Duration(setter.0, setter.1, duration)));
    let jitters = [f64::NAN, -1.0, 2.0, f64::INFINITY, f64::NEG_INFINITY].map(Setting::Jitter);
    durations.chain(DURATIONS.map(Setting::BufferFunction)).chain(jitters).collect()
}

/// When a token expires, and when its issuer wants it to be refreshed.
#[derive(Clone, Copy, Debug)]
struct TokenTimes {
    expiry: Expiry,
    refresh_at: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug)]
enum Expiry {
    At(SystemTime),
    In(Duration),
    Never,
    /// The source does not answer.
    NoAnswer,
}

impl TokenTimes {
    fn create(self) -> Option<TemporaryToken<()>> {
        let token = match self.expiry {
            Expiry::At(wall) => TemporaryToken::new((), wall),
            Expiry::In(lifetime) => TemporaryToken::expires_in((), lifetime),
            Expiry::Never => TemporaryToken::never_expires(()),
            Expiry::NoAnswer => return None,
        };
        Some(match self.refresh_at {
            Some(wall) => token.refresh_at(wall),
            None => token,
        })
    }
}

fn tokens() -> Vec<TokenTimes> {
    let expiries = [
        Expiry::At(SystemTime::UNIX_EPOCH),
        Expiry::At(SystemTime::UNIX_EPOCH - HOUR),
        Expiry::At(year_9999()),
        Expiry::In(Duration::ZERO),
        Expiry::In(NANOSECOND),
        Expiry::In(HOUR),
        Expiry::In(Duration::MAX),
        Expiry::Never,
    ];
    let refresh_times = [None, Some(SystemTime::UNIX_EPOCH - HOUR), Some(year_9999())];
    let with_refresh_times = |expiry| refresh_times.map(|refresh_at| TokenTimes { expiry, refresh_at });
    let no_answer = TokenTimes { expiry: Expiry::NoAnswer, refresh_at: None };
    expiries.into_iter().flat_map(with_refresh_times).chain([no_answer]).collect()
}

/// The earliest and the latest times, on both clocks and on each alone.
fn starts() -> [TimePoint; 4] {
    let (now, before_1970) = (SystemTime::UNIX_EPOCH + 56 * 365 * 24 * HOUR, SystemTime::UNIX_EPOCH - 24 * HOUR);
    [
        TimePoint::new(Duration::ZERO, now),
        TimePoint::new(Duration::ZERO, before_1970),
        TimePoint::new(CENTURIES, before_1970),
        TimePoint::new(Duration::MAX - HOUR, year_9999()),
    ]
}

fn year_9999() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799)
}

const NANOSECOND: Duration = Duration::from_nanos(1);
const CENTURIES: Duration = Duration::from_secs(1 << 33);

/// By how much the clock advances, one after the other.
const STEPS: [Duration; 6] = [Duration::ZERO, NANOSECOND, Duration::from_secs(2), HOUR, CENTURIES, Duration::MAX];

/// The values of each setting.
const DURATIONS: [Duration; 3] = [Duration::ZERO, NANOSECOND, Duration::MAX];

const SETTERS: [(&str, Setter); 5] = [
    ("expiry_buffer", TokenCacheBuilder::expiry_buffer),
    ("min_ttl", TokenCacheBuilder::min_ttl),
    ("min_refresh_interval", TokenCacheBuilder::min_refresh_interval),
    ("max_backoff", TokenCacheBuilder::max_backoff),
    ("fetch_timeout", TokenCacheBuilder::fetch_timeout),
];

const EXPECTED: [ErrorKind; 3] = [ErrorKind::AlreadyExpired, ErrorKind::TimedOut, ErrorKind::TooShort];
