//! The examples of token-cache. Start with `cargo run --release --example s3`.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
