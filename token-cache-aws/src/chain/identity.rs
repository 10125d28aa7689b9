//! [`Identity`]: whose credentials a configuration leads to.

use std::fmt;

/// Whose credentials a configuration leads to, as far as the configuration says it. Two fetches of one cache must agree.
#[derive(Clone)]
pub(super) struct Identity {
    /// For error messages, such as "the profile "default"".
    source: String,
    /// Names and values of what selects the identity.
    parts: Vec<(String, String)>,
    /// `None`: not known.
    account: Option<u64>,
}

impl Identity {
    pub(super) const fn new(source: String) -> Self {
        Self { source, parts: Vec::new(), account: None }
    }

    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.parts.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.add(name, value);
        self
    }

    /// Does nothing if the account is not known.
    pub(super) fn set_account(&mut self, account: Option<u64>) {
        self.account = account.or(self.account);
    }

    /// How the source of `other` differs.
    pub(super) fn source_difference(&self, other: &Self) -> Option<String> {
        (self.source != other.source).then(|| format!("{self}, and now are from {other}"))
    }

    /// How `other` differs. An account that is not known is no difference.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let source = self.source_difference(other);
        if source.is_some() {
            return source;
        }
        if self.parts != other.parts {
            let part = self.parts.iter().find(|part| !other.parts.contains(part)).or_else(|| other.parts.last());
            let name = part.map_or("source", |(name, _)| name);
            return Some(format!("{self}, where {name} has changed"));
        }
        match (self.account, other.account) {
            (Some(before), Some(now)) if before != now => {
                Some(format!("{self} in the account {before:012}, and now are from the account {now:012}"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}
