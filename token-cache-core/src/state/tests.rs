//! Decisions that tests of the whole cache do not reach, because readers use the published snapshot: two callers at once, and
//! callers without a runtime.

use std::time::SystemTime;

use super::*;
use crate::deadline::Deadline;
use crate::error::ErrorKind;
use crate::status::Freshness;
use crate::token::TemporaryToken;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> TimePoint {
    let since = Duration::from_secs(seconds);
    TimePoint::new(since, SystemTime::UNIX_EPOCH + since)
}

fn empty(config: Config) -> State<&'static str> {
    State::new(Arc::new(config), None, None, at(0))
}

/// Holds a token of one hour, fetched at 0: NearExpiry from 3300 s, TooShort from 3540 s.
fn holding() -> State<&'static str> {
    holding_with(Config::default())
}

fn holding_with(config: Config) -> State<&'static str> {
    let mut state = empty(config);
    assert!(matches!(get(&mut state, 0), Decision::Wait { .. }));
    complete(&mut state, 0, Ok(TemporaryToken::expires_in("a", HOUR)));
    state
}

fn get(state: &mut State<&'static str>, seconds: u64) -> Decision<&'static str> {
    state.get(at(seconds), Duration::ZERO, true)
}

fn in_flight(state: &State<&'static str>) -> InFlight {
    state.in_flight().expect("no fetch was started")
}

/// Runs the current fetch from start to end.
fn complete(
    state: &mut State<&'static str>,
    seconds: u64,
    result: Result<TemporaryToken<&'static str>, Error>,
) -> FetchOutcome {
    let id = in_flight(state).id;
    assert!(state.begin(id, at(seconds)));
    state.complete(id, at(seconds), at(seconds), result, 0.0)
}

fn fail(state: &mut State<&'static str>, seconds: u64) {
    assert!(matches!(complete(state, seconds, Err(Cause::Panicked.into())), FetchOutcome::Failed(_)));
}

#[test]
fn p07_a_second_caller_starts_no_fetch() {
    let mut state = holding();
    assert!(matches!(get(&mut state, 3301), Decision::Serve(_)));
    let first = in_flight(&state);
    assert!(matches!(get(&mut state, 3301), Decision::Serve(_)));
    assert_eq!(in_flight(&state).id, first.id, "while the refresh runs");

    fail(&mut state, 3301);
    assert!(matches!(get(&mut state, 3301), Decision::Serve(_)));
    assert!(state.in_flight().is_none(), "during the backoff");
}

#[test]
fn p07_fetches_have_increasing_numbers() {
    let mut state = holding();
    let FetchId(first) = state.last_fetch;
    get(&mut state, 3301);
    assert_eq!((in_flight(&state).id, state.last_fetch), (FetchId(first + 1), FetchId(first + 1)));
}

#[test]
fn p12_nothing_starts_without_a_runtime() {
    let mut state = holding();
    for seconds in [10, 3301, 3541] {
        let decision = state.get(at(seconds), Duration::ZERO, false);
        assert!(matches!(decision, Decision::Serve(_)), "{seconds} s");
        assert!(state.in_flight().is_none());
    }
    get(&mut state, 3541);
    let decision = state.get(at(3541), Duration::ZERO, false);
    assert!(matches!(decision, Decision::Serve(_)), "there is no timer to wait with");
}

#[test]
fn p12_refresh_without_a_runtime_fails_when_due() {
    let mut state = holding();
    assert!(matches!(state.refresh(at(0), false), Decision::Serve(_)), "the last result");
    let Decision::Fail(error) = state.refresh(at(2), false) else { panic!("it cannot fetch") };
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
}

#[test]
fn p14_refresh_within_the_interval_returns_the_last_result() {
    let mut state = holding();
    assert!(matches!(state.refresh(at(0), true), Decision::Serve(_)));
    assert!(state.in_flight().is_none());
    assert!(matches!(state.refresh(at(1), true), Decision::Wait { soft_deadline: None, .. }));
    assert_eq!(in_flight(&state).reason, FetchReason::Requested);
    fail(&mut state, 1);
    assert!(matches!(state.refresh(at(1), true), Decision::Fail(_)), "the last error");
}

#[test]
fn p01_the_first_waiter_sets_the_soft_deadline() {
    let mut state = holding();
    let Decision::Wait { soft_deadline, hard_deadline } = get(&mut state, 3550) else { panic!("TooShort") };
    assert_eq!(soft_deadline, Some(Duration::from_secs(3555)), "10 % of the remaining 50 s");
    assert_eq!(hard_deadline, Duration::from_secs(3580));
    let Decision::Wait { soft_deadline, .. } = get(&mut state, 3554) else { panic!("before the deadline") };
    assert_eq!(soft_deadline, Some(Duration::from_secs(3555)));
    assert!(matches!(get(&mut state, 3555), Decision::Serve(_)));
}

#[test]
fn p01_a_caller_joining_a_background_refresh_sets_the_soft_deadline() {
    let mut state = holding();
    get(&mut state, 3539);
    assert_eq!(in_flight(&state).soft_deadline, None);
    let Decision::Wait { soft_deadline, .. } = get(&mut state, 3550) else { panic!("TooShort") };
    assert_eq!(soft_deadline, Some(Duration::from_secs(3555)));
}

#[test]
fn a_fetch_has_the_reason_of_its_freshness() {
    let reason = |seconds, min_remaining| {
        let mut state = holding();
        state.get(at(seconds), min_remaining, true);
        in_flight(&state).reason
    };
    assert_eq!(reason(1800, HOUR), FetchReason::TooShort, "for a caller who needs more");
    assert_eq!(reason(3301, HOUR), FetchReason::TooShort, "for a caller who needs more");
    assert_eq!(reason(3301, Duration::ZERO), FetchReason::NearExpiry);
    assert_eq!(reason(3541, Duration::ZERO), FetchReason::TooShort);
    assert_eq!(reason(3600, Duration::ZERO), FetchReason::Expired);
    assert_eq!(reason(3600, HOUR), FetchReason::Expired);
    let mut state = empty(Config::default());
    get(&mut state, 0);
    assert_eq!(in_flight(&state).reason, FetchReason::Empty);
}

#[test]
fn the_snapshot_ends_with_the_next_decision() {
    let mut state = holding();
    let until = |state: &State<&'static str>, seconds| state.serving(at(seconds)).unwrap().1;
    assert_eq!(until(&state, 10), Deadline::after(at(0), Duration::from_secs(3300)), "the start of NearExpiry");
    get(&mut state, 3301);
    assert_eq!(until(&state, 3301).monotonic(), Duration::from_secs(3331), "the timeout of the fetch");
    fail(&mut state, 3301);
    assert_eq!(until(&state, 3301).monotonic(), Duration::from_secs(3302), "the next attempt");
    assert_eq!(until(&state, 3541).monotonic(), Duration::from_secs(3302), "in the past: each caller decides");
}

#[test]
fn the_snapshot_serves_nobody_while_callers_wait() {
    let mut state = holding();
    get(&mut state, 3550);
    let until = |state: &State<&'static str>, seconds| state.serving(at(seconds)).unwrap().1;
    assert_eq!(until(&state, 3554), Deadline::PAST, "before the soft deadline");
    assert_eq!(until(&state, 3555).monotonic(), Duration::from_secs(3580), "after it, until the timeout of the fetch");
}

#[test]
fn p12_a_fetch_is_overdue_at_its_deadline() {
    let mut state = holding();
    get(&mut state, 3301);
    assert!(state.fail_overdue(at(3330), || 0.0).is_none());
    let error = state.fail_overdue(at(3331), || 0.0).unwrap();
    assert_eq!((error.kind(), state.failures()), (ErrorKind::TimedOut, 1));
    assert!(error.retry_after().is_some_and(|wait| wait >= SECOND));
    assert!(state.in_flight().is_none());
}

#[test]
fn p12_the_deadline_of_a_started_fetch_counts_from_its_start() {
    let mut state = holding();
    get(&mut state, 3301);
    assert!(state.begin(in_flight(&state).id, at(3305)));
    assert!(state.fail_overdue(at(3334), || 0.0).is_none());
    assert!(state.fail_overdue(at(3335), || 0.0).is_some());
    assert_eq!(state.last_start, Some(Duration::from_secs(3305)));
}

#[test]
fn p07_an_abandoned_fetch_does_not_start() {
    let mut state = holding();
    get(&mut state, 3301);
    let late = in_flight(&state).id;
    assert!(state.fail_overdue(at(3331), || 0.0).is_some());
    assert!(!state.begin(late, at(3332)));
    let result = Ok(TemporaryToken::expires_in("b", HOUR));
    let outcome = state.complete(late, at(3301), at(3332), result, 0.0);
    assert!(matches!(outcome, FetchOutcome::Lost));
    assert_eq!(state.generation(), 1);
}

#[test]
fn p07_an_old_fetch_does_not_abandon_the_current_one() {
    let mut state = holding();
    get(&mut state, 3301);
    let old = in_flight(&state).id;
    state.fail_overdue(at(3331), || 0.0);
    get(&mut state, 3400);
    state.abandon(old);
    let current = in_flight(&state).id;
    state.abandon(current);
    assert!(state.in_flight().is_none());
}

#[test]
fn p08_an_abandoned_fetch_is_paced_from_its_start() {
    let mut state = holding();
    get(&mut state, 3301);
    let id = in_flight(&state).id;
    assert!(state.begin(id, at(3301)));
    state.abandon(id);
    assert_eq!(state.status(at(3301)).next_attempt, SECOND);
}

#[test]
fn p16_only_a_started_fetch_is_discarded() {
    for starts_first in [true, false] {
        let mut state = holding();
        let Some((token, ..)) = state.serving(at(3301)) else { panic!("no token") };
        get(&mut state, 3301);
        let id = in_flight(&state).id;
        if starts_first {
            assert!(state.begin(id, at(3301)));
        }
        assert_eq!(state.invalidate(&token), Some(1));
        if !starts_first {
            assert!(state.begin(id, at(3301)));
        }
        let result = Ok(TemporaryToken::expires_in("b", HOUR));
        let outcome = state.complete(id, at(3301), at(3302), result, 0.0);
        assert_eq!(matches!(outcome, FetchOutcome::Discarded), starts_first);
        assert_eq!(state.generation(), if starts_first { 1 } else { 2 });
    }
}

#[test]
fn p08_an_invalidation_never_postpones_the_next_attempt() {
    let mut state = holding();
    let Some((token, ..)) = state.serving(at(3301)) else { panic!("no token") };
    get(&mut state, 3301);
    fail(&mut state, 3301);
    let before = state.next_attempt();
    state.invalidate(&token);
    assert!(state.next_attempt() <= before);
}

#[test]
fn p08_an_invalidation_shortens_a_long_backoff() {
    let mut state = holding_with(Config { expiry_buffer: Box::new(|_| HOUR / 2), ..Config::default() });
    let Some((token, ..)) = state.serving(at(1801)) else { panic!("no token") };
    let mut now = 1801;
    for _ in 0..8 {
        get(&mut state, now);
        fail(&mut state, now);
        now = state.next_attempt().as_secs() + 1;
    }
    let failed_at = state.failure.as_ref().unwrap().at;
    assert!(state.next_attempt() > failed_at + 60 * SECOND);
    state.invalidate(&token);
    assert!(state.next_attempt() <= failed_at + 5 * SECOND);
}

#[test]
fn p20_serving_expired_is_reported_once() {
    let mut state = holding_with(Config { stale_if_error: HOUR, ..Config::default() });
    assert_eq!(state.take_stale_event(at(3601)), None, "the source is not known to be down");
    get(&mut state, 3601);
    fail(&mut state, 3601);
    assert_eq!(state.status(at(3601)).freshness, Freshness::Expired);
    assert_eq!(state.take_stale_event(at(3601)), Some(1));
    assert_eq!(state.take_stale_event(at(3601)), None);
    assert_eq!(state.serving(at(3601)).unwrap().1.monotonic(), state.next_attempt(), "until the next attempt");
    assert!(matches!(state.get(at(3601), Duration::ZERO, true), Decision::Serve(_)));
    assert!(state.fallback(at(7199), Duration::ZERO).is_some());
    assert!(state.fallback(at(7199), SECOND).is_none(), "an expired token does not last");
    assert!(state.fallback(at(7200), Duration::ZERO).is_none());
}

#[test]
fn p21_keep_warm_sleeps_fetches_and_stops() {
    let mut state = holding_with(Config { keep_warm: Some(2 * HOUR), ..Config::default() });
    let until = |keep_warm| match keep_warm {
        KeepWarm::Sleep(until) => until.as_secs(),
        _ => panic!("it does not sleep"),
    };
    assert_eq!(until(state.keep_warm(at(10))), 70, "at most 60 s");
    assert_eq!(until(state.keep_warm(at(3290))), 3300, "until NearExpiry");
    assert!(matches!(state.keep_warm(at(3301)), KeepWarm::Wait));
    assert_eq!(in_flight(&state).reason, FetchReason::NearExpiry);
    assert!(matches!(state.keep_warm(at(3302)), KeepWarm::Wait), "for the same fetch");
    fail(&mut state, 3302);
    assert_eq!(until(state.keep_warm(at(3302))), 3303, "until the backoff ends");
    assert!(matches!(state.keep_warm(at(7199)), KeepWarm::Wait));
    assert!(matches!(state.keep_warm(at(7200)), KeepWarm::Stop), "two hours after the last access");
}

#[test]
fn p21_readers_decide_within_half_of_the_idle_time() {
    let state = holding_with(Config { keep_warm: Some(HOUR), ..Config::default() });
    assert_eq!(state.serving(at(10)).unwrap().1.monotonic(), Duration::from_secs(1800));
}

#[test]
fn p05_a_source_of_short_tokens_is_not_asked_again_at_once() {
    let mut state = holding();
    let decide = |state: &mut State<&'static str>, seconds, min_remaining| state.get(at(seconds), min_remaining, true);
    let Decision::Fail(error) = decide(&mut state, 0, 2 * HOUR) else { panic!("within the interval") };
    assert_eq!(error.kind(), ErrorKind::TooShort);
    assert!(matches!(decide(&mut state, 1, 2 * HOUR), Decision::Wait { .. }), "at the end of the interval");
    assert_eq!(in_flight(&state).not_before, SECOND);

    let mut state = holding_with(Config { min_refresh_interval: HOUR, ..Config::default() });
    let decision = decide(&mut state, 60, HOUR);
    assert!(matches!(decision, Decision::Wait { .. }), "the token was valid long enough when it was stored");
    assert_eq!(in_flight(&state).not_before, HOUR);
}

#[test]
fn p05_the_fallback_names_what_is_missing() {
    let state = holding();
    assert!(matches!(state.fallback(at(1800), HOUR / 2), Some(Ok(_))));
    let Some(Err(error)) = state.fallback(at(1801), HOUR / 2) else { panic!("not valid long enough") };
    assert_eq!(error.kind(), ErrorKind::TooShort);
    assert!(state.fallback(at(3600), Duration::ZERO).is_none(), "expired");
}

#[test]
fn p15_a_fetch_after_an_invalidation_has_its_reason() {
    let mut state = holding();
    let Some((token, ..)) = state.serving(at(10)) else { panic!("no token") };
    state.invalidate(&token);
    assert!(state.serving(at(10)).is_none());
    get(&mut state, 10);
    assert_eq!(in_flight(&state).reason, FetchReason::Invalidated);
    complete(&mut state, 10, Ok(TemporaryToken::expires_in("b", HOUR)));
    let Some((newer, ..)) = state.serving(at(10)) else { panic!("no token") };
    assert_eq!(state.invalidate(&token), None, "it is not stored any more");
    assert_eq!(state.invalidate(&newer), Some(2));
}

#[test]
fn p16_a_rejected_token_is_kept_only_to_be_compared() {
    for eq in [None, Some(Box::new(|a: &&str, b: &&str| a == b) as TokenEq<&'static str>)] {
        let compares = eq.is_some();
        let mut state = State::new(Arc::new(Config::default()), eq, None, at(0));
        get(&mut state, 0);
        complete(&mut state, 0, Ok(TemporaryToken::never_expires("a")));
        let Some((token, ..)) = state.serving(at(0)) else { panic!("no token") };
        state.invalidate(&token);
        assert_eq!(Arc::strong_count(&token), if compares { 2 } else { 1 });
        get(&mut state, 10);
        let outcome = complete(&mut state, 10, Ok(TemporaryToken::never_expires("a")));
        assert_eq!(matches!(outcome, FetchOutcome::Failed(_)), compares);
    }
}

#[test]
fn p21_keep_warm_fetches_when_the_backoff_ends() {
    let mut state = holding_with(Config { keep_warm: Some(2 * HOUR), ..Config::default() });
    get(&mut state, 3301);
    fail(&mut state, 3301);
    let KeepWarm::Sleep(until) = state.keep_warm(at(3301)) else { panic!("during the backoff") };
    assert!(matches!(state.keep_warm(at(until.as_secs())), KeepWarm::Wait));
}
