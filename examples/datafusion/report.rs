//! What came of a run.

use std::fmt;

use anyhow::Error;
use token_cache_aws::AwsTokenCache;
use token_cache_testing::aws::FakeAws;

/// Of one kind of request.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<Error>,
}

#[derive(Debug)]
pub(crate) struct Report {
    queries: Tally,
    reads: Tally,
    /// How many sessions the cache has stored.
    stored: u64,
    /// How many sessions S3 has seen.
    used: u64,
    issuer_calls: u64,
    rejected: u64,
}

impl Report {
    pub(crate) fn new(queries: Tally, reads: Tally, aws: &AwsTokenCache, kit: &FakeAws) -> Self {
        let s3 = kit.s3().counts();
        Self {
            queries,
            reads,
            stored: aws.cache().status().generation,
            used: s3.sessions as u64,
            issuer_calls: kit.issuer().counts().assume_role,
            rejected: s3.rejected_in_all(),
        }
    }

    /// Whether nothing failed through several rotations, and both sides have lived on the one cache.
    pub(crate) fn is_good(&self) -> bool {
        // A session of another cache would be one that this one has not stored. The last may not have been used yet.
        let shared = self.used <= self.stored && self.issuer_calls <= self.used + 1;
        self.failed() == 0 && self.rejected == 0 && self.rotations() >= 3 && shared
    }

    fn failed(&self) -> u64 {
        self.queries.failed + self.reads.failed
    }

    /// Of the one cache, as far as S3 has seen them.
    fn rotations(&self) -> u64 {
        self.used.min(self.stored).saturating_sub(1)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "queries        {:>6}   by DataFusion, over object_store 0.13", self.queries.done)?;
        writeln!(f, "reads          {:>6}   through object_store 0.14", self.reads.done)?;
        writeln!(f, "failed         {:>6}", self.failed())?;
        writeln!(f, "rotations      {:>6}   of one cache for both", self.rotations())?;
        writeln!(f, "issuer calls   {:>6}   AssumeRole", self.issuer_calls)?;
        writeln!(f, "rejected by S3 {:>6}", self.rejected)?;
        for error in [&self.queries, &self.reads].into_iter().filter_map(|tally| tally.first_failure.as_ref()) {
            writeln!(f, "first failure: {error}")?;
        }
        Ok(())
    }
}
