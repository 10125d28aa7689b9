//! [`AwsCodec`]: AWS credentials as bytes, for token-cache-fleet.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use token_cache_core::BoxError;
use token_cache_fleet::Codec;

/// The codec of AWS credentials for token-cache-fleet.
///
/// It keeps the access key id, the secret access key, the session token, the expiry and the account id.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to add")]
pub struct AwsCodec;

impl Codec<Credentials> for AwsCodec {
    fn encode(&self, credentials: &Credentials) -> Vec<u8> {
        let account_id = credentials.account_id().map(|id| id.as_str());
        let mut bytes = Vec::new();
        for field in [
            Some(credentials.access_key_id()),
            Some(credentials.secret_access_key()),
            credentials.session_token(),
            account_id,
        ] {
            let len = field.map_or(NONE, |field| u32::try_from(field.len()).unwrap_or(NONE));
            bytes.extend(len.to_be_bytes());
            bytes.extend(field.unwrap_or_default().as_bytes());
        }
        if let Some(expiry) = credentials.expiry() {
            let since_epoch = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            bytes.extend(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX).to_be_bytes());
        }
        bytes
    }

    fn decode(&self, bytes: &[u8]) -> Result<Credentials, BoxError> {
        decode(bytes).ok_or_else(|| "not AWS credentials of this version".into())
    }
}

fn decode(mut bytes: &[u8]) -> Option<Credentials> {
    let mut field = || {
        let (len, rest) = bytes.split_first_chunk()?;
        bytes = rest;
        match u32::from_be_bytes(*len) {
            NONE => Some(None),
            len => {
                let (field, rest) = bytes.split_at_checked(len as usize)?;
                bytes = rest;
                Some(Some(std::str::from_utf8(field).ok()?.to_owned()))
            }
        }
    };
    let (key_id, secret, session_token, account_id) = (field()??, field()??, field()?, field()?);
    let expiry = match bytes {
        [] => None,
        millis => {
            let millis = Duration::from_millis(u64::from_be_bytes(millis.try_into().ok()?));
            Some(SystemTime::UNIX_EPOCH.checked_add(millis)?)
        }
    };
    let mut builder = Credentials::builder().access_key_id(key_id).secret_access_key(secret);
    builder.set_session_token(session_token);
    builder.set_expiry(expiry);
    builder.set_account_id(account_id.map(Into::into));
    Some(builder.provider_name("TokenCacheFleet").build())
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_decoded_as_they_were_encoded() {
        let expiry = SystemTime::UNIX_EPOCH + Duration::from_millis(1_900_000_000_123);
        let full = Credentials::builder().access_key_id("id").secret_access_key("secret").session_token("token");
        let full = full.expiry(expiry).account_id("111111111111").provider_name("test").build();
        let plain = Credentials::new("id", "secret", None, None, "test");
        for credentials in [full, plain] {
            let bytes = AwsCodec.encode(&credentials);
            let decoded = AwsCodec.decode(&bytes).unwrap();
            assert!(crate::credential_cache::is_same(&decoded, &credentials));
            assert_eq!((decoded.expiry(), decoded.account_id()), (credentials.expiry(), credentials.account_id()));
            for len in 0..bytes.len() {
                // The expiry is optional, so the rest is a valid encoding too.
                let has_no_expiry = credentials.expiry().is_some() && len + 8 == bytes.len();
                assert_eq!(AwsCodec.decode(&bytes[..len]).is_ok(), has_no_expiry, "{len}");
            }
            assert!(AwsCodec.decode(&[bytes, vec![0]].concat()).is_err());
        }
    }
}
