//! S3 traffic that survives the rotation of its credentials.
//!
//! Without arguments: starts an S3 server and an issuer of eight-second sessions on loopback, gives a child process nothing
//! but a container's environment, and lets it read and write for 30 s while the issuer, slow as it is, goes down in between.
//!
//! With `--url s3://bucket/prefix`: the same traffic in the environment that is there.

#![expect(clippy::disallowed_methods, reason = "what is measured here is real time")]

mod demo;
mod real;
mod report;
mod timed;
mod traffic;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

#[derive(Debug, Parser)]
#[command(about = "S3 traffic that survives the rotation of its credentials")]
struct Args {
    /// Where to read and write, as s3://bucket/prefix, with the credentials, region and endpoint that the AWS SDK finds. What
    /// is written goes under a folder of its own there, and is removed in the end. Without this: a server on loopback.
    #[arg(long)]
    url: Option<String>,
    /// How long to read and write. A run on loopback has an outage in its middle from 12 seconds on.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How many requests at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    workers: u16,
    /// Print the result as a JSON object too, on the last line.
    #[arg(long)]
    json: bool,
    /// Refresh no credentials before they have expired: what it is like without.
    #[arg(long)]
    no_buffer: bool,
    /// The port of the server on loopback. Any that is free if this is left out.
    #[arg(long, default_value_t = 0, conflicts_with = "url")]
    port: u16,
    /// Tell the progress and the result to a parent process, a JSON object a line.
    #[arg(long, hide = true)]
    child: bool,
}

/// An error and its causes, each of them once: some of them tell their cause's text as a part of their own.
fn one_line(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for text in error.chain().map(ToString::to_string).filter(|text| !text.is_empty()) {
        if told.is_empty() {
            told = text;
        } else if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
    }
    told.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Becomes true with the first Ctrl-C, so that a run can clean up. The second ends the process.
fn interrupted() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    tokio::spawn({
        let interrupted = Arc::clone(&interrupted);
        async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if interrupted.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        }
    });
    interrupted
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let run = match &args.url {
        Some(url) => real::run(&args, url).await,
        None => demo::run(&args).await,
    };
    match run {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}
