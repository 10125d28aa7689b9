//! [`Report`]: the result of a run.

use std::fmt;

use anyhow::Error;
use token_cache_aws::AwsTokenCache;
use token_cache_testing::aws::FakeAws;

/// The results of one kind of operation.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<Error>,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Report {
    queries: Outcome,
    reads: Outcome,
    /// Sessions that the cache has stored.
    stored: u64,
    /// Sessions that S3 has accepted.
    used: u64,
    issuer_calls: u64,
    /// Requests whose credentials S3 has rejected.
    rejected: u64,
}

impl Report {
    pub(crate) fn new(queries: Outcome, reads: Outcome, aws: &AwsTokenCache, fake_aws: &FakeAws) -> Self {
        let s3 = fake_aws.s3().counts();
        Self {
            queries,
            reads,
            stored: aws.cache().status().generation,
            used: s3.sessions as u64,
            issuer_calls: fake_aws.issuer().counts().assume_role,
            rejected: s3.rejected_in_all(),
        }
    }

    /// Whether nothing failed in at least three rotations, and all requests used sessions of the one cache.
    pub(crate) fn is_success(&self) -> bool {
        // A second cache would use sessions that this one has not stored. The last session may not have been used yet.
        let shared = self.used <= self.stored && self.issuer_calls <= self.used + 1;
        self.failed() == 0 && self.rejected == 0 && self.rotations() >= 3 && shared
    }

    fn failed(&self) -> u64 {
        self.queries.failed + self.reads.failed
    }

    fn rotations(&self) -> u64 {
        self.used.min(self.stored).saturating_sub(1)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "queries        {:>6}   DataFusion, object_store 0.13", self.queries.succeeded)?;
        writeln!(f, "reads          {:>6}   object_store 0.14", self.reads.succeeded)?;
        writeln!(f, "failed         {:>6}", self.failed())?;
        writeln!(f, "rotations      {:>6}   one cache for both", self.rotations())?;
        writeln!(f, "issuer calls   {:>6}   AssumeRole", self.issuer_calls)?;
        writeln!(f, "rejected by S3 {:>6}", self.rejected)?;
        for error in [&self.queries, &self.reads].into_iter().filter_map(|outcome| outcome.first_failure.as_ref()) {
            writeln!(f, "first failure: {error}")?;
        }
        Ok(())
    }
}
