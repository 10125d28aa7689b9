//! How often a fleet calls its issuer.

use std::time::Duration;

use token_cache_core::BoxError;
use tokio::time::sleep;

use crate::issuer::Issuer;
use crate::processes::{Child, reports};
use crate::stores::{Kind, SharedStore};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, value_enum)]
    store: Kind,
    #[arg(long, default_value_t = 200)]
    processes: usize,
    /// Caches in each process.
    #[arg(long, default_value_t = 5)]
    caches: usize,
    #[arg(long, default_value_t = 100)]
    rotations: u32,
    /// The lifetime of a token, in seconds. It is renewed after half of it.
    #[arg(long, default_value_t = 10)]
    lifetime: u64,
    /// Restarts redis, which loses its records, flushes and stops it, one after the other.
    #[arg(long)]
    faults: bool,
    /// Fails if more rotations than one in a hundred have a second call.
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), BoxError> {
    let lifetime = Duration::from_secs(arguments.lifetime);
    let (buffer, period) = (lifetime / 2, lifetime / 2);
    let mut store = SharedStore::start(arguments.store).await?;
    let issuer = Issuer::start(lifetime, Duration::from_millis(100)).await?;
    // The first half of the last rotation ends before anything else is fetched.
    let duration = period * arguments.rotations + period / 2;
    let child = Child::new(&store.address, issuer.port, buffer, duration).caches(arguments.caches);
    let children = (0..arguments.processes).map(|_| child.spawn()).collect::<Result<Vec<_>, _>>()?;
    let mut faults = 0;
    let reports = {
        let mut reports = Box::pin(reports(children));
        loop {
            tokio::select! {
                reports = &mut reports => break reports?,
                () = sleep(period * 7 / 2), if arguments.faults => {
                    let Some(redis) = &mut store.redis else { continue };
                    match faults % 3 {
                        0 => redis.restart(Duration::ZERO).await?,
                        1 => redis.command("FLUSHALL").await?,
                        _ => redis.restart(lifetime / 8).await?,
                    }
                    faults += 1;
                }
            }
        }
    };

    let dump = match &store.redis {
        Some(redis) => String::from_utf8_lossy(&redis.dump().await?).into_owned(),
        None => String::new(),
    };
    let rotations = group(&issuer.calls(), period / 2);
    let caches = arguments.processes * arguments.caches;
    let single = rotations.iter().filter(|calls| **calls == 1).count();
    println!(
        "store {:?}: {} processes, {caches} caches, {faults} faults of the store",
        arguments.store, arguments.processes
    );
    println!("rotations            {}", rotations.len());
    println!("calls                {}", rotations.iter().sum::<usize>());
    println!("with one call        {single}");
    println!("most in one rotation {}", rotations.iter().max().unwrap_or(&0));
    println!("reads                {}", reports.gets);
    println!("reads that waited    {} while a token was cached", reports.waited);
    println!("errors               {} {}", reports.errors, reports.error.as_deref().unwrap_or_default());
    println!("expired tokens       {}", reports.expired);
    if let Some(p99) = reports.first_ms.get(reports.first_ms.len() * 99 / 100) {
        println!("first token          {p99} ms (p99)");
    }
    if reports.errors + reports.expired > 0 {
        return Err("a read failed".into());
    }
    if dump.contains("token-1") {
        return Err("a token is in the clear in the store".into());
    }
    if arguments.check && (single * 100 < rotations.len() * 99 || rotations.iter().any(|calls| *calls > 2)) {
        return Err("more calls than allowed: one in 99 of 100 rotations, never more than two".into());
    }
    Ok(())
}

/// The numbers of calls that follow each other within `gap`.
fn group(calls: &[Duration], gap: Duration) -> Vec<usize> {
    let mut groups: Vec<usize> = Vec::new();
    let mut last: Option<Duration> = None;
    for call in calls {
        match (groups.last_mut(), last) {
            (Some(group), Some(last)) if *call - last < gap => *group += 1,
            _ => groups.push(1),
        }
        last = Some(*call);
    }
    groups
}
