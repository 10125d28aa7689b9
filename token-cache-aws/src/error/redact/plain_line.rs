//! [`plain_line`]: a line that is safe to print to a terminal.

/// Removes control sequences and invisible characters, and replaces runs of white space and control characters by one
/// space.
///
/// Invisible characters can reorder what a terminal shows ([Trojan Source](https://trojansource.codes)), and can hide
/// a secret from [`redact`](super::redact).
pub(in crate::error) fn plain_line(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars().filter(|c| !is_invisible(*c)).peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            chars.by_ref().find(|c| ('@'..='~').contains(c));
        } else if !(c.is_control() || c.is_whitespace()) {
            plain.push(c);
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain.trim().to_owned()
}

/// Whether a character has no width or changes the direction of the text.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}
