//! What a walk may do: the steps, the settings, and how both are drawn.

use std::fmt;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A cache's settings, and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) settings: Settings,
    pub(crate) turns: Vec<Turn>,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.settings)?;
        self.turns.iter().enumerate().try_for_each(|(number, turn)| write!(f, "\n{number}: {turn:?}"))
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
    /// A rule: this share of the lifetime, in percent.
    Share(u32),
}

/// A step, and who runs first once it is done: those who wait, or the fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) step: Step,
    pub(crate) callers_first: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Answer(Answer, Meanwhile),
    Clock(Hands, By),
    /// One of those who wait goes away.
    Drop(usize),
    Get(Place),
    GetValidFor(Place, Want),
    Invalidate(Which),
    /// A runtime goes away, with its tasks. Another one takes its place, and those who waited there go with it or go on.
    LoseRuntime {
        runtime: usize,
        callers_go_on: bool,
    },
    Refresh(Place),
}

/// Where a caller calls from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Runtime(usize),
    Outside,
}

/// How a pending fetch is answered. One that is not, runs into its timeout.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// The last token once more, with the same end.
    Again,
    Fail,
    FailForGood,
    Never(Option<Duration>),
    Panic,
    /// With a lifetime, and a word on when to refresh.
    Token {
        life: Life,
        refresh_in: Option<Duration>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    /// Until this much before or after the wall clock's now.
    Ago(Duration),
    Until(Duration),
    /// Counted from the start of the fetch.
    In(Duration),
}

/// What happens after the answer was taken in, and before those who waited for it wake.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meanwhile {
    Nothing,
    Rejection,
    Time(By),
}

/// Which hands of the clock move.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hands {
    Both,
    /// Only the wall clock's, as when the machine sleeps or somebody sets it.
    Wall,
    WallBack,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    Span(Duration),
    /// To one of the instants at which something is to happen, or one nanosecond beside it.
    To(usize, Beside),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside {
    Before,
    At,
    After,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    Span(Duration),
    /// What the stored token has left.
    Left(Beside),
    /// What it had left when it was stored.
    Whole(Beside),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// An equal one that the cache has never seen.
    Foreign,
    Older(usize),
    Stored,
}

pub(crate) fn programs() -> impl Strategy<Value = Program> {
    (settings(), vec(turn(), 1..=79)).prop_map(|(settings, turns)| Program { settings, turns })
}

fn settings() -> impl Strategy<Value = Settings> {
    let ms = |spans: &'static [u64]| select(spans).prop_map(Duration::from_millis);
    let buffer = prop_oneof![
        4 => ms(&[0, 1_000, 10_000, 300_000, 36_000_000]).prop_map(Buffer::Fixed),
        1 => (0_u32..=110).prop_map(Buffer::Share),
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

fn turn() -> impl Strategy<Value = Turn> {
    (step(), any::<bool>()).prop_map(|(step, callers_first)| Turn { step, callers_first })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => place().prop_map(Step::Get),
        4 => (place(), want()).prop_map(|(place, want)| Step::GetValidFor(place, want)),
        2 => place().prop_map(Step::Refresh),
        12 => (answer(), meanwhile()).prop_map(|(answer, meanwhile)| Step::Answer(answer, meanwhile)),
        12 => by().prop_map(|by| Step::Clock(Hands::Both, by)),
        2 => by().prop_map(|by| Step::Clock(Hands::Wall, by)),
        1 => span().prop_map(|span| Step::Clock(Hands::WallBack, By::Span(span))),
        2 => which().prop_map(Step::Invalidate),
        2 => (0_usize..8).prop_map(Step::Drop),
        1 => (0_usize..2, any::<bool>())
            .prop_map(|(runtime, callers_go_on)| Step::LoseRuntime { runtime, callers_go_on }),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![8 => Just(Place::Runtime(0)), 3 => Just(Place::Runtime(1)), 1 => Just(Place::Outside)]
}

fn answer() -> impl Strategy<Value = Answer> {
    let token = || (life(), option::weighted(0.2, span()));
    prop_oneof![
        8 => token().prop_map(|(life, refresh_in)| Answer::Token { life, refresh_in }),
        1 => Just(Answer::Again),
        1 => option::of(span()).prop_map(Answer::Never),
        4 => Just(Answer::Fail),
        1 => Just(Answer::FailForGood),
        1 => Just(Answer::Panic),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    prop_oneof![
        6 => span().prop_map(Life::Until),
        3 => span().prop_map(Life::In),
        1 => span().prop_map(Life::Ago),
    ]
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        8 => Just(Meanwhile::Nothing),
        2 => by().prop_map(Meanwhile::Time),
        1 => Just(Meanwhile::Rejection),
    ]
}

fn by() -> impl Strategy<Value = By> {
    prop_oneof![
        3 => span().prop_map(By::Span),
        4 => ((0_usize..8), beside()).prop_map(|(which, beside)| By::To(which, beside)),
    ]
}

fn beside() -> impl Strategy<Value = Beside> {
    prop_oneof![3 => Just(Beside::At), 1 => Just(Beside::Before), 1 => Just(Beside::After)]
}

fn want() -> impl Strategy<Value = Want> {
    prop_oneof![
        2 => span().prop_map(Want::Span),
        1 => beside().prop_map(Want::Left),
        1 => beside().prop_map(Want::Whole),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        4 => Just(Which::Stored),
        1 => (0_usize..8).prop_map(Which::Older),
        1 => Just(Which::Foreign),
    ]
}

/// From nothing to half a day, small ones as often as large ones.
fn span() -> impl Strategy<Value = Duration> {
    (select(UNITS), 0_u64..=12).prop_map(|(unit, times)| Duration::from_nanos(unit * times))
}

const UNITS: &[u64] = &[1, 1_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000, 3_600_000_000_000];
