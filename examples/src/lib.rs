//! The examples of token-cache. Start with `cargo run --release -p token-cache-examples --example s3`.

/// Makes `ring` the cryptography of HTTP clients. With the feature `url` it is aws-lc, as usual.
pub fn install_crypto() {
    #[cfg(not(feature = "url"))]
    // An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
