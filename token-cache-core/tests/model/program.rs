//! The programs: the settings of a cache, and the steps that happen to it.

use std::fmt;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// The settings of a cache, and the steps that happen to it.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) settings: Settings,
    pub(crate) initial: Option<NewToken>,
    pub(crate) steps: Vec<OrderedStep>,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\ninitial: {:?}", self.settings, self.initial)?;
        self.steps.iter().enumerate().try_for_each(|(number, step)| write!(f, "\n{number}: {step:?}"))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) expiry_buffer: Buffer,
    pub(crate) min_ttl: Duration,
    pub(crate) min_refresh_interval: Duration,
    pub(crate) max_backoff: Duration,
    pub(crate) fetch_timeout: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) token_eq: bool,
    pub(crate) jitter: f64,
    /// Every random number of the cache, so that the reference can compute what follows from it.
    pub(crate) jitter_sample: f64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Buffer {
    Fixed(Duration),
    /// A function of the lifetime: this percentage of it.
    Percent(u32),
}

/// A step, and what runs first after it: the waiting callers, or the fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderedStep {
    pub(crate) step: Step,
    pub(crate) callers_first: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Answer(Answer, Meanwhile),
    Call(Call, Place),
    Clock(Clocks, By),
    /// A waiting caller is dropped.
    Drop(usize),
    /// A runtime is dropped with its tasks, and replaced. Its callers are dropped too, or continue in the new one.
    DropRuntime {
        runtime: usize,
        keep_callers: bool,
    },
    Invalidate(Which),
    /// A caller stores a token.
    Store(NewToken),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Get,
    GetValidFor(MinRemaining),
    GetView,
    GetWithTimes,
    Refresh,
    Replace(Which),
}

/// The runtime of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Runtime(usize),
    Outside,
}

/// The answer to a pending fetch. Without an answer, it times out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Fail { permanent: bool, retry_after: Option<Duration> },
    Panic,
    Token(NewToken),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct NewToken {
    /// Whether it is equal to the last one, of which only its expiry may differ.
    pub(crate) equal: bool,
    pub(crate) lifetime: Lifetime,
    /// When the issuer wants it to be refreshed.
    pub(crate) refresh: Option<Refresh>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifetime {
    /// It expired this long ago, in wall time.
    Past(Duration),
    /// It expires in this time, in wall time.
    Until(Duration),
    /// It expires this long after the start of the fetch.
    In(Duration),
    /// As the last one.
    Same,
    Never,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Refresh {
    In(Duration),
    Past(Duration),
}

/// What happens after the fetch has ended, and before its waiters are polled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meanwhile {
    Nothing,
    Invalidation,
    Store(NewToken),
    Time(By),
}

/// Which clocks move.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clocks {
    Both,
    /// Only the wall clock, as when the machine is suspended or the clock is set.
    Wall,
    WallBack,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    Duration(Duration),
    /// To a deadline, or one nanosecond before or after it.
    Deadline(usize, Offset),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Offset {
    Before,
    At,
    After,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum MinRemaining {
    Duration(Duration),
    /// The remaining time of the stored token.
    Remaining(Offset),
    /// Its remaining time when it was stored.
    Initial(Offset),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// An equal token that the cache did not return.
    Unknown,
    Older(usize),
    Stored,
}

pub(crate) fn programs() -> impl Strategy<Value = Program> {
    (settings(), option::weighted(0.2, new_token()), vec(ordered_step(), 1..=79))
        .prop_map(|(settings, initial, steps)| Program { settings, initial, steps })
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let ms = |values: &'static [u64]| select(values).prop_map(Duration::from_millis);
    let buffer = prop_oneof![
        4 => ms(&[0, 1_000, 10_000, 300_000, 36_000_000]).prop_map(Buffer::Fixed),
        1 => (0_u32..=110).prop_map(Buffer::Percent),
    ];
    let jitter = (select(&[0.0, 0.0, 0.5, 1.0]), select(&[0.0, 0.5, 1.0]));
    let times = (
        ms(&[0, 1_000, 60_000, 3_600_000]),
        ms(&[0, 100, 1_000, 1_000, 10_000]),
        ms(&[0, 3_000, 60_000, 300_000]),
        ms(&[500, 5_000, 30_000, 300_000]),
        ms(&[0, 0, 0, 60_000, 3_600_000]),
    );
    (buffer, times, any::<bool>(), jitter).prop_map(|(expiry_buffer, times, token_eq, (jitter, jitter_sample))| {
        let (min_ttl, min_refresh_interval, max_backoff, fetch_timeout, stale_if_error) = times;
        Settings {
            expiry_buffer,
            min_ttl,
            min_refresh_interval,
            max_backoff,
            fetch_timeout,
            stale_if_error,
            token_eq,
            jitter,
            jitter_sample,
        }
    })
}

fn ordered_step() -> impl Strategy<Value = OrderedStep> {
    (step(), any::<bool>()).prop_map(|(step, callers_first)| OrderedStep { step, callers_first })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (call(), place()).prop_map(|(call, place)| Step::Call(call, place)),
        12 => (answer(), meanwhile()).prop_map(|(answer, meanwhile)| Step::Answer(answer, meanwhile)),
        12 => by().prop_map(|by| Step::Clock(Clocks::Both, by)),
        2 => by().prop_map(|by| Step::Clock(Clocks::Wall, by)),
        1 => duration().prop_map(|duration| Step::Clock(Clocks::WallBack, By::Duration(duration))),
        2 => which().prop_map(Step::Invalidate),
        1 => new_token().prop_map(Step::Store),
        2 => (0_usize..8).prop_map(Step::Drop),
        1 => (0_usize..2, any::<bool>())
            .prop_map(|(runtime, keep_callers)| Step::DropRuntime { runtime, keep_callers }),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        10 => Just(Call::Get),
        4 => min_remaining().prop_map(Call::GetValidFor),
        2 => Just(Call::GetView),
        1 => Just(Call::GetWithTimes),
        2 => Just(Call::Refresh),
        2 => which().prop_map(Call::Replace),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![8 => Just(Place::Runtime(0)), 3 => Just(Place::Runtime(1)), 1 => Just(Place::Outside)]
}

pub(crate) fn answer() -> impl Strategy<Value = Answer> {
    let fail = (prop::bool::weighted(0.2), option::weighted(0.2, duration()));
    prop_oneof![
        10 => new_token().prop_map(Answer::Token),
        5 => fail.prop_map(|(permanent, retry_after)| Answer::Fail { permanent, retry_after }),
        1 => Just(Answer::Panic),
    ]
}

fn new_token() -> impl Strategy<Value = NewToken> {
    (prop::bool::weighted(0.2), lifetime(), option::weighted(0.2, refresh()))
        .prop_map(|(equal, lifetime, refresh)| NewToken { equal, lifetime, refresh })
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    prop_oneof![
        6 => duration().prop_map(Lifetime::Until),
        3 => duration().prop_map(Lifetime::In),
        1 => duration().prop_map(Lifetime::Past),
        1 => Just(Lifetime::Same),
        1 => Just(Lifetime::Never),
    ]
}

fn refresh() -> impl Strategy<Value = Refresh> {
    prop_oneof![3 => duration().prop_map(Refresh::In), 1 => duration().prop_map(Refresh::Past)]
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        16 => Just(Meanwhile::Nothing),
        4 => by().prop_map(Meanwhile::Time),
        2 => Just(Meanwhile::Invalidation),
        1 => new_token().prop_map(Meanwhile::Store),
    ]
}

fn by() -> impl Strategy<Value = By> {
    prop_oneof![
        3 => duration().prop_map(By::Duration),
        4 => ((0_usize..8), offset()).prop_map(|(which, offset)| By::Deadline(which, offset)),
    ]
}

fn offset() -> impl Strategy<Value = Offset> {
    prop_oneof![3 => Just(Offset::At), 1 => Just(Offset::Before), 1 => Just(Offset::After)]
}

fn min_remaining() -> impl Strategy<Value = MinRemaining> {
    prop_oneof![
        2 => duration().prop_map(MinRemaining::Duration),
        1 => offset().prop_map(MinRemaining::Remaining),
        1 => offset().prop_map(MinRemaining::Initial),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        4 => Just(Which::Stored),
        1 => (0_usize..8).prop_map(Which::Older),
        1 => Just(Which::Unknown),
    ]
}

/// From zero to half a day, short ones as often as long ones.
pub(crate) fn duration() -> impl Strategy<Value = Duration> {
    (select(UNITS), 0_u64..=12).prop_map(|(unit, times)| Duration::from_nanos(unit * times))
}

const UNITS: &[u64] = &[1, 1_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000, 3_600_000_000_000];
