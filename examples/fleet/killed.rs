//! A process that is killed while it fetches.

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
    #[arg(long, default_value_t = 50)]
    processes: usize,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), BoxError> {
    let store = SharedStore::start(arguments.store).await?;
    let issuer = Issuer::start(Duration::from_secs(600), Duration::from_secs(1)).await?;
    let child = Child::new(&store.address, issuer.port, Duration::from_secs(60), Duration::from_secs(20));
    let mut holder = child.spawn()?;
    while issuer.calls().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    let children = (0..arguments.processes).map(|_| child.spawn()).collect::<Result<Vec<_>, _>>()?;
    holder.kill().await?;
    let reports = reports(children).await?;
    let (p50, max) = (reports.first_ms.get(reports.first_ms.len() / 2), reports.first_ms.last());
    println!("store {:?}: {} processes, one killed while it fetched", arguments.store, arguments.processes);
    println!("calls       {}, with that of the process that was killed", issuer.calls().len());
    println!("first token {p50:?} ms (p50), {max:?} ms (max), with the 1000 ms of the issuer and a lease of 3000 ms");
    println!("errors      {}", reports.errors);
    if issuer.calls().len() != 2 || reports.errors > 0 {
        return Err("expected one more call, and no error".into());
    }
    Ok(())
}
