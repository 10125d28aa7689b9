//! Whatever the settings, the tokens and the clock: nothing panics, nothing overflows, nobody hangs.

use super::*;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Mutex;
use std::time::SystemTime;
use token_cache_core::{Clock, ErrorKind, TimePoint, source_fn};

#[tokio::test]
async fn each_setting_bears_every_token_on_every_clock() {
    for setting in settings() {
        for token in tokens() {
            for start in starts() {
                bears(&[setting], token, start).await;
            }
        }
    }
}

#[tokio::test]
async fn each_pair_of_settings_bears_every_token() {
    let settings = settings();
    for (at, one) in settings.iter().enumerate() {
        for two in &settings[at + 1..] {
            for token in tokens() {
                bears(&[*one, *two], token, starts()[0]).await;
            }
        }
    }
}

#[tokio::test]
async fn all_settings_at_once_bear_every_token_on_every_clock() {
    for span in SPANS {
        let all: Vec<_> = SETTERS.iter().map(|setter| Setting::Span(setter.0, setter.1, span)).collect();
        for token in tokens() {
            for start in starts() {
                bears(&all, token, start).await;
            }
        }
    }
}

#[tokio::test]
async fn p12_a_rule_that_panics_keeps_nobody_waiting() {
    let clock = Hands(Arc::new(Mutex::new(starts()[0])));
    let source = source_fn(|| async { Ok::<_, std::io::Error>(TemporaryToken::expires_in((), HOUR)) });
    let builder = TokenCache::builder(source).clock(clock.clone());
    let cache = builder.expiry_buffer_by(|_| std::panic::resume_unwind(Box::new("a rule that panics"))).build();
    assert!(ends(cache.get().boxed(), &clock).await.is_some(), "get hangs");
    assert!(ends(cache.get().boxed(), &clock).await.is_some(), "the next get hangs");
}

/// Goes through the life of a cache, and far past every end.
async fn bears(settings: &[Setting], token: Token, start: TimePoint) {
    let told = || format!("{settings:?} {token:?} {start:?}");
    let clock = Hands(Arc::new(Mutex::new(start)));
    let source = source_fn(move || async move {
        match token.made() {
            Some(token) => Ok::<_, std::io::Error>(token),
            None => std::future::pending().await,
        }
    });
    let builder = settings.iter().fold(TokenCache::builder(source).clock(clock.clone()), |b, setting| setting.on(b));
    let cache = builder.build();
    let mut last = None;
    for span in [Duration::ZERO, NS, SECOND, HOUR, AGES, Duration::MAX] {
        clock.advance(span);
        for call in ["get", "get_valid_for the end of time", "refresh", "get after a rejection"] {
            let future = match call {
                "get_valid_for the end of time" => cache.get_valid_for(Duration::MAX).boxed(),
                "refresh" => cache.refresh().boxed(),
                _ => cache.get().boxed(),
            };
            match ends(future, &clock).await {
                Some(Ok(token)) => last = Some(token),
                // A panic of the cache's own task would pass for a runtime that has gone.
                Some(Err(error)) => assert!(RIGHT.contains(&error.kind()), "{call}: {error}, {}", told()),
                None => panic!("{call} hangs: {}", told()),
            }
            assert!(format!("{cache:?}").contains("Status"));
        }
        last.iter().for_each(|token| cache.invalidate(token));
        let _ = cache.peek();
    }
}

/// Lets time go by, ever faster, until a call comes back. `None`: it does not, not even at the end of time.
async fn ends(mut call: BoxFuture<'_, Result<Arc<()>, Error>>, clock: &Hands) -> Option<Result<Arc<()>, Error>> {
    for span in [Duration::ZERO, NS, 2 * SECOND, HOUR, AGES, Duration::MAX] {
        clock.advance(span);
        for _ in 0..8 {
            if let Some(outcome) = (&mut call).now_or_never() {
                return Some(outcome);
            }
            tokio::task::yield_now().await;
        }
    }
    None
}

#[derive(Clone, Copy, Debug)]
enum Setting {
    Span(#[expect(dead_code, reason = "for Debug")] &'static str, Setter, Duration),
    Rule(Duration),
    Jitter(f64),
}

type Builder = TokenCacheBuilder<()>;
type Setter = fn(Builder, Duration) -> Builder;

impl Setting {
    fn on(self, builder: Builder) -> Builder {
        match self {
            Self::Span(_, setter, span) => setter(builder, span),
            Self::Rule(span) => builder.expiry_buffer_by(move |_| span),
            Self::Jitter(share) => builder.jitter(share),
        }
    }
}

fn settings() -> Vec<Setting> {
    let spans = SETTERS.iter().flat_map(|setter| SPANS.map(|span| Setting::Span(setter.0, setter.1, span)));
    let jitters = [f64::NAN, -1.0, 2.0, f64::INFINITY, f64::NEG_INFINITY].map(Setting::Jitter);
    spans.chain(SPANS.map(Setting::Rule)).chain(jitters).collect()
}

/// When a token expires, and when its issuer wants it refreshed.
#[derive(Clone, Copy, Debug)]
struct Token {
    expiry: Expiry,
    refresh_at: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug)]
enum Expiry {
    At(SystemTime),
    In(Duration),
    Never,
    NoAnswer,
}

impl Token {
    /// `None`: the source does not answer.
    fn made(self) -> Option<TemporaryToken<()>> {
        let token = match self.expiry {
            Expiry::At(wall) => TemporaryToken::new((), wall),
            Expiry::In(span) => TemporaryToken::expires_in((), span),
            Expiry::Never => TemporaryToken::never_expires(()),
            Expiry::NoAnswer => return None,
        };
        Some(match self.refresh_at {
            Some(at) => token.refresh_at(at),
            None => token,
        })
    }
}

fn tokens() -> Vec<Token> {
    let expiries = [
        Expiry::At(SystemTime::UNIX_EPOCH),
        Expiry::At(SystemTime::UNIX_EPOCH - HOUR),
        Expiry::At(year_9999()),
        Expiry::In(Duration::ZERO),
        Expiry::In(NS),
        Expiry::In(HOUR),
        Expiry::In(Duration::MAX),
        Expiry::Never,
    ];
    let refreshes = [None, Some(SystemTime::UNIX_EPOCH - HOUR), Some(year_9999())];
    let hinted = |expiry| refreshes.map(|refresh_at| Token { expiry, refresh_at });
    let silent = Token { expiry: Expiry::NoAnswer, refresh_at: None };
    expiries.into_iter().flat_map(hinted).chain([silent]).collect()
}

/// On both hands, and on each alone, as early and as late as they come.
fn starts() -> [TimePoint; 4] {
    let (now, before_1970) = (SystemTime::UNIX_EPOCH + 56 * 365 * 24 * HOUR, SystemTime::UNIX_EPOCH - 24 * HOUR);
    [
        TimePoint::new(Duration::ZERO, now),
        TimePoint::new(Duration::ZERO, before_1970),
        TimePoint::new(AGES, before_1970),
        TimePoint::new(Duration::MAX - HOUR, year_9999()),
    ]
}

fn year_9999() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799)
}

/// The kit's clock keeps to times that a calendar has; this one does not.
#[derive(Clone, Debug)]
struct Hands(Arc<Mutex<TimePoint>>);

impl Hands {
    /// The wall clock stays where it is when it can go no further.
    fn advance(&self, span: Duration) {
        let mut now = self.0.lock().unwrap();
        let wall = now.wall().checked_add(span).unwrap_or_else(|| now.wall());
        *now = TimePoint::new(now.monotonic().saturating_add(span), wall);
    }
}

impl Clock for Hands {
    fn now(&self) -> TimePoint {
        *self.0.lock().unwrap()
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

const NS: Duration = Duration::from_nanos(1);
const AGES: Duration = Duration::from_secs(1 << 33);

const SPANS: [Duration; 3] = [Duration::ZERO, NS, Duration::MAX];

const SETTERS: [(&str, Setter); 5] = [
    ("expiry_buffer", TokenCacheBuilder::expiry_buffer),
    ("min_ttl", TokenCacheBuilder::min_ttl),
    ("min_refresh_interval", TokenCacheBuilder::min_refresh_interval),
    ("max_backoff", TokenCacheBuilder::max_backoff),
    ("fetch_timeout", TokenCacheBuilder::fetch_timeout),
];

const RIGHT: [ErrorKind; 3] = [ErrorKind::AlreadyExpired, ErrorKind::TimedOut, ErrorKind::TooShort];
