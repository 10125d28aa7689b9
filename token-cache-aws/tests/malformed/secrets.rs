//! Secrets of many kinds, in the ways that programs and services print them.

use crate::canary::KINDS;

/// The name of a case and a text with a secret in it.
pub(crate) fn texts() -> impl Iterator<Item = (&'static str, String)> {
    KINDS.iter().flat_map(|(kind, secret)| {
        FRAMES.iter().map(move |(place, frame)| {
            // The names live as long as the process, like those of the other cases.
            let name: &'static str = format!("{kind}, {place}").leak();
            (name, frame.replace("{}", secret))
        })
    })
}

const FRAMES: [(&str, &str); 7] = [
    ("in a sentence", "The key {} was not accepted."),
    ("in quotes", "cannot use '{}' here"),
    ("in the path of a URL", "GET https://vault.example.com/v1/{} failed"),
    ("as the password of a URL", "cannot reach https://user:{}@vault.example.com/v1"),
    ("in the query of a URL", "GET https://vault.example.com/v1?key={} failed"),
    ("in the path of a file", "cannot open /var/lib/{}/data"),
    ("in JSON", "{\"id\":\"{}\"}"),
];
