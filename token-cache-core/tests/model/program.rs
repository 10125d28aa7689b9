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
    pub(crate) steps: Vec<OrderedStep>,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.settings)?;
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
    Clock(Clocks, By),
    /// A waiting caller is dropped.
    Drop(usize),
    Get(Place),
    GetValidFor(Place, MinRemaining),
    Invalidate(Which),
    /// A runtime is dropped with its tasks, and replaced. Its callers are dropped too, or continue in the new one.
    DropRuntime {
        runtime: usize,
        keep_callers: bool,
    },
    Refresh(Place),
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
    /// The last token again, with the same expiry.
    Repeat,
    Fail,
    FailPermanently,
    Never(Option<Duration>),
    Panic,
    /// A token, and when the issuer wants it to be refreshed.
    Token {
        expiry: Lifetime,
        refresh_in: Option<Duration>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifetime {
    /// It expired this long ago, in wall time.
    Past(Duration),
    /// It expires in this time, in wall time.
    Until(Duration),
    /// It expires this long after the start of the fetch.
    In(Duration),
}

/// What happens after the fetch has ended, and before its waiters are polled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meanwhile {
    Nothing,
    Invalidation,
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
    (settings(), vec(ordered_step(), 1..=79)).prop_map(|(settings, steps)| Program { settings, steps })
}

fn settings() -> impl Strategy<Value = Settings> {
    let ms = |values: &'static [u64]| select(values).prop_map(Duration::from_millis);
    let buffer = prop_oneof![
        4 => ms(&[0, 1_000, 10_000, 300_000, 36_000_000]).prop_map(Buffer::Fixed),
        1 => (0_u32..=110).prop_map(Buffer::Percent),
    ];
    (
        buffer,
        ms(&[0, 1_000, 60_000, 3_600_000]),
        ms(&[0, 100, 1_000, 1_000, 10_000]),
        ms(&[0, 3_000, 60_000, 300_000]),
        ms(&[500, 5_000, 30_000, 300_000]),
    )
        .prop_map(|(expiry_buffer, min_ttl, min_refresh_interval, max_backoff, fetch_timeout)| Settings {
            expiry_buffer,
            min_ttl,
            min_refresh_interval,
            max_backoff,
            fetch_timeout,
        })
}

fn ordered_step() -> impl Strategy<Value = OrderedStep> {
    (step(), any::<bool>()).prop_map(|(step, callers_first)| OrderedStep { step, callers_first })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => place().prop_map(Step::Get),
        4 => (place(), min_remaining()).prop_map(|(place, min_remaining)| Step::GetValidFor(place, min_remaining)),
        2 => place().prop_map(Step::Refresh),
        12 => (answer(), meanwhile()).prop_map(|(answer, meanwhile)| Step::Answer(answer, meanwhile)),
        12 => by().prop_map(|by| Step::Clock(Clocks::Both, by)),
        2 => by().prop_map(|by| Step::Clock(Clocks::Wall, by)),
        1 => duration().prop_map(|duration| Step::Clock(Clocks::WallBack, By::Duration(duration))),
        2 => which().prop_map(Step::Invalidate),
        2 => (0_usize..8).prop_map(Step::Drop),
        1 => (0_usize..2, any::<bool>())
            .prop_map(|(runtime, keep_callers)| Step::DropRuntime { runtime, keep_callers }),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![8 => Just(Place::Runtime(0)), 3 => Just(Place::Runtime(1)), 1 => Just(Place::Outside)]
}

fn answer() -> impl Strategy<Value = Answer> {
    let token = || (lifetime(), option::weighted(0.2, duration()));
    prop_oneof![
        8 => token().prop_map(|(expiry, refresh_in)| Answer::Token { expiry, refresh_in }),
        1 => Just(Answer::Repeat),
        1 => option::of(duration()).prop_map(Answer::Never),
        4 => Just(Answer::Fail),
        1 => Just(Answer::FailPermanently),
        1 => Just(Answer::Panic),
    ]
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    prop_oneof![
        6 => duration().prop_map(Lifetime::Until),
        3 => duration().prop_map(Lifetime::In),
        1 => duration().prop_map(Lifetime::Past),
    ]
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        8 => Just(Meanwhile::Nothing),
        2 => by().prop_map(Meanwhile::Time),
        1 => Just(Meanwhile::Invalidation),
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
fn duration() -> impl Strategy<Value = Duration> {
    (select(UNITS), 0_u64..=12).prop_map(|(unit, times)| Duration::from_nanos(unit * times))
}

const UNITS: &[u64] = &[1, 1_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000, 3_600_000_000_000];
