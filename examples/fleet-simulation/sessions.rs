//! [`Sessions`]: what an issuer gives out, and the settings of the caches that hold it.

use std::time::Duration;

use token_cache_core::test_util::{SimulatedCache, mock_source};
use token_cache_core::{TimePoint, TokenCache, TokenCacheBuilder};

/// Sessions of one lifetime, in caches with one set of defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sessions {
    pub(crate) lifetime: Duration,
    pub(crate) defaults: Defaults,
    /// What the defaults are expected to be for this lifetime.
    pub(crate) expiry_buffer: Duration,
    /// Unless it is the default.
    pub(crate) jitter: Option<f64>,
}

/// Whose defaults a cache has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Defaults {
    Core,
    Aws,
}

impl Sessions {
    pub(crate) const ALL: [Self; 4] = [
        Self::new(HOUR, Defaults::Core, 5),
        Self::new(HOUR, Defaults::Aws, 15),
        Self::new(Duration::from_secs(12 * 3600), Defaults::Core, 5),
        Self::new(Duration::from_secs(12 * 3600), Defaults::Aws, 60),
    ];

    const fn new(lifetime: Duration, defaults: Defaults, buffer_minutes: u64) -> Self {
        Self { lifetime, defaults, expiry_buffer: Duration::from_secs(buffer_minutes * 60), jitter: None }
    }

    /// An empty cache.
    pub(crate) fn cache(self, now: TimePoint) -> SimulatedCache {
        // The caches are built only for their settings.
        match self.defaults {
            Defaults::Core => {
                let builder = TokenCache::builder(mock_source::<()>().0);
                let builder = self.jitter.into_iter().fold(builder, TokenCacheBuilder::jitter);
                SimulatedCache::with_settings_of(&builder.build(), now)
            }
            Defaults::Aws => {
                let builder = token_cache_aws::credential_cache(mock_source().0);
                let builder = self.jitter.into_iter().fold(builder, TokenCacheBuilder::jitter);
                SimulatedCache::with_settings_of(&builder.build(), now)
            }
        }
    }

    /// The mean time between two refreshes in the background. Jitter is 10 % of the buffer, so its mean is 5 %.
    pub(crate) fn period(self) -> Duration {
        self.lifetime - self.expiry_buffer * 21 / 20
    }

    pub(crate) fn name(self) -> String {
        let defaults = match self.defaults {
            Defaults::Core => "core",
            Defaults::Aws => "AWS",
        };
        format!("{}, {defaults}", humantime::format_duration(self.lifetime))
    }
}

const HOUR: Duration = Duration::from_secs(3600);
