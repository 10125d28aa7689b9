//! The program `token-cache`.

mod aws;
mod azure;
mod google;
mod network;
mod report;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::report::Report;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows which credentials a program finds on this machine, and why not.
    ///
    /// It looks at each place where the AWS SDK, google-auth and azure_identity look, in their order, gets credentials from the
    /// first one, and compares the clock with that of the server. It never shows a secret. It exits with 1 if a cloud that is
    /// configured has no credentials.
    Doctor {
        /// Only these clouds.
        #[arg(long, value_enum)]
        cloud: Vec<Cloud>,
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cloud {
    Aws,
    Google,
    Azure,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command: Command::Doctor { cloud, json } } = Arguments::parse();
    let wanted = |this| cloud.is_empty() || cloud.contains(&this);
    let mut report = Report::default();
    if wanted(Cloud::Aws) {
        report.sections.push(aws::check().await);
    }
    if wanted(Cloud::Google) {
        report.sections.push(google::check().await);
    }
    if wanted(Cloud::Azure) {
        report.sections.push(azure::check());
    }
    report.sections.push(network::check());
    if json {
        println!("{}", report.to_json());
    } else {
        print!("{}", report.to_table(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()));
    }
    if report.has_problem() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
