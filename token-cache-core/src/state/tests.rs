//! The decision where tests of the whole do not reach it, because readers help themselves to what is published: two callers
//! at once, and callers without a runtime.

use std::time::SystemTime;

use super::*;
use crate::error::ErrorKind;
use crate::flight::Landing;
use crate::token::TemporaryToken;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> TimePoint {
    let since = Duration::from_secs(seconds);
    TimePoint::new(since, SystemTime::UNIX_EPOCH + since)
}

/// A token of an hour, fetched at 0: near expiry from 3300 s, too short from 3540 s.
fn holding() -> (State<&'static str>, Policy) {
    let policy = Policy::default();
    let mut state = State::new(None, at(0));
    let Checkout::Fetch(departure, _) = state.checkout(&policy, at(0), Duration::ZERO, true) else {
        panic!("an empty cache fetches");
    };
    assert!(state.begin(&departure.flight, at(0)));
    let token = Ok(TemporaryToken::expires_in("a", HOUR));
    let answer = Answer { began: at(0), token, draw: 0.0 };
    assert!(matches!(state.settle(&policy, None, &departure.flight, at(0), answer), Landing::Succeeded));
    (state, policy)
}

fn fail(state: &mut State<&'static str>, policy: &Policy, departure: &Departure, now: TimePoint) {
    assert!(state.begin(&departure.flight, now));
    let answer = Answer { began: now, token: Err(Error::panicked()), draw: 0.0 };
    assert!(matches!(state.settle(policy, None, &departure.flight, now, answer), Landing::Failed(_)));
}

#[test]
fn p07_the_second_of_two_who_are_past_the_published_word_starts_nothing() {
    let (mut state, policy) = holding();
    let Checkout::ReadyAndRefresh(_, departure) = state.checkout(&policy, at(3301), Duration::ZERO, true) else {
        panic!("near expiry");
    };
    let second = state.checkout(&policy, at(3301), Duration::ZERO, true);
    assert!(matches!(second, Checkout::Ready(_)), "while the refresh is under way");

    fail(&mut state, &policy, &departure, at(3301));
    let third = state.checkout(&policy, at(3301), Duration::ZERO, true);
    assert!(matches!(third, Checkout::Ready(_)), "during the backoff");
}

#[test]
fn p12_without_a_runtime_nothing_departs_and_nobody_with_a_token_waits() {
    let (mut state, policy) = holding();
    for seconds in [10, 3301, 3541] {
        let checkout = state.checkout(&policy, at(seconds), Duration::ZERO, false);
        assert!(matches!(checkout, Checkout::Ready(_)), "{seconds} s");
        assert!(state.flight().is_none());
    }
    let _under_way = state.checkout(&policy, at(3541), Duration::ZERO, true);
    let checkout = state.checkout(&policy, at(3541), Duration::ZERO, false);
    assert!(matches!(checkout, Checkout::Ready(_)), "there is no timer to wait by");
}

#[test]
fn p12_without_a_runtime_refresh_says_so_once_a_fetch_is_due_and_repeats_the_last_result_before() {
    let (mut state, policy) = holding();
    assert!(matches!(state.refresh(&policy, at(0), false), Checkout::Ready(_)));
    let Checkout::Refused(error) = state.refresh(&policy, at(2), false) else { panic!("it cannot fetch") };
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
}

#[test]
fn the_patience_with_a_flight_ends_on_the_instant() {
    let (mut state, policy) = holding();
    let Checkout::Fetch(_, waiting) = state.checkout(&policy, at(3550), Duration::ZERO, true) else {
        panic!("too short");
    };
    assert_eq!(waiting.patience, Some(Duration::from_secs(3555)), "a tenth of the 50 s that are left");
    assert!(matches!(state.checkout(&policy, at(3554), Duration::ZERO, true), Checkout::Wait(_)));
    assert!(matches!(state.checkout(&policy, at(3555), Duration::ZERO, true), Checkout::Ready(_)));
}

#[test]
fn a_fetch_for_one_who_needs_it_longer_is_told_from_one_for_an_expired_token() {
    let reason = |seconds, want| {
        let (mut state, policy) = holding();
        match state.checkout(&policy, at(seconds), want, true) {
            Checkout::Fetch(departure, _) => departure.reason,
            _ => panic!("nothing to fetch at {seconds} s"),
        }
    };
    assert_eq!(reason(1800, HOUR), FetchReason::TooShort);
    assert_eq!(reason(3600, Duration::ZERO), FetchReason::Expired);
    assert_eq!(reason(3600, HOUR), FetchReason::Expired);
}

#[test]
fn what_is_published_ends_with_the_next_decision() {
    let (mut state, policy) = holding();
    let until = |state: &State<&'static str>, seconds| state.serving(&policy, at(seconds)).unwrap().until;
    assert_eq!(until(&state, 10), Deadline::after(at(0), Duration::from_secs(3300)), "the start of NearExpiry");
    let Checkout::ReadyAndRefresh(_, departure) = state.checkout(&policy, at(3301), Duration::ZERO, true) else {
        panic!("near expiry");
    };
    assert_eq!(until(&state, 3301).on_monotonic(), Duration::from_secs(3331), "when the flight is overdue");
    fail(&mut state, &policy, &departure, at(3301));
    assert_eq!(until(&state, 3301).on_monotonic(), Duration::from_secs(3302), "the next attempt");
    assert_eq!(until(&state, 3541).on_monotonic(), Duration::from_secs(3302), "long past: whoever comes, decides");
}

#[test]
fn p12_a_flight_is_overdue_at_its_time_and_not_before() {
    let (mut state, policy) = holding();
    let _departure = state.checkout(&policy, at(3301), Duration::ZERO, true);
    assert!(state.overdue(&policy, at(3330)).is_none());
    assert!(state.overdue(&policy, at(3331)).is_some());
    let (_, error) = state.fail_overdue(&policy, at(3331), 0.0).unwrap();
    assert_eq!((error.kind(), state.failures()), (ErrorKind::TimedOut, 1));
    assert!(error.retry_after().is_some_and(|wait| wait >= SECOND));
}

#[test]
fn p07_a_flight_that_was_given_up_before_its_start_does_not_fetch() {
    let (mut state, policy) = holding();
    let Checkout::ReadyAndRefresh(_, late) = state.checkout(&policy, at(3301), Duration::ZERO, true) else {
        panic!("near expiry");
    };
    assert!(state.fail_overdue(&policy, at(3331), 0.0).is_some());
    assert!(!state.begin(&late.flight, at(3332)));
}
