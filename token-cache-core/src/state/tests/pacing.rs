//! When the next fetch may start.

use super::*;

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
        assert!(matches!(state.complete(id, at(now), error, false, 1.0), FetchOutcome::Failed(_)));
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
fn p14_refresh_does_not_shorten_the_backoff_of_an_outage() {
    let mut state = holding();
    get(&mut state, 3301);
    fail(&mut state, 3301);
    get(&mut state, 3302);
    fail(&mut state, 3302);
    assert_eq!(next_attempt(&state, 3302), 3304 * SECOND);
    assert!(matches!(state.refresh(at(3303), true), Decision::Fail(_)), "the last error");
    assert!(state.in_flight().is_none());
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

/// It waits for the limits that several caches share, and its task shows that it runs.
#[test]
fn p12_a_fetch_that_is_postponed_is_not_overdue() {
    let mut state = empty(config());
    get(&mut state, 0);
    let id = in_flight(&state).id;
    state.postpone(FetchId(id.0 + 1), at(20));
    assert_eq!(in_flight(&state).hard_deadline(&state.config), 30 * SECOND, "another fetch");
    state.postpone(id, at(20));
    assert_eq!(in_flight(&state).hard_deadline(&state.config), 50 * SECOND);
    assert!(state.fail_overdue(id, at(49), 0.0).is_none());
    assert!(state.fail_overdue(id, at(50), 0.0).is_some());
}
