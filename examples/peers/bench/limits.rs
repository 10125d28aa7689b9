//! [`Limit`]: a measured figure and the most that it may be.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::allocations::Allocations;
use crate::cold_start::ColdStarts;
use crate::hits::{Comparison, Hits};
use crate::rotation::{RefreshResult, Rotations};
use crate::stats::Quartiles;

pub(crate) struct Limits(Vec<Limit>);

struct Limit {
    key: &'static str,
    description: String,
    /// The limit applies to the median.
    measured: Quartiles,
    at_most: f64,
}

/// The comparisons of hits and the limits of their ratios. The `seed` is the hand-written provider from which this project
/// started.
const HITS: [(Comparison, f64); 10] = [
    (comparison("static_1", "token-cache", "static", 1), 1.6),
    (comparison("static_2", "token-cache", "static", 2), 1.6),
    (comparison("object_store_1", "token-cache", "object_store", 1), 0.45),
    (comparison("object_store_2", "token-cache", "object_store", 2), 0.45),
    (comparison("seed_1", "token-cache", "hand-written", 1), 0.6),
    (comparison("seed_2", "token-cache", "hand-written", 2), 1.0),
    (comparison("moka_1", "token-cache", "moka", 1), 0.25),
    (comparison("google_1", "token-cache", "google-cloud-auth", 1), 0.3),
    (comparison("near_expiry_1", "token-cache, near expiry", "token-cache", 1), 1.1),
    (comparison("native_1", "native get", "arc-swap and a clock", 1), 1.1),
];

const fn comparison(key: &'static str, case: &'static str, reference: &'static str, tasks: usize) -> Comparison {
    Comparison { key, case, reference, tasks }
}

pub(crate) fn comparisons() -> [Comparison; HITS.len()] {
    HITS.map(|(comparison, _)| comparison)
}

impl Limits {
    pub(crate) fn new(
        hits: &Hits,
        rotations: &Rotations,
        cold_starts: &ColdStarts,
        allocations: &Allocations,
    ) -> anyhow::Result<Self> {
        let mut limits = Vec::new();
        for (Comparison { key, case, reference, tasks }, at_most) in HITS {
            let tasks = if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") };
            let description = format!("{case} / {reference}, {tasks}");
            limits.push(Limit { key, description, measured: hits.ratio(key)?, at_most });
        }
        let mut add = |key, description: &str, measured, at_most| {
            limits.push(Limit { key, description: description.to_owned(), measured, at_most });
        };
        let slowest = "slowest read in a rotation, token-cache / object_store";
        add("rotation_ok", slowest, rotations.ratio(RefreshResult::Success)?, 0.01);
        add("rotation_failed", slowest, rotations.ratio(RefreshResult::Failure)?, 0.01);
        add("wake_100k", "cold start, token-cache / `watch`", cold_starts.ratio(100_000)?, 0.6);
        for (key, description, measured, at_most) in [
            ("allocs_native", "allocations of `get`", allocations.native, 0.0),
            ("allocs_trait", "allocations of `get_credential`", allocations.through_trait, 1.0),
            ("cache_bytes", "bytes of a cache", allocations.cache_bytes(), 2000.0),
            ("view_bytes", "bytes of a view", allocations.view_bytes(), 1000.0),
            ("thread_bytes", "bytes for each further thread that reads", allocations.bytes_per_thread(), 0.0),
        ] {
            add(key, description, Quartiles::of([measured]), at_most);
        }
        Ok(Self(limits))
    }

    /// The keys of the limits that are exceeded.
    pub(crate) fn exceeded(&self) -> Vec<&'static str> {
        self.0.iter().filter(|limit| !limit.is_met()).map(|limit| limit.key).collect()
    }

    /// The measured figures by key.
    pub(crate) fn json(&self) -> Value {
        self.0.iter().map(|limit| (limit.key.to_owned(), json!(limit.measured.median))).collect::<Map<_, _>>().into()
    }
}

impl Limit {
    /// `false` for NaN.
    fn is_met(&self) -> bool {
        self.measured.median <= self.at_most
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| figure | | measured (quartiles) | at most | |\n|---|---|---|---|---|")?;
        for limit in &self.0 {
            let Limit { key, description, measured: Quartiles { first, median, third }, at_most } = limit;
            let verdict = if limit.is_met() { "" } else { "exceeded" };
            writeln!(f, "| {key} | {description} | {median:.4} ({first:.4} to {third:.4}) | {at_most} | {verdict} |")?;
        }
        Ok(())
    }
}
