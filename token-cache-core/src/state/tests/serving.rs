//! What a caller gets whose token is too short or has expired.

use super::*;

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
fn p20_a_source_is_down_until_the_fetch_ends_that_started_while_it_was() {
    let mut state = holding_with(Config { stale_if_error: HOUR, ..config() });
    get(&mut state, 3601);
    fail(&mut state, 3601);
    get(&mut state, 3601 + 329);
    let id = in_flight(&state).id;
    assert!(state.begin(id, at(3601 + 329)));
    for seconds in [330, 358, 359, 400] {
        assert!(matches!(get(&mut state, 3601 + seconds), Decision::Serve(_)), "after {seconds} s");
    }
    assert!(state.fail_overdue(id, at(3601 + 400), 0.5).is_some());
    assert!(matches!(get(&mut state, 3601 + 400 + 329), Decision::Serve(_)));
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
fn p05_a_token_that_does_not_live_longer_replaces_nothing() {
    let mut state = holding();
    state.get(at(1800), HOUR, true);
    assert_eq!(in_flight(&state).reason, FetchReason::TooShort);
    complete(&mut state, 1800, Ok(TemporaryToken::expires_in("no longer", HOUR / 2)));
    assert_eq!((*token(&state), state.generation()), ("a", 1));
}
