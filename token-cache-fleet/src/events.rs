//! What operators should know, as events of `tracing`.

use token_cache_core::BoxError;

#[cfg(feature = "tracing")]
pub(crate) fn store_failed(name: &str, error: &BoxError, fetches: bool) {
    if fetches {
        tracing::warn!(name, error = %error, "store for shared tokens failed, so this process fetches for itself");
    } else {
        tracing::warn!(name, error = %error, "store for shared tokens failed, refresh is postponed");
    }
}

#[cfg(feature = "tracing")]
pub(crate) fn not_published(name: &str) {
    tracing::warn!(name, "new token could not be stored for the other processes");
}

#[cfg(feature = "tracing")]
pub(crate) fn waited_in_vain(name: &str) {
    tracing::warn!(name, "another process fetches for too long, so this process fetches for itself");
}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn store_failed(_: &str, _: &BoxError, _: bool) {}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn not_published(_: &str) {}

#[cfg(not(feature = "tracing"))]
pub(crate) const fn waited_in_vain(_: &str) {}
