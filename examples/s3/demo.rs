//! A run on loopback: the servers here, the traffic in a child that knows no more than a container does.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use token_cache_testing::aws::{FakeAws, Fault, OutageState};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::real::{Line, advance, progress_line};
use crate::report::Report;
use crate::timed::unix_millis;
use crate::{Args, interrupted};

/// Whether all went well.
pub(crate) async fn run(args: &Args) -> Result<bool> {
    let aws = FakeAws::builder().s3_port(args.port).session_lifetime(SESSION).delay(DELAY).start().await?;
    aws.s3().create_bucket(BUCKET)?;
    println!(
        "S3 on {}, sessions of {} s from an issuer that takes {} ms to answer",
        aws.s3().endpoint(),
        SESSION.as_secs(),
        DELAY.as_millis()
    );
    // A Ctrl-C reaches the child too, which then comes to its end.
    let _interrupted = interrupted();
    let mut child = spawn(args, &aws)?;
    let Some(mut report) = follow(args, &aws, &mut child).await? else {
        let status = child.wait().await?;
        bail!("the traffic has ended without a result ({status})");
    };
    child.wait().await?;

    // What the servers saw, not what the traffic believes.
    let counts = aws.s3().counts();
    report.rejected = counts.rejected_in_all();
    report.sessions = counts.sessions as u64;
    match aws.issuer().outage() {
        OutageState::Running { since, lasts: span } | OutageState::Over { since, lasted: span } => {
            let ago = u64::try_from(since.elapsed().as_millis())?;
            report.set_apart_outage(unix_millis() - ago, u64::try_from(span.as_millis())?);
        }
        _ => report.raw = None,
    }
    print!("\n{report}");
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(report.is_good())
}

/// The traffic, with a container's environment and no other.
fn spawn(args: &Args, aws: &FakeAws) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program to start it again")?;
    let mut command = Command::new(program);
    command.args(["--child", "--url", &format!("s3://{BUCKET}/run")]);
    command.args(["--seconds", &args.seconds.to_string(), "--workers", &args.workers.to_string()]);
    if args.no_buffer {
        command.arg("--no-buffer");
    }
    let kept = KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(kept).envs(aws.container_env());
    command.stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().context("cannot start this program again")
}

/// Shows what the child tells, brings the outage about, and returns the child's report.
async fn follow(args: &Args, aws: &FakeAws, child: &mut Child) -> Result<Option<Report>> {
    let stdout = child.stdout.take().context("the traffic has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = progress_line(args.seconds);
    let mut began = None;
    let mut armed = false;
    while let Some(text) = lines.next_line().await? {
        let progress = match serde_json::from_str(&text) {
            Ok(Line::Report(report)) => {
                line.finish_and_clear();
                return Ok(Some(*report));
            }
            Ok(Line::Progress(progress)) => progress,
            Err(_) => continue,
        };
        let elapsed = began.get_or_insert_with(Instant::now).elapsed();
        // The next request is the one that is made as a refresh window opens.
        if !armed && args.seconds >= SHORTEST_WITH_OUTAGE && elapsed.as_secs_f64() >= args.seconds as f64 * 0.4 {
            aws.issuer().outage_at_next_request(Fault::Down, OUTAGE);
            armed = true;
        }
        let outage = match aws.issuer().outage() {
            OutageState::Running { since, .. } => format!(" · ISSUER DOWN for {:.1} s", since.elapsed().as_secs_f64()),
            _ => String::new(),
        };
        advance(&line, elapsed, &progress, &outage);
    }
    Ok(None)
}

const BUCKET: &str = "demo";
const SESSION: Duration = Duration::from_secs(8);
const DELAY: Duration = Duration::from_millis(300);

/// A session is refreshed with half of its life left: 4 s, so that it outlives this by 1.5 s.
const OUTAGE: Duration = Duration::from_millis(2500);

/// An outage in the middle, and time to see its end.
const SHORTEST_WITH_OUTAGE: u64 = 12;

/// What a process needs to run at all, and to tell of its trouble.
const KEPT: [&str; 4] = ["PATH", "RUST_BACKTRACE", "SystemRoot", "TERM"];
