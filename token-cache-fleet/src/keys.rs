//! [`Keys`]: the secret keys that the processes of a fleet share.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

/// Keys that seal tokens with XChaCha20-Poly1305. All processes of a fleet have the same.
///
/// `Debug` shows no key. Keys are wiped when they are dropped.
///
/// # Rotation
///
/// First add the new key to all processes [as one that opens](Self::and_open), then make it the first one in all processes,
/// then remove the old one. Each key has its own records, so processes with different keys only fetch more often: once per
/// rotation and key.
#[derive(Clone)]
pub struct Keys {
    seals: Key,
    opens: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    cipher: XChaCha20Poly1305,
    /// In hexadecimal digits. It tells keys apart and does not help to find them.
    fingerprint: String,
}

impl Keys {
    /// A key of 32 random bytes.
    ///
    /// ```
    /// # use token_cache_fleet::Keys;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let key = [7; 32];
    /// let keys = Keys::new(key); // 32 random bytes, the same in all processes
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(key: [u8; KEY_LEN]) -> Self {
        Self { seals: Key::new(key), opens: Vec::new() }
    }

    /// Adds a key that only opens what another process has sealed with it.
    ///
    /// ```
    /// # use token_cache_fleet::Keys;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (new, old) = ([8; 32], [7; 32]);
    /// let keys = Keys::new(new).and_open(old); // while processes with the old key exist
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn and_open(mut self, key: [u8; KEY_LEN]) -> Self {
        self.opens.push(Key::new(key));
        self
    }

    /// Reads keys of 64 hexadecimal digits, one a line: the first one seals, all of them open. `openssl rand -hex 32` makes one.
    /// Empty lines and lines that start with `#` are ignored.
    ///
    /// # Errors
    ///
    /// The file cannot be read, has no key, or has another line ([`InvalidData`](io::ErrorKind::InvalidData)). The error does not
    /// contain the line.
    ///
    /// ```no_run
    /// # use token_cache_fleet::Keys;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let keys = Keys::from_file("/etc/my-service/fleet.key")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let mut keys: Option<Self> = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut key = [0; KEY_LEN];
            hex::decode_to_slice(line, &mut key).map_err(|_| {
                let problem = format!("{}:{}: not a key of 64 hexadecimal digits", path.display(), number + 1);
                io::Error::new(io::ErrorKind::InvalidData, problem)
            })?;
            keys = Some(match keys {
                Some(keys) => keys.and_open(key),
                None => Self::new(key),
            });
        }
        keys.ok_or_else(|| {
            let problem = format!("{}: no key: write one with `openssl rand -hex 32`", path.display());
            io::Error::new(io::ErrorKind::InvalidData, problem)
        })
    }

    /// Encrypts `content`, and binds it to `context`, which [`open`](Self::open) has to repeat. `None`: the system has no random
    /// numbers.
    pub(crate) fn seal(&self, context: &[u8], content: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload { msg: content, aad: context };
        let encrypted = self.seals.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([&nonce[..], &encrypted].concat())
    }

    /// `None`: the content was sealed with another key or for another context, or it was changed.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, encrypted) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let payload = || Payload { msg: encrypted, aad: context };
        let mut keys = std::iter::once(&self.seals).chain(&self.opens);
        keys.find_map(|key| key.cipher.decrypt(&XNonce::from(*nonce), payload()).ok()).map(Zeroizing::new)
    }

    /// Of the key that seals.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.seals.fingerprint
    }

    /// Of the other keys.
    pub(crate) fn other_fingerprints(&self) -> impl Iterator<Item = &str> {
        self.opens.iter().map(|key| &*key.fingerprint)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("opens", &self.opens.len()).finish_non_exhaustive()
    }
}

impl Key {
    fn new(mut key: [u8; KEY_LEN]) -> Self {
        let cipher = XChaCha20Poly1305::new((&key).into());
        key.zeroize();
        // The authentication tag of nothing. A nonce at random is never this one.
        let nothing = Payload { msg: &[], aad: b"token-cache-fleet/fingerprint" };
        let tag = cipher.encrypt(&XNonce::from([0xff; NONCE_LEN]), nothing).unwrap_or_default();
        Self { cipher, fingerprint: hex::encode(&tag[..tag.len().min(8)]) }
    }
}

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_content_opens_only_with_its_key_and_context() {
        let (old, new) = (Keys::new([1; 32]), Keys::new([2; 32]));
        let sealed = old.seal(b"context", b"content").unwrap();
        assert_eq!(*old.open(b"context", &sealed).unwrap(), b"content");
        assert!(old.open(b"other", &sealed).is_none());
        assert!(new.open(b"context", &sealed).is_none());
        assert_eq!(*new.and_open([1; 32]).open(b"context", &sealed).unwrap(), b"content");
        for n in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[n] ^= 1;
            assert!(old.open(b"context", &changed).is_none() && old.open(b"context", &sealed[..n]).is_none());
        }
    }

    #[test]
    fn a_file_has_a_key_per_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            fs::write(file.path(), text).unwrap();
            Keys::from_file(file.path())
        };
        let (first, second) = ("01".repeat(32), "02".repeat(32));
        let keys = read(&format!("# keys\n{first}\r\n\n {second}\n")).unwrap();
        let sealed = Keys::new([2; 32]).seal(b"", b"content").unwrap();
        assert!(keys.open(b"", &sealed).is_some());
        assert!(Keys::new([1; 32]).open(b"", &keys.seal(b"", b"content").unwrap()).is_some());
        for (text, message) in
            [("", "no key"), ("abc", ":1: not a key"), (&format!("{first}\n{first}0"), ":2: not a key")]
        {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(message) && !error.contains("0101"), "{error}");
        }
        assert!(!format!("{keys:?}").contains("1, 1"), "{keys:?}");
    }
}
