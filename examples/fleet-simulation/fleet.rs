//! [`Fleet`]: many caches that are read all the time, and one issuer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{Error, ErrorKind};
use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use token_cache_core::test_util::SimulatedCache;
use token_cache_core::{TemporaryToken, TimePoint};

use crate::sessions::Sessions;

/// Simulated event by event: a read that changes nothing takes no step.
#[derive(Debug)]
pub(crate) struct Fleet {
    caches: Vec<SimulatedCache>,
    /// When each cache decides next.
    decisions: BinaryHeap<Reverse<(Duration, usize)>>,
    lifetime: Duration,
    random: StdRng,
    now: Duration,
}

/// Whether the issuer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issuer {
    Up,
    Down,
}

/// How long it takes until all caches have started.
pub(crate) const START: Duration = Duration::from_secs(60);

impl Fleet {
    /// `size` empty caches, each first read at a random time within [`START`].
    pub(crate) fn new(size: usize, sessions: Sessions, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let decisions = (0..size).map(|cache| Reverse((START.mul_f64(random.random()), cache))).collect();
        let start = at(Duration::ZERO);
        Self {
            caches: (0..size).map(|_| sessions.cache(start)).collect(),
            decisions,
            lifetime: sessions.lifetime,
            random,
            now: Duration::ZERO,
        }
    }

    pub(crate) const fn now(&self) -> Duration {
        self.now
    }

    /// Simulates the time from now until `end`. `on_call` gets the time of each call to the issuer.
    pub(crate) fn run_until(&mut self, end: Duration, issuer: Issuer, mut on_call: impl FnMut(Duration)) {
        while let Some(mut next) = self.decisions.peek_mut() {
            let Reverse((time, index)) = *next;
            if time >= end {
                break;
            }
            let cache = &mut self.caches[index];
            cache.get(at(time), self.random.random(), || {
                on_call(time);
                match issuer {
                    Issuer::Up => Ok(TemporaryToken::expires_in((), self.lifetime)),
                    Issuer::Down => Err(Error::from(ErrorKind::ConnectionRefused).into()),
                }
            });
            next.0.0 = cache.next_decision(at(time));
        }
        self.now = end;
    }

    /// Whether each caller gets a token now.
    pub(crate) fn all_have_tokens(&self) -> bool {
        self.caches.iter().all(|cache| cache.has_token(at(self.now)))
    }
}

fn at(time: Duration) -> TimePoint {
    TimePoint::new(time, SystemTime::UNIX_EPOCH + time)
}
