//! Tokens that services reject.

use super::*;

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
fn p15_a_token_that_lived_for_exactly_twice_the_longest_backoff_was_not_accepted() {
    let mut state = holding();
    for (seconds, accepted) in [(0, true), (600, true), (603, false), (604, true)] {
        let stored = token(&state);
        assert_eq!(matches!(state.reject(&stored, at(seconds)), Ok(Some(_))), accepted, "{seconds} s");
        if accepted {
            state.replace(at(seconds), true);
            complete(&mut state, seconds, Ok(TemporaryToken::expires_in("another", HOUR)));
        }
    }
}

#[test]
fn p15_a_rejected_token_is_invalidated_at_once() {
    let mut state = holding();
    let stored = token(&state);
    assert!(matches!(state.reject(&stored, at(10)), Ok(Some(1))));
    assert_eq!(state.invalidate(&stored, at(10)), Some(1), "the same rejection");
    assert!(state.stored().is_none());
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
