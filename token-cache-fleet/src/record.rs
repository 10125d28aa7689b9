//! [`Record`]: what a store keeps for a token.

use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use crate::keys::Keys;
use crate::plan::{Holder, Id, Renewal, RenewalKind, TokenInfo};

/// The content of a record. The token and the error are sealed; the rest is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) renewal: Option<Renewal>,
    /// Shows that the renewal was written by a process with the keys, and contains the error of one that has failed.
    pub(crate) error: Vec<u8>,
    pub(crate) token: Vec<u8>,
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend(header(self.renewal.as_ref()));
        for sealed in [&self.error, &self.token] {
            // A token of 4 GiB is not stored.
            let len = u32::try_from(sealed.len()).unwrap_or(0);
            bytes.extend(len.to_be_bytes());
            bytes.extend(&sealed[..len as usize]);
        }
        bytes
    }

    /// `None`: the bytes are not of this format. Whatever they are, there is no panic.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.array::<1>()? != [FORMAT] {
            return None;
        }
        let kind = match reader.array::<1>()? {
            [NO_RENEWAL] => None,
            [FETCHING] => Some(RenewalKind::Fetching),
            [PAUSED] => Some(RenewalKind::Paused),
            _ => return None,
        };
        let renewal = match kind {
            None => None,
            Some(kind) => Some(Renewal {
                kind,
                holder: Holder { id: Id(reader.array()?), beat: u32::from_be_bytes(reader.array()?) },
                duration: Duration::from_millis(reader.u64()?),
                written_at: time(reader.u64()?)?,
            }),
        };
        let (error, token) = (reader.bytes()?.to_vec(), reader.bytes()?.to_vec());
        reader.0.is_empty().then_some(Self { renewal, error, token })
    }
}

/// The part of a record that is not sealed. The error is bound to it.
fn header(renewal: Option<&Renewal>) -> Vec<u8> {
    let Some(renewal) = renewal else { return vec![NO_RENEWAL] };
    let mut bytes = vec![match renewal.kind {
        RenewalKind::Fetching => FETCHING,
        RenewalKind::Paused => PAUSED,
    }];
    bytes.extend(renewal.holder.id.0);
    bytes.extend(renewal.holder.beat.to_be_bytes());
    bytes.extend(u64::try_from(renewal.duration.as_millis()).unwrap_or(u64::MAX).to_be_bytes());
    bytes.extend(millis(renewal.written_at).to_be_bytes());
    bytes
}

/// Seals and opens the parts of the records of one token.
pub(crate) struct Sealer {
    pub(crate) keys: Keys,
    pub(crate) name: Box<str>,
}

impl Sealer {
    pub(crate) fn seal_token(&self, info: &TokenInfo, token: &[u8]) -> Option<Vec<u8>> {
        let time = |time: Option<SystemTime>| time.map_or(NEVER, millis).to_be_bytes();
        let content = [&info.id.0[..], &time(info.expires_at), &time(info.refresh_at), token].concat();
        self.keys.seal(&self.context("token", &[]), &Zeroizing::new(content))
    }

    pub(crate) fn open_token(&self, sealed: &[u8]) -> Option<(TokenInfo, Zeroizing<Vec<u8>>)> {
        let content = self.keys.open(&self.context("token", &[]), sealed)?;
        let mut reader = Reader(&content);
        let id = Id(reader.array()?);
        let mut time = || match reader.u64()? {
            NEVER => Some(None),
            millis => time(millis).map(Some),
        };
        let (expires_at, refresh_at) = (time()?, time()?);
        let token = Zeroizing::new(reader.0.to_vec());
        Some((TokenInfo { id, expires_at, refresh_at }, token))
    }

    pub(crate) fn seal_error(&self, renewal: &Renewal, error: &str) -> Option<Vec<u8>> {
        self.keys.seal(&self.context("error", &header(Some(renewal))), error.as_bytes())
    }

    pub(crate) fn open_error(&self, renewal: &Renewal, sealed: &[u8]) -> Option<String> {
        let content = self.keys.open(&self.context("error", &header(Some(renewal))), sealed)?;
        std::str::from_utf8(&content).ok().map(str::to_owned)
    }

    /// What sealed content is bound to: a token must not open as an error, nor under another name.
    fn context(&self, kind: &str, header: &[u8]) -> Vec<u8> {
        [b"token-cache-fleet/", &[FORMAT][..], kind.as_bytes(), b"/", header, self.name.as_bytes()].concat()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_be_bytes(self.array()?) as usize;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// Since 1970. Earlier times are stored as 1970.
fn millis(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(NEVER)
}

fn time(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

/// The first byte of a record.
const FORMAT: u8 = 1;

const NO_RENEWAL: u8 = 0;
const FETCHING: u8 = 1;
const PAUSED: u8 = 2;

const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer { keys: Keys::new([7; 32]), name: "name".into() }
    }

    fn record() -> (Record, TokenInfo) {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let info = TokenInfo { id: Id([1; 16]), expires_at: Some(at(2_000_000_000)), refresh_at: None };
        let holder = Holder { id: Id([2; 16]), beat: 3 };
        let duration = Duration::from_millis(3500);
        let renewal = Renewal { kind: RenewalKind::Paused, holder, duration, written_at: at(1_900_000_000) };
        let error = sealer().seal_error(&renewal, "an error").unwrap();
        let token = sealer().seal_token(&info, b"hunter2").unwrap();
        (Record { renewal: Some(renewal), error, token }, info)
    }

    #[test]
    fn a_record_is_decoded_as_it_was_encoded() {
        let (record, info) = record();
        let decoded = Record::decode(&record.encode()).unwrap();
        assert_eq!(decoded, record);
        let (opened, token) = sealer().open_token(&decoded.token).unwrap();
        assert_eq!((opened, &token[..]), (info, &b"hunter2"[..]));
        assert_eq!(sealer().open_error(&decoded.renewal.unwrap(), &decoded.error).unwrap(), "an error");
        assert_eq!(Record::decode(&Record::default().encode()), Some(Record::default()));
    }

    #[test]
    fn nothing_of_a_token_or_an_error_is_in_the_clear() {
        let (record, _) = record();
        let bytes = String::from_utf8_lossy(&record.encode()).into_owned();
        assert!(!bytes.contains("hunter2") && !bytes.contains("an error") && !bytes.contains("name"), "{bytes}");
        assert!(!format!("{record:?}").contains("hunter2"));
    }

    #[test]
    fn an_error_belongs_to_its_pause_and_a_token_to_its_name() {
        let (record, _) = record();
        let mut longer = record.renewal.unwrap();
        longer.duration = Duration::from_secs(86_400);
        assert_eq!(sealer().open_error(&longer, &record.error), None);
        assert!(Sealer { name: "other".into(), ..sealer() }.open_token(&record.token).is_none());
        assert!(sealer().open_token(&record.error).is_none());
    }

    #[test]
    fn garbage_is_no_record() {
        let valid = record().0.encode();
        let mut garbage: Vec<Vec<u8>> = (0..valid.len()).map(|len| valid[..len].to_vec()).collect();
        for n in 0..valid.len() {
            for bits in [1, 0x80, 0xff] {
                let mut changed = valid.clone();
                changed[n] ^= bits;
                garbage.push(changed);
            }
        }
        garbage.extend((0..=255).map(|byte| vec![byte; 100]));
        for bytes in garbage {
            // A changed record may be decoded. Then what is sealed in it does not open, or is as it was.
            let Some(decoded) = Record::decode(&bytes) else { continue };
            let token = sealer().open_token(&decoded.token);
            assert!(token.is_none_or(|(_, token)| *token == b"hunter2"));
            let error = decoded.renewal.and_then(|renewal| sealer().open_error(&renewal, &decoded.error));
            assert!(error.is_none_or(|error| error == "an error"));
        }
    }
}
