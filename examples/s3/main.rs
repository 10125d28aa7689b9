//! Runs S3 load through several credential rotations and reports how it went.
//!
//! Without `--url`, the example starts an S3 server and a credential issuer on loopback and runs the load in a child process,
//! which gets its credentials the way a container does. The issuer goes down in the middle of the run.
//!
//! With `--url s3://bucket/prefix`, it runs the same load against that bucket, with the credentials of the environment.

#![expect(clippy::disallowed_methods, reason = "the example measures real time")]

mod environment;
mod error;
mod history;
mod interrupt;
mod loopback;
mod message;
mod progress;
mod report;
mod timing;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use crate::error::error_chain;

#[derive(Debug, Parser)]
#[command(about = "Run S3 load through several credential rotations")]
struct Args {
    /// Run against this bucket, given as s3://bucket/prefix. The AWS SDK's default chain provides the credentials, the region
    /// and the endpoint. Objects are written under a temporary prefix, which is deleted at the end. Without this option, the
    /// run uses an S3 server on loopback.
    #[arg(long)]
    url: Option<String>,
    /// Duration of the load in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Number of concurrent workers.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    workers: u16,
    /// Also print the report as one JSON object, on the last line.
    #[arg(long)]
    json: bool,
    /// Disable early refresh: fetch new credentials only after the old ones have expired.
    #[arg(long)]
    no_buffer: bool,
    /// Lifetime of a session on loopback, in seconds. A run of at least 1.5 lifetimes includes an outage of the issuer.
    #[arg(long, default_value_t = 8, conflicts_with = "url", value_parser = clap::value_parser!(u64).range(8..=43_200))]
    session_seconds: u64,
    /// Port of the S3 server on loopback. 0 selects a free port.
    #[arg(long, default_value_t = 0, conflicts_with = "url")]
    port: u16,
    /// Write the progress and the report to standard output, as one JSON object per line.
    #[arg(long, hide = true)]
    child: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    token_cache_examples::install_crypto();
    if args.url.is_some() && !args.child && cfg!(not(feature = "url")) {
        eprintln!(
            "error: --url needs TLS: run `cargo run --release -p token-cache-examples --features url --example s3`"
        );
        return ExitCode::FAILURE;
    }
    let result = match &args.url {
        Some(url) => environment::run(&args, url).await,
        None => loopback::run(&args).await,
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", error_chain(&error));
            ExitCode::FAILURE
        }
    }
}
