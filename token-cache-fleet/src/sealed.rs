//! [`seal`] and [`open`]: a token in a message.

use std::time::SystemTime;

use token_cache_core::TemporaryToken;
use zeroize::Zeroizing;

use crate::codec::Codec;
use crate::error::FleetError;
use crate::keys::Keys;
use crate::plan::TokenInfo;
use crate::random;
use crate::record::Sealer;
use crate::source::temporary_token;

/// Encrypts a token and its expiry for a plan, a message or an RPC to a process with the same keys. `None` in place of the expiry:
/// the token never expires. The name has to be the same on both sides: a token of one role does not open as one of another.
///
/// # Errors
///
/// [`FleetError::NoRandom`].
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// use token_cache_fleet::{Keys, Utf8, open, seal};
///
/// # let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
/// let keys = Keys::new([7; 32]);
/// let message = seal(&Utf8, &keys, "reader", &"token".to_owned(), Some(expires_at))?;
/// let token = open(&Utf8, &keys, "reader", &message)?;
/// assert_eq!(token.value(), "token");
/// assert!(open(&Utf8, &keys, "writer", &message).is_err());
/// # Ok::<_, token_cache_fleet::FleetError>(())
/// ```
pub fn seal<T>(
    codec: &impl Codec<T>,
    keys: &Keys,
    name: &str,
    token: &T,
    expires_at: Option<SystemTime>,
) -> Result<Vec<u8>, FleetError> {
    let info = TokenInfo { id: random::id().ok_or(FleetError::NoRandom)?, expires_at, refresh_at: None };
    sealer(keys, name).seal_token(&info, &Zeroizing::new(codec.encode(token))).ok_or(FleetError::NoRandom)
}

/// Decrypts what [`seal`] returned, for [`TokenCache::store`](token_cache_core::TokenCache::store),
/// [`initial`](token_cache_core::TokenCacheBuilder::initial) or a [`Pusher`](crate::Pusher).
///
/// # Errors
///
/// [`FleetError::Unsealable`], also if the codec does not know the content. An expired token is not an error here.
///
/// ```
/// use token_cache_fleet::{FleetError, Keys, Utf8, open, seal};
///
/// let keys = Keys::new([7; 32]);
/// let message = seal(&Utf8, &keys, "reader", &"token".to_owned(), None)?;
/// assert_eq!(open(&Utf8, &keys, "reader", &message)?.value(), "token");
///
/// let other = Keys::new([8; 32]);
/// assert!(matches!(open(&Utf8, &other, "reader", &message), Err(FleetError::Unsealable)));
/// # Ok::<_, FleetError>(())
/// ```
pub fn open<T>(
    codec: &impl Codec<T>,
    keys: &Keys,
    name: &str,
    message: &[u8],
) -> Result<TemporaryToken<T>, FleetError> {
    let (info, bytes) = sealer(keys, name).open_token(message).ok_or(FleetError::Unsealable)?;
    let token = codec.decode(&bytes).map_err(|_| FleetError::Unsealable)?;
    Ok(temporary_token(token, &info))
}

fn sealer(keys: &Keys, name: &str) -> Sealer {
    Sealer { keys: keys.clone(), name: name.into() }
}
