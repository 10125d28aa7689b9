//! [`Scenario`]: what is done to a cache, and what of the outcome goes into the table.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::crowd::{Crowd, PATIENCE};
use crate::peer::Peer;
use crate::script::{AN_HOUR, Mode, Script};
use crate::tally::{Span, Tally};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scenario {
    A,
    B,
    C,
    D,
    D2,
    E,
    F,
    G,
    H,
}

impl Scenario {
    pub(crate) const ALL: [Self; 9] =
        [Self::A, Self::B, Self::C, Self::D, Self::D2, Self::E, Self::F, Self::G, Self::H];

    /// What is done, and what the table shows of it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::A => "empty, 100 callers: calls of the source",
            Self::B => "empty and the source down, 100 callers: calls, slowest caller",
            Self::C => "5 s left and a source of 500 ms, 100 callers: slowest caller",
            Self::D => "5 s left and the source down, 100 callers: calls, errors, slowest caller",
            Self::D2 => "the same, 50 callers 20 ms apart: calls, errors",
            Self::E => "empty, the first caller goes away in the middle of the fetch: calls, what the other 10 get",
            Self::F => "empty and the source panics once, 10 callers: calls, what they get, when it works again",
            Self::G => "tokens live for 5 s, 50 callers 20 ms apart: calls",
            Self::H => "tokens have expired when they come, 20 callers in a row: calls, what they get",
        }
    }

    /// Whether microseconds count, so that peers have to be measured one after another. The others count calls.
    pub(crate) const fn wants_quiet(self) -> bool {
        matches!(self, Self::C | Self::D)
    }

    pub(crate) async fn run(self, peer: &dyn Peer) -> anyhow::Result<Tally> {
        match self {
            Self::A => Ok(Crowd::before(peer, Script::new(USUAL, Mode::Lives(AN_HOUR)))?.rush(100).await),
            Self::B => Ok(Crowd::before(peer, Script::new(USUAL, Mode::Fails))?.rush(100).await),
            Self::C => Ok(five_seconds_left(peer, SLOW, Mode::Lives(AN_HOUR)).await?.rush(100).await),
            Self::D => {
                let crowd = five_seconds_left(peer, QUICK, Mode::Fails).await?;
                let before = crowd.script.calls();
                let tally = crowd.rush(100).await;
                // What was begun in the background may be still to come.
                sleep(USUAL).await;
                Ok(Tally { calls: crowd.script.calls() - before, ..tally })
            }
            Self::D2 => {
                let crowd = five_seconds_left(peer, QUICK, Mode::Fails).await?;
                Ok(crowd.queue(50, QUICK, PATIENCE).await)
            }
            Self::E => the_first_goes_away(peer).await,
            Self::F => a_panic(peer).await,
            Self::G => {
                let crowd = Crowd::before(peer, Script::new(USUAL, Mode::Lives(Duration::from_secs(5))))?;
                Ok(crowd.queue(50, QUICK, PATIENCE).await)
            }
            Self::H => {
                let crowd = Crowd::before(peer, Script::new(USUAL, Mode::Expired))?;
                Ok(crowd.queue(20, Duration::ZERO, Duration::from_millis(200)).await)
            }
        }
    }

    /// What the table shows of `tally`.
    pub(crate) fn cell(self, tally: &Tally) -> String {
        let (calls, slowest) = (tally.calls, Span(tally.slowest));
        let answers = tally.answers();
        match self {
            Self::A | Self::G if tally.errors + tally.expired + tally.panics + tally.unanswered == 0 => {
                calls.to_string()
            }
            Self::A | Self::E | Self::G | Self::H => format!("{calls}; {answers}"),
            Self::B if calls == 1 => format!("1, {slowest}, error shared"),
            Self::B => format!("{calls}, {slowest}"),
            Self::C if calls > 1 => format!("{slowest}, {calls} calls"),
            Self::C => slowest.to_string(),
            Self::D => format!("{calls}, {}, {slowest}", tally.errors),
            Self::D2 => format!("{calls}, {}", tally.errors),
            Self::F => {
                let again = tally.works_again.map_or_else(|| "never".to_owned(), |span| Span(span).to_string());
                format!("{calls}; {answers}; {again}")
            }
        }
    }
}

/// A crowd before a cache whose token has 5 s left, and whose source is about to be like this.
async fn five_seconds_left(peer: &dyn Peer, delay: Duration, mode: Mode) -> anyhow::Result<Crowd> {
    // Long enough for every peer's pause between two successes to be over.
    let pause = Duration::from_millis(1100);
    let crowd = Crowd::before(peer, Script::new(QUICK, Mode::Lives(Duration::from_secs(5) + pause)))?;
    crowd.rush(1).await;
    crowd.script.becomes(delay, mode);
    sleep(pause).await;
    Ok(crowd)
}

async fn the_first_goes_away(peer: &dyn Peer) -> anyhow::Result<Tally> {
    let crowd = Crowd::before(peer, Script::new(2 * USUAL, Mode::Lives(AN_HOUR)))?;
    let first = crowd.one();
    sleep(USUAL / 2).await;
    let goes_away = async {
        sleep(USUAL / 2).await;
        first.abort();
    };
    let (tally, ()) = tokio::join!(crowd.rush(10), goes_away);
    Ok(Tally { calls: crowd.script.calls(), ..tally })
}

async fn a_panic(peer: &dyn Peer) -> anyhow::Result<Tally> {
    let crowd = Crowd::before(peer, Script::new(USUAL, Mode::PanicsOnce))?;
    let mut tally = crowd.rush(10).await;
    let after = Instant::now();
    while tally.works_again.is_none() && after.elapsed() < Duration::from_secs(3) {
        let answer = crowd.one().await;
        tally.works_again = matches!(answer, Ok((crate::tally::Got::Token, _))).then(|| after.elapsed());
        sleep(QUICK).await;
    }
    Ok(tally)
}

/// What the source takes if nothing else is said.
const USUAL: Duration = Duration::from_millis(50);

/// What it takes to be refused, and the pause between callers who come one after another.
const QUICK: Duration = Duration::from_millis(20);

const SLOW: Duration = Duration::from_millis(500);
