//! [`Fleet`]: many caches that are read all the time, and one issuer.

use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use token_cache_core::{TemporaryToken, TimePoint};

use crate::sessions::Sessions;

/// Caches of sessions, each first read at a random time within [`START`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) sessions: Sessions,
    pub(crate) caches: u32,
    pub(crate) seed: u64,
}

/// A call of a cache to the issuer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) time: Duration,
    /// Whether readers of the cache got a token just before.
    pub(crate) had_token: bool,
}

/// How long it takes until all caches have started.
pub(crate) const START: Duration = Duration::from_secs(60);

impl Fleet {
    /// Simulates the fleet until `end`. The issuer is down during `outages`. The order of the calls is not that of their times.
    pub(crate) fn simulate(&self, outages: &[Range<Duration>], end: Duration, mut on_call: impl FnMut(Call)) {
        let mut random = StdRng::seed_from_u64(self.seed);
        // One after the other: what one cache does has no effect on the others.
        for _ in 0..self.caches {
            let mut cache = self.sessions.cache(at(Duration::ZERO));
            let mut time = START.mul_f64(random.random());
            while time < end {
                let had_token = cache.has_token(at(time));
                cache.get(at(time), random.random(), || {
                    on_call(Call { time, had_token });
                    if outages.iter().any(|outage| outage.contains(&time)) {
                        return Err(Error::from(ErrorKind::ConnectionRefused).into());
                    }
                    Ok(TemporaryToken::expires_in((), self.sessions.lifetime))
                });
                time = cache.next_decision(at(time));
            }
        }
    }
}

fn at(time: Duration) -> TimePoint {
    TimePoint::new(time, SystemTime::UNIX_EPOCH + time)
}
