//! [`Response`]: what a server sends, byte by byte, and builders for responses and their bodies.

use crate::canary;

/// What a server sends over a connection before it closes it.
pub(crate) enum Response {
    Bytes(Vec<u8>),
    /// One byte at a time, with pauses.
    ByteByByte(Vec<u8>),
    /// The head, this many spaces, and the rest of the body.
    Padded {
        head: Vec<u8>,
        spaces: usize,
        body: Vec<u8>,
    },
    /// The bytes, and then a reset of the connection.
    Reset(Vec<u8>),
    /// Nothing. The connection stays open.
    Hang,
}

impl Response {
    /// A body that starts with 20 MB of spaces.
    pub(crate) fn padded(body: impl Into<Vec<u8>>) -> Self {
        let (body, spaces) = (body.into(), 20 << 20);
        let length = body.len() + spaces;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        Self::Padded { head: head.into(), spaces, body }
    }
}

impl From<Vec<u8>> for Response {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&str> for Response {
    fn from(text: &str) -> Self {
        Self::Bytes(text.into())
    }
}

/// A response with a well-formed head.
pub(crate) fn http(status: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    http_with(status, &[], body)
}

pub(crate) fn http_with(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    [format!("{head}\r\n").as_bytes(), body].concat()
}

pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    http("200 OK", body)
}

pub(crate) fn redirect(to: &str) -> Vec<u8> {
    http_with("302 Found", &[("Location", to)], "")
}

/// The part of `whole` up to the end of `mark`.
pub(crate) fn cut_after(whole: impl AsRef<[u8]>, mark: &str) -> Vec<u8> {
    let whole = whole.as_ref();
    let at = whole.windows(mark.len()).position(|part| part == mark.as_bytes()).expect("the whole contains the mark");
    whole[..at + mark.len()].to_vec()
}

/// The login page of a captive portal, with a session in it.
pub(crate) fn portal() -> String {
    let session = canary::TOKEN;
    format!("<!DOCTYPE html><html data-session=\"{session}\"><body>\n<p>Welcome. Log in, {session}.</p></body></html>")
}

pub(crate) const BINARY: &[u8] = b"\x1f\x8b\x08\x00\xff\xfe\x00\xc3\x28SecretAccessKey\xe2\x28\xa1\xf0\x28\x8c\xbc";
pub(crate) const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// The fields of a set of credentials, with values in the syntax of their document.
pub(crate) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// For a JSON document. `token` is the name of the field for the session token.
    pub(crate) fn json(token: &'static str, is_good: bool) -> Self {
        Self::new(token, is_good, |text| format!("\"{text}\""))
    }

    /// For the XML of STS.
    pub(crate) fn xml(is_good: bool) -> Self {
        Self::new("SessionToken", is_good, str::to_owned)
    }

    fn new(token: &'static str, is_good: bool, write: fn(&str) -> String) -> Self {
        let [id, secret, session] = match is_good {
            true => [canary::GOOD_KEY_ID, canary::GOOD_SECRET, canary::GOOD_TOKEN],
            false => [canary::KEY_ID, canary::SECRET, canary::TOKEN],
        };
        let fields = [
            ("AccessKeyId", id),
            ("SecretAccessKey", secret),
            (token, session),
            ("Expiration", "2099-01-01T00:00:00Z"),
        ];
        Self(fields.map(|(name, value)| (name, write(value))).into())
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        match self.0.iter_mut().find(|field| field.0 == name) {
            Some(field) => field.1 = value.into(),
            None => self.0.push((name, value.into())),
        }
        self
    }

    /// Adds a field at the end, even if there is one of this name.
    pub(crate) fn and(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        let all = self.0.len();
        self.0.retain(|field| field.0 != name);
        assert!(self.0.len() < all, "there is no {name}");
        self
    }

    pub(crate) fn to_json(&self) -> String {
        let fields: Vec<_> = self.0.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", fields.join(", "))
    }

    pub(crate) fn to_xml(&self) -> String {
        self.0.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect()
    }
}
