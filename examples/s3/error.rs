//! [`error_chain`]: an error and its causes on one line.

/// Formats an error and its causes on one line.
///
/// Some errors already include the message of their cause, so a message that is already part of the line is skipped.
pub(crate) fn error_chain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for message in error.chain().map(ToString::to_string).filter(|message| !message.is_empty()) {
        if line.is_empty() {
            line = message;
        } else if !line.contains(&message) {
            line = format!("{line}: {message}");
        }
    }
    line.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
