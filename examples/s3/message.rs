//! [`Message`]: what a child process writes to its standard output.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::progress::Progress;
use crate::report::Report;

/// One line of a child's standard output, as JSON.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Message {
    Progress(Progress),
    Report(Box<Report>),
}

impl Message {
    /// Writes the message to standard output.
    ///
    /// # Errors
    ///
    /// If the message cannot be encoded as JSON.
    pub(crate) fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
