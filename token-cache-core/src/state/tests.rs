//! Decisions that tests of the whole cache do not reach, because readers use the published snapshot: two callers at once, and
//! callers without a runtime.

mod pacing;
mod refresh;
mod rejection;
mod serving;

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
    let may_be_rejected = matches!((state.rejected(), &result), (Some(rejected), Ok(new)) if **rejected == *new.token);
    state.complete(id, at(seconds), result, may_be_rejected, 0.0)
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
