//! Whether swaps are atomic: each number is stored once, and none is lost.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use token_cache_core::BoxError;
use token_cache_fleet::{Store, Version};
use tokio::process::{Child as Process, Command};
use tokio::time::sleep;

use crate::stores::{self, Kind, SharedStore};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, value_enum)]
    store: Kind,
    #[arg(long, default_value_t = 8)]
    processes: usize,
    /// Successful swaps, in all processes.
    #[arg(long, default_value_t = 80_000)]
    swaps: u64,
}

/// A process that counts on until the record has a number.
#[derive(clap::Args)]
pub(crate) struct Child {
    #[arg(long)]
    store: String,
    #[arg(long)]
    until: u64,
    /// Where it writes each number that it has stored.
    #[arg(long)]
    log: PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), BoxError> {
    let shared = SharedStore::start(arguments.store).await?;
    let logs = tempfile::tempdir()?;
    if arguments.store == Kind::S3 {
        // A record of an earlier run would be counted on.
        let store = stores::open(&shared.address).await?.ok_or("no store")?;
        let found = store.load(RECORD).await?.map(|(version, _)| version);
        store.swap(RECORD, found.as_ref(), number(0), KEEP).await?;
    }
    let spawn = |n: usize| -> Result<Process, BoxError> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["swap", "--store", &shared.address, "--until", &arguments.swaps.to_string(), "--log"]);
        Ok(command.arg(logs.path().join(n.to_string())).kill_on_drop(true).spawn()?)
    };
    let mut children = (0..arguments.processes).map(spawn).collect::<Result<Vec<_>, _>>()?;
    let (mut kills, mut done) = (0_u64, 0);
    while done < children.len() {
        sleep(Duration::from_millis(rand::random_range(20..200))).await;
        let n = rand::random_range(0..children.len());
        if children[n].try_wait()?.is_none() {
            children[n].kill().await?;
            kills += 1;
            children[n] = spawn(n)?;
        }
        done = 0;
        for child in &mut children {
            if let Some(status) = child.try_wait()? {
                if !status.success() {
                    return Err(format!("a process has failed: {status}").into());
                }
                done += 1;
            }
        }
    }

    let mut stored = logged(logs.path())?;
    let (count, len) = (stored.len() as u64, stored.len());
    stored.sort_unstable();
    stored.dedup();
    let twice = len - stored.len();
    let lost = arguments.swaps - stored.len() as u64;
    println!("store {:?}: {} processes, {kills} killed", arguments.store, arguments.processes);
    println!("swaps                {}", arguments.swaps);
    println!("reported as stored   {count}");
    println!("stored twice         {twice}");
    println!("without a report     {lost}, by processes that were killed after the swap");
    // A process that was killed between the swap and its report has stored one number.
    if twice > 0 || lost > kills {
        return Err("swaps are not atomic".into());
    }
    Ok(())
}

pub(crate) async fn swap(child: Child) -> Result<(), BoxError> {
    let store = stores::open(&child.store).await?.ok_or("no store")?;
    let mut log = OpenOptions::new().create(true).append(true).open(&child.log)?;
    loop {
        let found: Option<(Version, Vec<u8>)> = store.load(RECORD).await?;
        let (version, record) = found.unzip();
        let last = record.map_or(Ok(0), |record| String::from_utf8_lossy(&record).parse::<u64>())?;
        if last >= child.until {
            return Ok(());
        }
        let next = last + 1;
        if store.swap(RECORD, version.as_ref(), number(next), KEEP).await?.is_some() {
            // One write, so that a kill cannot cut it.
            log.write_all(&next.to_be_bytes())?;
        }
    }
}

fn logged(directory: &Path) -> Result<Vec<u64>, BoxError> {
    let mut stored = Vec::new();
    for entry in fs::read_dir(directory)? {
        let bytes = fs::read(entry?.path())?;
        stored.extend(bytes.chunks_exact(8).map(|number| u64::from_be_bytes(number.try_into().unwrap_or_default())));
    }
    Ok(stored)
}

fn number(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

const RECORD: &str = "counter";
const KEEP: Duration = Duration::from_secs(3600);
