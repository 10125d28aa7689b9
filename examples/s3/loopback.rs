//! Runs the load against servers on loopback.
//!
//! The servers run in this process. The load runs in a child process that gets nothing but the environment of a container.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use token_cache_testing::aws::{FakeAws, Fault, OutageState};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Args;
use crate::interrupt::on_ctrl_c;
use crate::message::Message;
use crate::progress::new_bar;
use crate::report::Report;
use crate::timing::{as_millis, to_unix_millis, unix_millis};

/// Returns whether the run was a success.
pub(crate) async fn run(args: &Args) -> Result<bool> {
    let lifetime = Duration::from_secs(args.session_seconds);
    let aws = FakeAws::builder().s3_port(args.port).session_lifetime(lifetime).delay(ISSUER_DELAY).start().await?;
    aws.s3().create_bucket(BUCKET)?;
    println!(
        "S3 server: {}; session lifetime: {} s; issuer latency: {} ms",
        aws.s3().endpoint(),
        lifetime.as_secs(),
        ISSUER_DELAY.as_millis()
    );
    // Ctrl-C also reaches the child process, which then stops and reports. This process waits for that report.
    let _stop = on_ctrl_c();
    let mut child = spawn(args, &aws)?;
    let Some(mut report) = follow(args, &aws, &mut child).await? else {
        let status = child.wait().await?;
        bail!("the child process ended without a report ({status})");
    };
    child.wait().await?;

    // The servers' counts replace the child's, which only show what it has noticed.
    let counts = aws.s3().counts();
    report.rejected = counts.rejected_in_all();
    report.sessions = counts.sessions as u64;
    match aws.issuer().outage() {
        OutageState::Running { since, duration } | OutageState::Over { since, duration } => {
            report.separate_outage(to_unix_millis(since.wall()), as_millis(duration));
        }
        _ => report.samples = None,
    }
    report.print(args.json)?;
    Ok(report.is_success())
}

/// Starts the load, with the environment of a container.
fn spawn(args: &Args, aws: &FakeAws) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find the path of this executable")?;
    let mut command = Command::new(program);
    command.args(["--child", "--url", &format!("s3://{BUCKET}/run")]);
    command.args(["--seconds", &args.seconds.to_string(), "--workers", &args.workers.to_string()]);
    if args.no_buffer {
        command.arg("--no-buffer");
    }
    let inherited = INHERITED_ENV.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(inherited).envs(aws.container_env());
    command.stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().context("cannot start the child process")
}

/// Shows the child's progress, starts the outage and returns the child's report, if there is one.
async fn follow(args: &Args, aws: &FakeAws, child: &mut Child) -> Result<Option<Report>> {
    let stdout = child.stdout.take().context("the child process has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let bar = new_bar(args.seconds);
    let outage = outage_duration(args);
    let mut start = None;
    let mut armed = false;
    while let Some(line) = lines.next_line().await? {
        let progress = match serde_json::from_str(&line) {
            Ok(Message::Report(report)) => {
                bar.finish_and_clear();
                return Ok(Some(*report));
            }
            Ok(Message::Progress(progress)) => progress,
            Err(_) => continue,
        };
        let elapsed = start.get_or_insert_with(Instant::now).elapsed();
        // The next request to the issuer is a refresh of a session that is still usable.
        if let Some(duration) = outage.filter(|_| !armed && elapsed.as_secs_f64() >= args.seconds as f64 * 0.4) {
            aws.issuer().outage_at_next_request(Fault::Down, duration);
            armed = true;
        }
        let note = match aws.issuer().outage() {
            OutageState::Running { since, .. } => {
                let down = unix_millis().saturating_sub(to_unix_millis(since.wall()));
                format!(" · issuer down for {:.1} s", down as f64 / 1e3)
            }
            _ => String::new(),
        };
        progress.show(&bar, elapsed, &note);
    }
    Ok(None)
}

/// How long the issuer is down. `None` if the run is too short to see the end of an outage.
///
/// A session is refreshed with half of its lifetime remaining. An outage of 5/16 of the lifetime leaves 3/16 for the next
/// attempt: 1.5 s of a lifetime of 8 s.
fn outage_duration(args: &Args) -> Option<Duration> {
    let lifetime = Duration::from_secs(args.session_seconds);
    (Duration::from_secs(args.seconds) >= lifetime * 3 / 2).then(|| lifetime * 5 / 16)
}

const BUCKET: &str = "demo";
const ISSUER_DELAY: Duration = Duration::from_millis(300);

/// What a process needs to start and to report errors.
const INHERITED_ENV: [&str; 4] = ["PATH", "RUST_BACKTRACE", "SystemRoot", "TERM"];
