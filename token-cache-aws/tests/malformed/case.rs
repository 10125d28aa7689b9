//! [`Case`]: one malformed input, and its expected outcome, as data.

use futures::future::BoxFuture;
use token_cache_aws::SdkSource;

use crate::fixture::{Files, Fixture};
use crate::response::Response;

/// A way to obtain credentials, and the malformed inputs of its cases.
pub(crate) struct Protocol {
    pub(crate) name: &'static str,
    /// Environment variables, in addition to those of every child.
    pub(crate) env: fn(&Fixture) -> Vec<(&'static str, String)>,
    /// The files of a source that works.
    pub(crate) files: fn(&Fixture) -> Files,
    /// The response of a server that works to a request for this path.
    pub(crate) good: fn(&str) -> Response,
    /// The profile of the cache. `None`: the whole default chain.
    pub(crate) profile: Option<&'static str>,
    /// Another source of the same credentials, for a cache on the virtual clock. `None`: that of the profile or the chain.
    pub(crate) source: Option<fn() -> BoxFuture<'static, SdkSource>>,
    /// Each error must have at least one of these texts.
    pub(crate) mentions: &'static [&'static str],
    pub(crate) cases: fn() -> Vec<Case>,
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) input: Input,
    pub(crate) outcome: Outcome,
    /// Whether the SDK makes its default number of attempts. Otherwise it makes one, where that can be configured.
    pub(crate) is_retried: bool,
}

/// What is malformed.
pub(crate) enum Input {
    /// The response to requests for paths that end with `path`. All others get the good response.
    Response { path: &'static str, response: Response },
    /// Files that replace the good ones of the same names.
    Files(Files),
    /// A file that is missing.
    MissingFile(&'static str),
}

pub(crate) enum Outcome {
    /// The fetch fails, and the error has all these texts.
    Fails(Vec<&'static str>),
    /// The fetch does not end before its `fetch_timeout`.
    TimesOut,
    /// The SDK accepts the input. The text says why.
    Accepted(&'static str),
}

impl<const N: usize> From<[&'static str; N]> for Outcome {
    fn from(texts: [&'static str; N]) -> Self {
        Self::Fails(texts.into())
    }
}

impl From<&[&'static str]> for Outcome {
    fn from(texts: &[&'static str]) -> Self {
        Self::Fails(texts.into())
    }
}

impl Case {
    pub(crate) fn response(name: &'static str, response: impl Into<Response>, outcome: impl Into<Outcome>) -> Self {
        Self::response_to("", name, response, outcome)
    }

    pub(crate) fn response_to(
        path: &'static str,
        name: &'static str,
        response: impl Into<Response>,
        outcome: impl Into<Outcome>,
    ) -> Self {
        Self::new(name, Input::Response { path, response: response.into() }, outcome.into())
    }

    pub(crate) fn files(name: &'static str, files: Files, outcome: impl Into<Outcome>) -> Self {
        Self::new(name, Input::Files(files), outcome.into())
    }

    pub(crate) fn missing_file(name: &'static str, file: &'static str, outcome: impl Into<Outcome>) -> Self {
        Self::new(name, Input::MissingFile(file), outcome.into())
    }

    pub(crate) fn retried(mut self) -> Self {
        self.is_retried = true;
        self
    }

    const fn new(name: &'static str, input: Input, outcome: Outcome) -> Self {
        Self { name, input, outcome, is_retried: false }
    }
}
