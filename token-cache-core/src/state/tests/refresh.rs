//! When a stored token is refreshed.

use super::*;

#[test]
fn p21_keep_warm_sleeps_fetches_and_stops() {
    let mut state = holding_with(Config { keep_warm: Some(2 * HOUR), ..config() });
    let until = |keep_warm| match keep_warm {
        KeepWarm::Sleep(until) => until.as_secs(),
        _ => panic!("it does not sleep"),
    };
    assert_eq!(until(state.keep_warm(at(10), false)), 15, "at most 5 s");
    assert_eq!(until(state.keep_warm(at(3298), false)), 3300, "until NearExpiry");
    assert!(matches!(state.keep_warm(at(3301), false), KeepWarm::Wait));
    assert_eq!(in_flight(&state).reason, FetchReason::NearExpiry);
    assert!(matches!(state.keep_warm(at(3302), false), KeepWarm::Wait), "for the same fetch");
    fail(&mut state, 3302);
    assert_eq!(until(state.keep_warm(at(3302), false)), 3303, "until the backoff ends");
    assert!(matches!(state.keep_warm(at(10_799), false), KeepWarm::Wait));
    assert!(matches!(state.keep_warm(at(10_800), false), KeepWarm::Stop), "two hours after the last read, at least");
}

#[test]
fn p21_readers_decide_within_half_of_the_idle_time() {
    let state = holding_with(Config { keep_warm: Some(HOUR), ..config() });
    assert_eq!(state.serving(at(10)).unwrap().serve_until.monotonic(), Duration::from_secs(1800));
}

#[test]
fn p26_a_stored_token_ends_a_failure_and_a_fetch() {
    let mut state = holding();
    get(&mut state, 3301);
    fail(&mut state, 3301);
    get(&mut state, 3310);
    let late = in_flight(&state).id;
    assert!(state.begin(late, at(3310)));
    let new = NewToken::new(&state.config, TemporaryToken::expires_in("stored", HOUR), at(3311));
    assert!(matches!(state.store(new, at(3311), 0.0), Ok(FetchOutcome::Succeeded { .. })));
    assert_eq!((*token(&state), state.generation(), state.failures()), ("stored", 2, 0));
    assert_eq!(next_attempt(&state, 3311), Duration::from_secs(3312), "the interval after a success");
    let outcome = end(&mut state, late, 3310, 3312, Ok(TemporaryToken::expires_in("late", HOUR)));
    assert!(matches!(outcome, FetchOutcome::Lost));
    let new = NewToken::new(&state.config, TemporaryToken::expires_in("old", Duration::ZERO), at(3312));
    assert_eq!(state.store(new, at(3312), 0.0).unwrap_err().kind(), ErrorKind::AlreadyExpired);
    assert_eq!(*token(&state), "stored");
}

/// Fetches `token` from `seconds` to `ends`, with this sample of the jitter. Returns when it is refreshed.
fn fetch(state: &mut State<Token>, token: TemporaryToken<Token>, seconds: u64, ends: u64, sample: f64) -> Duration {
    get(state, seconds);
    let id = in_flight(state).id;
    assert!(state.begin(id, at(seconds)));
    let new = NewToken::new(&state.config, token, at(seconds));
    state.complete(id, at(ends), Ok(new), false, sample);
    refresh(state)
}

fn refresh(state: &State<Token>) -> Duration {
    state.entry.as_ref().expect("no token").refresh.monotonic()
}

fn of_one_hour() -> TemporaryToken<Token> {
    TemporaryToken::expires_in("a", HOUR)
}

#[test]
fn a_token_out_of_turn_is_refreshed_at_a_random_point() {
    let fetched = |sample| fetch(&mut empty(Config::default()), of_one_hour(), 0, 0, sample);
    assert_eq!([0.0, 0.5, 1.0].map(fetched), [Duration::ZERO, 3285 * SECOND / 2, 3285 * SECOND]);
    let seeded = |sample| {
        let mut state = empty(Config::default());
        let new = NewToken::new(&state.config, of_one_hour(), at(0));
        state.seed(new, at(0), sample);
        refresh(&state)
    };
    assert_eq!([0.0, 1.0].map(seeded), [Duration::ZERO, 3285 * SECOND]);
    assert_eq!(fetch(&mut empty(config()), of_one_hour(), 0, 0, 0.5), 3300 * SECOND, "without jitter");
}

#[test]
fn a_token_in_turn_is_refreshed_before_its_buffer() {
    let mut state = empty(Config::default());
    fetch(&mut state, of_one_hour(), 0, 0, 1.0);
    assert_eq!(fetch(&mut state, of_one_hour(), 3300, 3300, 1.0), (3300 + 3600 - 330) * SECOND);
}

#[test]
fn a_refresh_time_is_delayed_by_jitter_and_ignored_in_the_past() {
    let with = |refresh_at, sample| {
        fetch(&mut empty(Config::default()), of_one_hour().refresh_at(at(refresh_at).wall), 100, 110, sample)
    };
    assert_eq!(with(2700, 0.0), 2700 * SECOND);
    assert_eq!(with(2700, 1.0), 2800 * SECOND, "a tenth of the 1000 s until the expiry later");
    assert_eq!(with(105, 1.0), (100 + 3285) * SECOND, "as if there was none");
    assert_eq!(with(50, 1.0), (100 + 3285) * SECOND, "as if there was none");
}

#[test]
fn p11_a_repeated_token_is_not_refreshed_earlier_than_by_the_buffer() {
    let mut state = holding();
    get(&mut state, 3301);
    let again = TemporaryToken::expires_in("a", 299 * SECOND).refresh_at(at(3302).wall);
    complete(&mut state, 3301, Ok(again));
    let entry = state.entry.as_ref().expect("no token");
    assert_eq!(entry.refresh.monotonic().as_millis(), 3_450_500, "half of the remaining lifetime");
}

#[test]
fn p21_keep_warm_fetches_when_the_backoff_ends() {
    let mut state = holding_with(Config { keep_warm: Some(2 * HOUR), ..config() });
    get(&mut state, 3301);
    fail(&mut state, 3301);
    let KeepWarm::Sleep(until) = state.keep_warm(at(3301), false) else { panic!("during the backoff") };
    assert!(matches!(state.keep_warm(at(until.as_secs() + 1), false), KeepWarm::Wait));
}

#[test]
fn p21_a_subscriber_counts_as_a_reader() {
    let mut state = holding_with(Config { keep_warm: Some(HOUR), ..config() });
    assert!(!matches!(state.keep_warm(at(3000), true), KeepWarm::Stop));
    assert!(!matches!(state.keep_warm(at(8399), false), KeepWarm::Stop));
    assert!(matches!(state.keep_warm(at(8400), false), KeepWarm::Stop));
}

#[test]
fn p21_keep_warm_never_fetches_without_a_pause() {
    let config = Config {
        expiry_buffer: Box::new(|lifetime| lifetime),
        min_refresh_interval: Duration::ZERO,
        keep_warm: Some(HOUR),
        ..config()
    };
    let mut state = holding_with(config);
    let KeepWarm::Sleep(until) = state.keep_warm(at(0), false) else { panic!("at once") };
    assert_eq!(until, Duration::from_millis(100));
}
