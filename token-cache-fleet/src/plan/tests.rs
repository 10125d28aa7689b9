use super::*;

const SECOND: Duration = Duration::from_secs(1);
const SETTINGS: Settings = Settings { lease: SECOND, max_wait: Duration::from_secs(30), may_fetch_alone: true };

/// `seconds` after a start, on a clock that is `skew` seconds ahead.
fn at(seconds: u64, skew: i64) -> TimePoint {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds);
    let wall =
        if skew < 0 { wall - skew.unsigned_abs() as u32 * SECOND } else { wall + skew.unsigned_abs() as u32 * SECOND };
    TimePoint::new(Duration::from_secs(500 + seconds), wall)
}

/// Due at 100 s, expires at 200 s.
fn token(id: u8) -> TokenInfo {
    TokenInfo { id: Id([id; 16]), refresh_at: Some(at(100, 0).wall()), expires_at: Some(at(200, 0).wall()) }
}

fn renewal(kind: RenewalKind, written_at: u64, beat: u32) -> Renewal {
    Renewal {
        kind,
        holder: Holder { id: Id([9; 16]), beat },
        duration: SECOND * 3,
        written_at: at(written_at, 0).wall(),
    }
}

fn having(token: TokenInfo) -> Memory {
    Memory { last: Some(token), ..Memory::default() }
}

#[test]
fn a_token_that_is_new_to_the_process_is_used() {
    let plan = |memory: &mut Memory, now| memory.plan(Some(&token(1)), None, &SETTINGS, at(now, 0));
    assert_eq!(plan(&mut Memory::default(), 0), Plan::UseToken);
    assert_eq!(plan(&mut having(token(2)), 0), Plan::UseToken);
    assert_eq!(plan(&mut having(token(1)), 0), Plan::Claim, "it is due or was rejected");
    assert_eq!(plan(&mut Memory::default(), 200), Plan::Claim, "it has expired");
    assert_eq!(Memory::default().plan(None, None, &SETTINGS, at(0, 0)), Plan::Claim);
}

#[test]
fn a_due_token_is_renewed_by_one_process() {
    let lease = renewal(RenewalKind::Fetching, 100, 0);
    let plan = |lease| Memory::default().plan(Some(&token(1)), lease, &SETTINGS, at(100, 0));
    assert_eq!(plan(None), Plan::Claim);
    assert_eq!(plan(Some(&lease)), Plan::UseToken, "another process renews it");
}

#[test]
fn a_lease_ends_when_its_holder_no_longer_renews_it() {
    let mut memory = having(token(1));
    let mut plan =
        |now, beat| memory.plan(Some(&token(1)), Some(&renewal(RenewalKind::Fetching, 0, beat)), &SETTINGS, at(now, 0));
    for second in 0..20 {
        assert_eq!(plan(second, second as u32), Plan::Wait);
    }
    assert_eq!(plan(21, 19), Plan::Wait);
    assert_eq!(plan(22, 19), Plan::Claim);
}

#[test]
fn clocks_that_differ_do_not_end_a_lease() {
    for skew in [-300, 300] {
        let mut memory = Memory::default();
        let mut plan = |now| memory.plan(None, Some(&renewal(RenewalKind::Fetching, 0, 0)), &SETTINGS, at(now, skew));
        assert_eq!([plan(0), plan(2), plan(3)], [Plan::Wait, Plan::Wait, Plan::Claim], "{skew}");
    }
    let lease = renewal(RenewalKind::Fetching, 0, 0);
    assert_eq!(Memory::default().plan(None, Some(&lease), &SETTINGS, at(86_400, 0)), Plan::Claim, "left long ago");
    assert_eq!(Memory::default().plan(None, Some(&lease), &SETTINGS, at(0, -86_400)), Plan::Claim, "from the future");
}

#[test]
fn no_lease_or_pause_lasts_longer_than_is_believable() {
    let forever = |kind| Renewal { duration: Duration::MAX, ..renewal(kind, 0, 0) };
    for (kind, max) in [(RenewalKind::Fetching, MAX_LEASE), (RenewalKind::Paused, MAX_PAUSE)] {
        let mut memory = Memory::default();
        let mut plan = |now| memory.plan(None, Some(&forever(kind)), &SETTINGS, at(now, 0));
        assert_ne!(plan(0), Plan::Claim);
        assert_ne!(plan(max.as_secs() - 1), Plan::Claim);
        assert_eq!(plan(max.as_secs()), Plan::Claim);
    }
}

#[test]
fn the_error_of_a_pause_is_shared_until_it_ends() {
    let mut memory = Memory::default();
    let mut plan = |now| memory.plan(None, Some(&renewal(RenewalKind::Paused, 0, 0)), &SETTINGS, at(now, 0));
    assert_eq!(plan(1), Plan::Fail { retry_after: SECOND * 2 });
    assert_eq!(plan(2), Plan::Fail { retry_after: SECOND });
    assert_eq!(plan(3), Plan::Claim);
    let pause = renewal(RenewalKind::Paused, 101, 0);
    assert_eq!(Memory::default().plan(Some(&token(1)), Some(&pause), &SETTINGS, at(101, 0)), Plan::UseToken);
}

#[test]
fn a_process_fetches_alone_after_it_has_waited_for_one_holder() {
    let mut memory = Memory::default();
    let mut plan = |now: u64, holder: u8, settings: &Settings| {
        let mut lease = renewal(RenewalKind::Fetching, now, now as u32);
        lease.holder.id = Id([holder; 16]);
        memory.plan(None, Some(&lease), settings, at(now, 0))
    };
    assert_eq!(plan(0, 1, &SETTINGS), Plan::Wait);
    assert_eq!(plan(29, 1, &SETTINGS), Plan::Wait);
    // The first holder has given up: the process waits for the second one as long.
    assert_eq!(plan(30, 2, &SETTINGS), Plan::Wait);
    assert_eq!(plan(59, 2, &SETTINGS), Plan::Wait);
    assert_eq!(plan(60, 2, &Settings { may_fetch_alone: false, ..SETTINGS }), Plan::Wait);
    assert_eq!(plan(61, 2, &SETTINGS), Plan::FetchAlone);
}

#[test]
fn a_process_with_a_token_waits_for_the_store_for_half_of_the_buffer() {
    let plan = |memory: Memory, now| memory.plan_without_store(&SETTINGS, at(now, 0));
    assert_eq!(plan(Memory::default(), 0), PlanWithoutStore::FetchAlone);
    assert_eq!(plan(having(token(1)), 99), PlanWithoutStore::FetchAlone, "it was rejected");
    assert_eq!(plan(having(token(1)), 100), PlanWithoutStore::Fail);
    assert_eq!(plan(having(token(1)), 149), PlanWithoutStore::Fail);
    assert_eq!(plan(having(token(1)), 150), PlanWithoutStore::FetchAlone);
    let never_alone = Settings { may_fetch_alone: false, ..SETTINGS };
    assert_eq!(Memory::default().plan_without_store(&never_alone, at(0, 0)), PlanWithoutStore::Fail);
}
