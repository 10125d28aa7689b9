//! [`Codec`]: tokens as bytes.

use token_cache_core::BoxError;

/// Converts tokens to bytes and back. The bytes are sealed before they leave the process.
///
/// ```
/// use token_cache_core::BoxError;
/// use token_cache_fleet::Codec;
///
/// struct Text;
///
/// impl Codec<String> for Text {
///     fn encode(&self, token: &String) -> Vec<u8> {
///         token.clone().into_bytes()
///     }
///
///     fn decode(&self, bytes: &[u8]) -> Result<String, BoxError> {
///         Ok(String::from_utf8(bytes.to_vec())?)
///     }
/// }
/// # assert_eq!(Text.decode(&Text.encode(&"a".to_owned())).unwrap(), "a");
/// ```
pub trait Codec<T>: Send + Sync + 'static {
    /// Returns the bytes of a token.
    fn encode(&self, token: &T) -> Vec<u8>;

    /// Returns the token.
    ///
    /// # Errors
    ///
    /// The bytes are of another version of the program. The token is then fetched.
    fn decode(&self, bytes: &[u8]) -> Result<T, BoxError>;
}

/// The codec of tokens that are a `String`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to add")]
pub struct Utf8;

impl Codec<String> for Utf8 {
    fn encode(&self, token: &String) -> Vec<u8> {
        token.clone().into_bytes()
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, BoxError> {
        Ok(std::str::from_utf8(bytes)?.to_owned())
    }
}
