//! [`Case`]: one thing that is malformed, and what is to come of it. As data.

use futures::future::BoxFuture;
use token_cache_aws::{SdkSource, defaults};

use crate::answer::Reply;
use crate::place::{Files, Place};

/// A way to credentials, and what may be malformed on it.
pub(crate) struct Protocol {
    pub(crate) name: &'static str,
    /// What the environment has, beside what every child's has.
    pub(crate) env: fn(&Place) -> Vec<(&'static str, String)>,
    /// The files of a source that is well.
    pub(crate) files: fn(&Place) -> Files,
    /// What a server that is well answers to a request for this path.
    pub(crate) good: fn(&str) -> Reply,
    /// The profile that the cache is for. None: the whole chain.
    pub(crate) profile: Option<&'static str>,
    /// The SDK's provider as a source, for caches with settings of their own. None: it reads its files once and for all, so
    /// it does not recover.
    pub(crate) source: Option<fn() -> BoxFuture<'static, SdkSource>>,
    /// What each error has to name, in one of these words.
    pub(crate) link: &'static [&'static str],
    pub(crate) cases: fn() -> Vec<Case>,
}

/// The SDK's default chain, made once.
pub(crate) fn sdk_chain() -> BoxFuture<'static, SdkSource> {
    Box::pin(async { SdkSource::from_sdk_config(&defaults().load().await).unwrap() })
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bad: Bad,
    pub(crate) outcome: Outcome,
    /// With the SDK's own number of attempts, where it can be set. Else there is one, as each is as malformed.
    pub(crate) is_retried: bool,
}

pub(crate) enum Bad {
    /// What the server answers to a request for a path that ends so. To others it answers as if it were well.
    Answer { to: &'static str, reply: Reply },
    /// These in place of the good ones of the same name.
    Files(Files),
    /// The file of this name is missing.
    Gone(&'static str),
}

pub(crate) enum Outcome {
    /// A failed fetch, and these words in its error.
    Refused(Vec<&'static str>),
    /// A fetch that outlasts the `fetch_timeout`, which is short there.
    Slow,
    /// Credentials as any other, and why: the SDK does not refuse them.
    Taken(&'static str),
}

impl<const N: usize> From<[&'static str; N]> for Outcome {
    fn from(words: [&'static str; N]) -> Self {
        Self::Refused(words.into())
    }
}

impl From<&[&'static str]> for Outcome {
    fn from(words: &[&'static str]) -> Self {
        Self::Refused(words.into())
    }
}

impl Case {
    pub(crate) fn answer(name: &'static str, reply: impl Into<Reply>, outcome: impl Into<Outcome>) -> Self {
        Self::answer_to("", name, reply, outcome)
    }

    pub(crate) fn answer_to(
        to: &'static str,
        name: &'static str,
        reply: impl Into<Reply>,
        outcome: impl Into<Outcome>,
    ) -> Self {
        Self::new(name, Bad::Answer { to, reply: reply.into() }, outcome.into())
    }

    pub(crate) fn files(name: &'static str, files: Files, outcome: impl Into<Outcome>) -> Self {
        Self::new(name, Bad::Files(files), outcome.into())
    }

    pub(crate) fn gone(name: &'static str, file: &'static str, outcome: impl Into<Outcome>) -> Self {
        Self::new(name, Bad::Gone(file), outcome.into())
    }

    pub(crate) fn retried(mut self) -> Self {
        self.is_retried = true;
        self
    }

    pub(crate) const fn is_slow(&self) -> bool {
        matches!(self.outcome, Outcome::Slow)
    }

    const fn new(name: &'static str, bad: Bad, outcome: Outcome) -> Self {
        Self { name, bad, outcome, is_retried: false }
    }
}
