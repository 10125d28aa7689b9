//! [`parse_error`]: where a profile file cannot be parsed.

use std::error::Error as StdError;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_types::os_shim_internal::{Env, Fs};

use super::redact::plain_line;

/// The file, the line and the reason. The SDK's credentials error leaves them out, so this parses the profile files
/// again.
pub(super) fn parse_error() -> Option<String> {
    let (fs, env, files) = (Fs::real(), Env::real(), Default::default());
    // The SDK reads files without waiting, so its future is ready on the first poll. If it ever waits, the message
    // lacks the line.
    match pin!(aws_config::profile::load(&fs, &env, &files, None)).poll(&mut Context::from_waker(Waker::noop())) {
        // Not redacted, because it quotes nothing from the file, and redacting could hide a part of the path.
        Poll::Ready(Err(error)) => error.source().map(|error| plain_line(&error.to_string())),
        Poll::Ready(Ok(_)) | Poll::Pending => None,
    }
}
