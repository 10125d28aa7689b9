//! Decisions that tests of the whole cache do not reach, because readers use the published snapshot: two callers at once, and
//! callers without a runtime.

use std::time::SystemTime;

use super::*;
use crate::deadline::Deadline;
use crate::error::ErrorKind;
use crate::status::Freshness;
use crate::token::TemporaryToken;

type Token = &'static str;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> TimePoint {
    let since = Duration::from_secs(seconds);
    TimePoint::new(since, SystemTime::UNIX_EPOCH + since)
}

/// The default settings without jitter.
fn config() -> Config {
    Config { jitter: 0.0, ..Config::default() }
}

fn empty(config: Config) -> State<Token> {
    State::new(Arc::new(config), true, at(0))
}

/// Holds a token of one hour, fetched at 0: NearExpiry from 3300 s, TooShort from 3540 s.
fn holding() -> State<Token> {
    holding_with(config())
}

fn holding_with(config: Config) -> State<Token> {
    let mut state = empty(config);
    assert!(matches!(get(&mut state, 0), Decision::Wait { .. }));
    complete(&mut state, 0, Ok(TemporaryToken::expires_in("a", HOUR)));
    state
}

fn get(state: &mut State<Token>, seconds: u64) -> Decision<Token> {
    state.get(at(seconds), Duration::ZERO, true)
}

fn in_flight(state: &State<Token>) -> InFlight {
    state.in_flight().expect("no fetch was started")
}

/// Runs the current fetch from start to end.
fn complete(
    state: &mut State<Token>,
    seconds: u64,
    result: Result<TemporaryToken<Token>, Error>,
) -> FetchOutcome<Token> {
    let id = in_flight(state).id;
    assert!(state.begin(id, at(seconds)));
    end(state, id, seconds, seconds, result)
}

/// Ends a fetch that has started.
fn end(
    state: &mut State<Token>,
    id: FetchId,
    started: u64,
    seconds: u64,
    result: Result<TemporaryToken<Token>, Error>,
) -> FetchOutcome<Token> {
    let result = result.map(|token| NewToken::new(&state.config, token, at(started)));
    let same = match (state.rejected(), &result) {
        (Some(rejected), Ok(new)) if **rejected == *new.token => SameAsRejected::Yes,
        _ => SameAsRejected::No,
    };
    state.complete(id, at(seconds), result, same, 0.0)
}

fn fail(state: &mut State<Token>, seconds: u64) {
    fail_with(state, seconds, Cause::Panicked);
}

fn fail_with(state: &mut State<Token>, seconds: u64, cause: Cause) -> Error {
    let error = Err(state.error(cause));
    let FetchOutcome::Failed(error) = complete(state, seconds, error) else { panic!("it did not fail") };
    error
}

/// Fails the current fetch if it is overdue.
fn overdue(state: &mut State<Token>, seconds: u64) -> Option<Error> {
    let id = in_flight(state).id;
    state.fail_overdue(id, at(seconds), 0.0)
}

fn token(state: &State<Token>) -> Arc<Token> {
    Arc::clone(state.stored().expect("no token"))
}

fn next_attempt(state: &State<Token>, seconds: u64) -> Duration {
    state.next_attempt(at(seconds)).monotonic()
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
fn p12_refresh_without_a_runtime_needs_one_after_a_permanent_error() {
    let mut state = empty(config());
    get(&mut state, 0);
    fail_with(&mut state, 0, Cause::Permanent("".into()));
    let Decision::Fail(error) = state.refresh(at(0), false) else { panic!("it cannot fetch") };
    assert_eq!(error.kind(), ErrorKind::Permanent, "within the interval");
    let Decision::Fail(error) = state.refresh(at(1), false) else { panic!("it cannot fetch") };
    assert_eq!(error.kind(), ErrorKind::NoRuntime, "it would fetch in a runtime");
}

#[test]
fn p14_refresh_within_the_interval_returns_the_last_result() {
    let mut state = holding();
    assert!(matches!(state.refresh(at(0), true), Decision::Serve(_)));
    assert!(state.in_flight().is_none());
    assert!(matches!(state.refresh(at(1), true), Decision::Wait { soft_deadline: None }));
    assert_eq!(in_flight(&state).reason, FetchReason::Requested);
    fail(&mut state, 1);
    assert!(matches!(state.refresh(at(1), true), Decision::Fail(_)), "the last error");
}

#[test]
fn p01_the_first_waiter_sets_the_soft_deadline() {
    let mut state = holding();
    let Decision::Wait { soft_deadline } = get(&mut state, 3550) else { panic!("TooShort") };
    assert_eq!(soft_deadline, Some(Duration::from_secs(3555)), "10 % of the remaining 50 s");
    let Decision::Wait { soft_deadline } = get(&mut state, 3554) else { panic!("before the deadline") };
    assert_eq!(soft_deadline, Some(Duration::from_secs(3555)));
    assert!(matches!(get(&mut state, 3555), Decision::Serve(_)));
}

#[test]
fn p01_a_caller_joining_a_background_refresh_sets_the_soft_deadline() {
    let mut state = holding();
    get(&mut state, 3539);
    assert_eq!(in_flight(&state).soft_deadline, None);
    let Decision::Wait { soft_deadline } = get(&mut state, 3550) else { panic!("TooShort") };
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
    let mut state = empty(config());
    get(&mut state, 0);
    assert_eq!(in_flight(&state).reason, FetchReason::Empty);
}

#[test]
fn the_snapshot_ends_with_the_next_decision() {
    let mut state = holding();
    let until = |state: &State<Token>, seconds| state.serving(at(seconds)).unwrap().serve_until;
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
    let until = |state: &State<Token>, seconds| state.serving(at(seconds)).unwrap().serve_until;
    assert_eq!(until(&state, 3554), Deadline::PAST, "before the soft deadline");
    assert_eq!(until(&state, 3555).monotonic(), Duration::from_secs(3580), "after it, until the timeout of the fetch");
}

#[test]
fn p12_a_fetch_is_overdue_at_its_deadline() {
    let mut state = holding();
    get(&mut state, 3301);
    assert!(overdue(&mut state, 3330).is_none());
    let error = overdue(&mut state, 3331).unwrap();
    assert_eq!((error.kind(), state.failures()), (ErrorKind::NoRuntime, 1), "it has not started");
    assert!(error.retry_after().is_some_and(|wait| wait >= SECOND));
    assert!(state.in_flight().is_none());
}

#[test]
fn p12_the_deadline_of_a_started_fetch_counts_from_its_start() {
    let mut state = holding();
    get(&mut state, 3301);
    assert!(state.begin(in_flight(&state).id, at(3305)));
    assert!(overdue(&mut state, 3334).is_none());
    let error = overdue(&mut state, 3335).unwrap();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(state.last_start, Some(at(3305)));
}

#[test]
fn p07_an_abandoned_fetch_does_not_start() {
    let mut state = holding();
    get(&mut state, 3301);
    let late = in_flight(&state).id;
    assert!(overdue(&mut state, 3331).is_some());
    assert!(!state.begin(late, at(3332)));
    let result = Ok(TemporaryToken::expires_in("b", HOUR));
    let outcome = end(&mut state, late, 3301, 3332, result);
    assert!(matches!(outcome, FetchOutcome::Lost));
    assert_eq!(state.generation(), 1);
}

#[test]
fn p07_an_old_fetch_does_not_abandon_the_current_one() {
    let mut state = holding();
    get(&mut state, 3301);
    let old = in_flight(&state).id;
    overdue(&mut state, 3331);
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
        let stored = token(&state);
        get(&mut state, 3301);
        let id = in_flight(&state).id;
        if starts_first {
            assert!(state.begin(id, at(3301)));
        }
        assert_eq!(state.invalidate(&stored, at(3301)), Some(1));
        if !starts_first {
            assert!(state.begin(id, at(3301)));
        }
        let result = Ok(TemporaryToken::expires_in("a", HOUR));
        let outcome = end(&mut state, id, 3301, 3302, result);
        assert_eq!(matches!(outcome, FetchOutcome::Discarded), starts_first);
        assert_eq!(state.generation(), if starts_first { 1 } else { 2 });
    }
}

#[test]
fn p08_a_rejection_shortens_the_backoff_at_once() {
    let mut state = holding_with(Config { expiry_buffer: Box::new(|_| HOUR / 2), ..config() });
    let stored = token(&state);
    let mut now = 1801;
    for _ in 0..5 {
        get(&mut state, now);
        fail(&mut state, now);
        now = next_attempt(&state, now).as_secs() + 1;
    }
    let failed_at = state.failure.as_ref().unwrap().at.monotonic;
    let before = next_attempt(&state, now);
    assert_eq!(before, failed_at + 16 * SECOND, "the lower half of 32 s");
    state.invalidate(&stored, at(now));
    assert_eq!(next_attempt(&state, now), failed_at + SECOND, "a tenth of 5 s, and the interval");
}

#[test]
fn p08_the_backoff_depends_on_what_can_be_returned_now() {
    let mut state = holding_with(Config { expiry_buffer: Box::new(|_| HOUR / 2), ..config() });
    let mut now = 1801;
    for _ in 0..8 {
        get(&mut state, now);
        fail(&mut state, now);
        now = next_attempt(&state, now).as_secs();
    }
    let failed_at = state.failure.as_ref().unwrap().at.monotonic;
    assert!(next_attempt(&state, now) >= failed_at + 128 * SECOND);
    let expired = TimePoint::new(failed_at, SystemTime::UNIX_EPOCH + 2 * HOUR);
    assert!(state.next_attempt(expired).is_reached(expired), "time asleep counts");
    let expired = TimePoint::new(failed_at, SystemTime::UNIX_EPOCH + HOUR);
    assert!(state.next_attempt(expired).is_reached(expired), "the token has just expired");
}

#[test]
fn p08_without_a_token_the_limit_grows_with_the_outage() {
    let mut state = empty(config());
    let mut now = 0;
    let mut longest = 0;
    while now < 3600 {
        get(&mut state, now);
        let id = in_flight(&state).id;
        assert!(state.begin(id, at(now)));
        let error = Err(state.error(Cause::Panicked));
        assert!(matches!(state.complete(id, at(now), error, SameAsRejected::No, 1.0), FetchOutcome::Failed(_)));
        let wait = next_attempt(&state, now).as_secs() - now;
        let wait = wait.max(1);
        assert!(wait <= (now / 10).max(5), "after {now} s: {wait} s");
        longest = longest.max(wait);
        now += wait + 1;
    }
    assert_eq!(longest, 60);
}

#[test]
fn p13_a_permanent_error_backs_off_without_a_token() {
    let mut state = empty(config());
    let mut now = 0;
    for _ in 0..20 {
        get(&mut state, now);
        let error = fail_with(&mut state, now, Cause::Permanent("".into()));
        assert_eq!(error.kind(), ErrorKind::Permanent);
        now = next_attempt(&state, now).as_secs().max(now + 1);
    }
    assert_eq!(next_attempt(&state, now) - state.failure.as_ref().unwrap().at.monotonic, 150 * SECOND);
    let at_once = state.failure.as_ref().unwrap().at.monotonic.as_secs() + 1;
    assert!(matches!(get(&mut state, at_once), Decision::Fail(_)));
    assert!(matches!(state.refresh(at(at_once), true), Decision::Wait { .. }), "the cause may be fixed");
}

#[test]
fn p13_a_stated_time_is_not_shortened() {
    let mut state = holding();
    let stored = token(&state);
    get(&mut state, 3301);
    let error = state.error(Cause::Panicked).with_retry_after(600 * SECOND);
    complete(&mut state, 3301, Err(error));
    assert_eq!(next_attempt(&state, 3301), Duration::from_secs(3901));
    state.invalidate(&stored, at(3301));
    assert_eq!(next_attempt(&state, 3601), Duration::from_secs(3901));
    let Decision::Fail(error) = get(&mut state, 3801) else { panic!("the issuer is to be left alone") };
    assert_eq!(error.retry_after(), Some(100 * SECOND));
    assert!(matches!(state.refresh(at(3801), true), Decision::Wait { .. }));
}

#[test]
fn p20_serving_expired_is_reported_once() {
    let mut state = holding_with(Config { stale_if_error: HOUR, ..config() });
    assert_eq!(state.take_stale_event(at(3601)), None, "the source is not known to be down");
    get(&mut state, 3601);
    fail(&mut state, 3601);
    assert_eq!(state.status(at(3601)).freshness, Freshness::Expired);
    assert_eq!(state.take_stale_event(at(3601)), Some(1));
    assert_eq!(state.take_stale_event(at(3601)), None);
    assert_eq!(state.serving(at(3601)).unwrap().serve_until.monotonic(), next_attempt(&state, 3601));
    assert!(matches!(state.get(at(3601), Duration::ZERO, true), Decision::Serve(_)));
    assert!(state.fallback(at(3601), SECOND).is_none(), "an expired token does not last");
    assert!(state.fallback(at(3601 + 329), Duration::ZERO).is_some());
    assert!(state.fallback(at(3601 + 330), Duration::ZERO).is_none(), "not known to be down any more");
}

#[test]
fn p20_an_expired_token_is_not_served_for_longer() {
    let mut state = holding_with(Config { stale_if_error: 60 * SECOND, ..config() });
    get(&mut state, 3601);
    fail(&mut state, 3601);
    assert!(state.fallback(at(3659), Duration::ZERO).is_some());
    assert!(state.fallback(at(3660), Duration::ZERO).is_none());
}

#[test]
fn p20_a_permanent_error_is_not_hidden() {
    let mut state = holding_with(Config { stale_if_error: HOUR, ..config() });
    get(&mut state, 3601);
    fail_with(&mut state, 3601, Cause::Permanent("".into()));
    assert!(matches!(get(&mut state, 3601), Decision::Fail(_)));
}

#[test]
fn p20_while_the_source_is_down_fetches_run_in_the_background() {
    let mut state = holding_with(Config { stale_if_error: HOUR, ..config() });
    get(&mut state, 3601);
    fail(&mut state, 3601);
    assert!(matches!(get(&mut state, 3610), Decision::Serve(_)));
    assert_eq!(in_flight(&state).reason, FetchReason::Expired);
    assert!(matches!(get(&mut state, 3611), Decision::Serve(_)), "also while that fetch hangs");
    for _ in 0..9 {
        let now = state.next_attempt(at(3611)).monotonic().as_secs().max(3611);
        get(&mut state, now);
        fail(&mut state, now);
    }
    let failed_at = state.failure.as_ref().unwrap().at.monotonic;
    assert_eq!(next_attempt(&state, failed_at.as_secs()), failed_at + 150 * SECOND, "the long backoff");
}

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
fn p05_a_source_of_short_tokens_is_not_asked_again() {
    let mut state = holding();
    let decide = |state: &mut State<Token>, seconds, min_remaining| state.get(at(seconds), min_remaining, true);
    for seconds in [0, 1, 3299] {
        let Decision::Fail(error) = decide(&mut state, seconds, 2 * HOUR) else { panic!("{seconds}") };
        assert_eq!(error.kind(), ErrorKind::TooShort);
    }
    assert!(matches!(decide(&mut state, 3300, 2 * HOUR), Decision::Wait { .. }), "the next refresh is due");

    let mut state = holding_with(Config { min_refresh_interval: HOUR, ..config() });
    let decision = decide(&mut state, 60, HOUR);
    assert!(matches!(decision, Decision::Wait { .. }), "the token was valid long enough when it was stored");
    assert_eq!(in_flight(&state).not_before.monotonic(), HOUR);
}

#[test]
fn p05_a_shorter_answer_replaces_nothing() {
    let mut state = holding();
    let decide = |state: &mut State<Token>, seconds| state.get(at(seconds), HOUR, true);
    assert!(matches!(decide(&mut state, 10), Decision::Wait { .. }));
    let outcome = complete(&mut state, 10, Ok(TemporaryToken::expires_in("b", HOUR / 2)));
    assert!(matches!(outcome, FetchOutcome::Succeeded { token, .. } if *token == "a"));
    assert_eq!((*token(&state), state.generation()), ("a", 1));
    assert!(matches!(decide(&mut state, 20), Decision::Fail(_)), "not asked again");

    let mut state = holding();
    decide(&mut state, 10);
    complete(&mut state, 10, Ok(TemporaryToken::expires_in("b", HOUR)));
    assert_eq!((*token(&state), state.generation()), ("b", 2), "it lives longer");

    let mut state = holding();
    get(&mut state, 3301);
    complete(&mut state, 3301, Ok(TemporaryToken::expires_in("b", SECOND)));
    assert_eq!(*token(&state), "b", "a refresh that was due");
}

#[test]
fn p05_what_a_caller_needs_is_part_of_the_soft_deadline() {
    let mut state = holding();
    let Decision::Wait { soft_deadline } = state.get(at(3550), 40 * SECOND, true) else { panic!("TooShort") };
    assert_eq!(soft_deadline, Some(Duration::from_secs(3551)), "10 % of the 10 s for which it can be returned");
    let mut state = holding();
    assert!(matches!(state.get(at(3550), 50 * SECOND, true), Decision::Serve(_)));
    assert!(state.in_flight().is_some());
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
    let stored = token(&state);
    state.invalidate(&stored, at(10));
    assert!(state.serving(at(10)).is_none());
    get(&mut state, 10);
    assert_eq!(in_flight(&state).reason, FetchReason::Invalidated);
    complete(&mut state, 10, Ok(TemporaryToken::expires_in("b", HOUR)));
    assert_eq!(state.invalidate(&stored, at(20)), None, "it is not stored any more");
    let newer = token(&state);
    assert_eq!(state.invalidate(&newer, at(20)), Some(2));
}

#[test]
fn p16_a_rejected_token_is_kept_only_to_be_compared() {
    for comparable in [true, false] {
        let mut state = State::new(Arc::new(config()), comparable, at(0));
        get(&mut state, 0);
        complete(&mut state, 0, Ok(TemporaryToken::never_expires("a")));
        let stored = token(&state);
        state.invalidate(&stored, at(0));
        drop(state.take_displaced());
        assert_eq!(Arc::strong_count(&stored), if comparable { 2 } else { 1 });
    }
}

#[test]
fn p16_an_issuer_that_insists_is_believed() {
    let mut state = holding();
    let rejected = token(&state);
    assert!(matches!(state.reject(&rejected, at(10)), Ok(Some(1))));
    assert!(matches!(state.replace(at(10), true), Decision::Wait { soft_deadline: None }));
    let Decision::Serve(served) = get(&mut state, 10) else { panic!("others still get it") };
    assert!(Arc::ptr_eq(&served, &rejected));
    let outcome = complete(&mut state, 10, Ok(TemporaryToken::expires_in("a", HOUR)));
    assert!(matches!(outcome, FetchOutcome::Succeeded { .. }));
    assert!(matches!(get(&mut state, 11), Decision::Serve(_)));
    let again = token(&state);
    assert!(state.reject(&again, at(11)).is_err(), "within the interval of rejections");
    assert!(matches!(state.reject(&again, at(12)), Ok(Some(2))));
}

#[test]
fn p15_rejections_are_accepted_at_growing_intervals() {
    let mut state = holding();
    let mut accepted = Vec::new();
    for seconds in 0..1300 {
        let stored = token(&state);
        if matches!(state.reject(&stored, at(seconds)), Ok(Some(_))) {
            accepted.push(seconds);
            state.replace(at(seconds), true);
            complete(&mut state, seconds, Ok(TemporaryToken::expires_in("another", HOUR)));
        }
    }
    let intervals: Vec<_> = accepted.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(intervals, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    let stored = token(&state);
    let last = accepted[accepted.len() - 1];
    let mut later = state;
    assert!(matches!(later.reject(&stored, at(last + 601)), Ok(Some(_))), "that token has lived");
    later.replace(at(last + 601), true);
    complete(&mut later, last + 601, Ok(TemporaryToken::expires_in("another", HOUR)));
    let stored = token(&later);
    assert!(matches!(later.reject(&stored, at(last + 603)), Ok(Some(_))), "the intervals start again");
}

#[test]
fn p15_a_failed_replacement_is_paced_as_near_expiry() {
    let mut state = holding();
    let stored = token(&state);
    assert!(matches!(state.reject(&stored, at(10)), Ok(Some(1))));
    state.replace(at(10), true);
    fail(&mut state, 10);
    assert!(matches!(get(&mut state, 10), Decision::Serve(_)));
    assert!(matches!(state.reject(&stored, at(10)), Ok(None)), "rejected already");
    assert!(matches!(state.replace(at(10), true), Decision::Fail(_)), "the last error");
    let later = next_attempt(&state, 10).as_secs();
    assert!(matches!(get(&mut state, later), Decision::Serve(_)));
    assert_eq!(in_flight(&state).reason, FetchReason::Invalidated);
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

/// When a token of one hour is refreshed that was fetched at 0.
fn refresh_at(config: Config, make: impl FnOnce(&mut State<Token>), sample: f64) -> Duration {
    let mut state = empty(config);
    make(&mut state);
    let entry = state.entry.as_ref().expect("no token");
    assert!((0.0..=1.0).contains(&sample));
    entry.refresh.monotonic()
}

#[test]
fn a_token_out_of_turn_is_refreshed_at_a_random_point() {
    let fetched = |sample: f64| {
        refresh_at(
            Config::default(),
            |state| {
                get(state, 0);
                let id = in_flight(state).id;
                state.begin(id, at(0));
                let new = NewToken::new(&state.config, TemporaryToken::expires_in("a", HOUR), at(0));
                state.complete(id, at(0), Ok(new), SameAsRejected::No, sample);
            },
            sample,
        )
    };
    assert_eq!([0.0, 0.5, 1.0].map(fetched), [Duration::ZERO, 3285 * SECOND / 2, 3285 * SECOND]);
    let seeded = |sample: f64| {
        let seed = |state: &mut State<_>| {
            let new = NewToken::new(&state.config, TemporaryToken::expires_in("a", HOUR), at(0));
            state.seed(new, at(0), sample);
        };
        refresh_at(Config::default(), seed, sample)
    };
    assert_eq!([0.0, 1.0].map(seeded), [Duration::ZERO, 3285 * SECOND]);
    assert_eq!(refresh_at(config(), |state| drop(holding_at(state, 0.5)), 0.5), 3300 * SECOND, "without jitter");
}

fn holding_at(state: &mut State<Token>, sample: f64) -> FetchOutcome<Token> {
    get(state, 0);
    let id = in_flight(state).id;
    state.begin(id, at(0));
    let new = NewToken::new(&state.config, TemporaryToken::expires_in("a", HOUR), at(0));
    state.complete(id, at(0), Ok(new), SameAsRejected::No, sample)
}

#[test]
fn a_token_in_turn_is_refreshed_before_its_buffer() {
    let mut state = empty(Config::default());
    holding_at(&mut state, 1.0);
    get(&mut state, 3300);
    assert_eq!(in_flight(&state).reason, FetchReason::NearExpiry);
    let id = in_flight(&state).id;
    state.begin(id, at(3300));
    let new = NewToken::new(&state.config, TemporaryToken::expires_in("b", HOUR), at(3300));
    state.complete(id, at(3300), Ok(new), SameAsRejected::No, 1.0);
    let entry = state.entry.as_ref().expect("no token");
    assert_eq!(entry.refresh.monotonic(), (3300 + 3600 - 330) * SECOND);
}

#[test]
fn a_refresh_time_is_delayed_by_jitter_and_ignored_in_the_past() {
    let with = |refresh_at_seconds: u64, sample: f64| {
        refresh_at(
            Config::default(),
            |state| {
                get(state, 100);
                let id = in_flight(state).id;
                state.begin(id, at(100));
                let refresh_at = at(refresh_at_seconds).wall;
                let token = TemporaryToken::expires_in("a", HOUR).refresh_at(refresh_at);
                let new = NewToken::new(&state.config, token, at(100));
                state.complete(id, at(110), Ok(new), SameAsRejected::No, sample);
            },
            sample,
        )
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
