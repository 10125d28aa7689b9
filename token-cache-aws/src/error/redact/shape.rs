//! [`show`]: the parts of a line whose shape is known to be harmless.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use super::REDACTED;
use super::word::is_word;

/// Replaces each part of a line, between two spaces, that is not known to be harmless.
///
/// Harmless are words and error codes, short numbers, times, hosts, ARNs, and URLs and paths that consist of words. Parts
/// of fewer than eight characters are shown whatever they are.
pub(super) fn show(line: &str) -> String {
    let mut shown = Vec::new();
    let mut before = [""; 2];
    for part in line.split(' ') {
        shown.push(if part.chars().count() < MIN_SECRET_LEN { Cow::Borrowed(part) } else { show_part(part, before) });
        before = [before[1], part];
    }
    shown.join(" ")
}

/// `before`: the two parts before this one, which may name it.
fn show_part<'a>(part: &'a str, before: [&str; 2]) -> Cow<'a, str> {
    let inner = part.trim_start_matches(is_opening);
    let start = part.len() - inner.len();
    let end = start + inner.trim_end_matches(is_closing).len();
    let core = &part[start..end];
    if core.is_empty() {
        let is_ruler = part.chars().all(|c| part.starts_with(c));
        return if is_ruler || part.len() <= 2 * MAX_PUNCTUATION { part.into() } else { REDACTED.into() };
    }
    if start.max(part.len() - end) > MAX_PUNCTUATION {
        return REDACTED.into();
    }
    let shown = if is_request_id(core, before) { core.into() } else { show_core(core, before[1]) };
    format!("{}{shown}{}", &part[..start], &part[end..]).into()
}

/// `port=8200` has a name and a value.
fn show_core<'a>(core: &'a str, before: &str) -> Cow<'a, str> {
    let Some((name, value)) = core.split_once('=').filter(|(name, _)| is_segment(name)) else {
        return show_value(core, before);
    };
    let inner = value.trim_start_matches(is_opening);
    let quotes = &value[..value.len() - inner.len()];
    if quotes.len() > MAX_PUNCTUATION {
        return REDACTED.into();
    }
    format!("{name}={quotes}{}", show_value(inner, name)).into()
}

fn show_value<'a>(value: &'a str, before: &str) -> Cow<'a, str> {
    if let Some((scheme, rest)) = value.split_once("://") {
        return show_url(scheme, rest).into();
    }
    if is_arn(value) || is_time(value) || is_authority(value) || is_region(value) || is_variable(value) {
        return value.into();
    }
    if value.starts_with(['/', '~', '.']) && !value.contains(is_structure) {
        return show_path(value).into();
    }
    if is_composite(value, before) { value.into() } else { REDACTED.into() }
}

/// Scheme and host, and the path up to the first part that is not harmless. Never the user or the query.
fn show_url(scheme: &str, rest: &str) -> String {
    let mut shown =
        if is_word(scheme) || scheme == "s3" { format!("{scheme}://") } else { return REDACTED.to_owned() };
    // A password may contain a slash, so whatever precedes the last `@` is hidden.
    let rest = match rest.rsplit_once('@') {
        Some((_, rest)) => {
            shown += REDACTED;
            shown.push('@');
            rest
        }
        None => rest,
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if !is_authority(authority) {
        return shown + REDACTED;
    }
    shown += authority;
    let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    for segment in path.split_inclusive('/') {
        if !is_path_segment(segment.trim_end_matches('/')) {
            return shown + REDACTED;
        }
        shown += segment;
    }
    match query.chars().next() {
        Some(mark) if query.contains(|c: char| c.is_alphanumeric()) => format!("{shown}{mark}{REDACTED}"),
        _ => shown + query,
    }
}

/// `eu-central-1`.
fn is_region(value: &str) -> bool {
    let Some((area, number)) = value.rsplit_once('-') else { return false };
    let mut pieces = area.split('-');
    let is_short_word = |piece: &str| piece.len() <= 9 && piece.bytes().all(|c| c.is_ascii_lowercase());
    pieces.next().is_some_and(|country| country.len() == 2 && is_short_word(country))
        && (1..=2).contains(&pieces.clone().count())
        && pieces.all(|piece| piece.len() >= 3 && is_short_word(piece))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|c| c.is_ascii_digit())
}

/// `AWS_EC2_METADATA_DISABLED`.
fn is_variable(value: &str) -> bool {
    let is_piece = |piece: &str| {
        (piece.bytes().all(|c| c.is_ascii_uppercase()) && is_word(piece)) || ["EC2", "S3", "SHA256"].contains(&piece)
    };
    value.strip_prefix("AWS_").is_some_and(|rest| rest.split('_').all(is_piece))
}

fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let is_ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    port.len() <= 5 && port.bytes().all(|c| c.is_ascii_digit()) && (is_ip || is_host(host) || is_segment(host))
}

/// A file's path, without the segments that are not harmless.
fn show_path(path: &str) -> String {
    let shown: Vec<_> = path
        .split('/')
        .map(|segment| if segment == "~" || is_path_segment(segment) { segment } else { REDACTED })
        .collect();
    shown.join("/")
}

/// Stricter, because the parts of a secret with slashes are checked one by one.
fn is_path_segment(segment: &str) -> bool {
    is_segment(segment)
        && segment.split(['-', '_', '.']).all(|piece| has_digit(piece) || !piece.is_ascii() || is_lower_word(piece))
}

/// Names and numbers, between `-`, `_` and `.`.
fn is_segment(segment: &str) -> bool {
    let pieces = || segment.split(['-', '_', '.']);
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let is_mixed = |piece: &&str| has_digit(piece) && piece.bytes().any(|c| c.is_ascii_alphabetic());
    digits <= MAX_DIGITS && pieces().filter(is_mixed).count() <= 1 && pieces().all(is_piece)
}

fn is_piece(piece: &str) -> bool {
    if !has_digit(piece) {
        return is_unicode_word(piece);
    }
    let letters = piece.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_name = letters.len() <= 1 && piece.len() <= 3 || piece.len() < MIN_SECRET_LEN && is_lower_word(letters);
    letters.is_empty() || is_name && !has_digit(letters) || KNOWN_NAMES.contains(&piece)
}

/// One word, of which only the first letter may be a capital.
fn is_lower_word(letters: &str) -> bool {
    is_word(letters) && letters.bytes().skip(1).all(|c| c.is_ascii_lowercase())
}

/// Words in any script. Only ASCII letters can be a secret of AWS.
fn is_unicode_word(word: &str) -> bool {
    word.chars().all(char::is_alphabetic) && word.split(|c: char| !c.is_ascii()).all(is_word)
}

/// Segments between punctuation, such as `sts:AssumeRole`, `port=8200` or `<Code>Busy</Code>`.
fn is_composite(core: &str, before: &str) -> bool {
    // "couldn't"
    if core.rsplit_once('\'').is_some_and(|(word, end)| end.len() <= 2 && is_unicode_word(word) && is_unicode_word(end))
    {
        return true;
    }
    let parts = || core.split(is_structure).filter(|part| !part.is_empty());
    let is_mostly_words = parts().map(str::len).sum::<usize>() >= MIN_MEAN_LEN * parts().count();
    let mut name = before;
    is_mostly_words
        && parts().all(|part| {
            let is_account = part.len() == 12 && part.bytes().all(|c| c.is_ascii_digit()) && is_named(name, "account");
            name = part;
            let is_address = is_time(part) || is_host(part) || part.parse::<Ipv4Addr>().is_ok();
            is_account || is_address || part.split('/').all(is_segment)
        })
}

fn is_named(name: &str, expected: &str) -> bool {
    name.to_ascii_lowercase().contains(expected)
}

/// A UUID after "request id", which AWS asks for when a request is to be looked up.
fn is_request_id(core: &str, before: [&str; 2]) -> bool {
    let is_named = is_named(before[1], "requestid") || is_named(before[0], "request") && is_named(before[1], "id");
    let groups = core.split('-').map(str::len);
    is_named && groups.eq([8, 4, 4, 4, 12]) && core.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
}

/// The name of a role or user, which the message is about.
fn is_arn(core: &str) -> bool {
    core.starts_with("arn:aws")
        && core.splitn(6, ':').count() == 6
        && core
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, ':' | '/' | '-' | '_' | '+' | '=' | '.' | '@' | '*' | ','))
}

/// A date or a time, as in ISO 8601, in its forms with and without punctuation.
fn is_time(core: &str) -> bool {
    let (time, fraction) = core.split_once('.').unwrap_or((core, ""));
    let (fraction, zone) = fraction.split_at(fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len()));
    let shape: String = format!("{time}{zone}").chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let zones = ["", "Z", "+00:00", "-00:00", "+0000"];
    let times = ["0000-00-00", "0000-00-00T00:00:00", "00:00:00", "00000000T000000"];
    fraction.len() <= 9 && times.iter().any(|time| shape.strip_prefix(time).is_some_and(|zone| zones.contains(&zone)))
}

/// The name of a host: any below a domain of AWS, otherwise words below a known top-level domain.
fn is_host(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    };
    let is_of_aws = AWS_DOMAINS.iter().any(|domain| host.ends_with(domain)) && host.split('.').all(is_label);
    let is_known = host.rsplit_once('.').is_some_and(|(_, domain)| TOP_LEVEL_DOMAINS.contains(&domain));
    is_of_aws || is_known && host.split('.').all(|label| is_label(label) && is_segment(label))
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|c| c.is_ascii_digit())
}

const fn is_opening(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '(' | '[' | '{' | '<' | '\\' | ',' | ';' | '|' | '*' | '-' | '=' | '>')
}

const fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | ')' | ']' | '}' | '>' | '\\' | ',' | ';' | '|' | '*' | '.' | ':' | '!' | '?' | '=')
}

const fn is_structure(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '\\' | ',' | ';' | '|' | '*' | ':' | '='
    )
}

/// Shorter parts are shown: they are words, or too little to be of use.
const MIN_SECRET_LEN: usize = 8;
/// Before and after a part.
const MAX_PUNCTUATION: usize = 6;
/// In one segment. Longer numbers may be a secret.
const MAX_DIGITS: usize = 7;
/// Of the parts between punctuation, which is shorter in a password with symbols.
const MIN_MEAN_LEN: usize = 4;
/// Names with digits that messages of the SDK contain.
const KNOWN_NAMES: [&str; 5] = ["Ec2InstanceMetadata", "AWS4", "IMDSv1", "IMDSv2", "k8s"];
const AWS_DOMAINS: [&str; 5] = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".awsapps.com", ".api.aws"];
const TOP_LEVEL_DOMAINS: [&str; 26] = [
    "app", "ca", "ch", "cloud", "cn", "com", "corp", "de", "dev", "edu", "eu", "example", "fr", "gov", "internal",
    "invalid", "io", "jp", "lan", "local", "net", "nl", "org", "svc", "test", "uk",
];
