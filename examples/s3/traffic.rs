//! What the workers do: every S3 operation that matters, with every byte compared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::TryStreamExt;
use hdrhistogram::Histogram;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, RngCore, SeedableRng};

use crate::one_line;
use crate::timed::{as_nanos, nanos};

/// What came of it.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) failed: u64,
    /// Failures that were S3's refusal of the credentials.
    pub(crate) rejected: u64,
    pub(crate) first_failure: Option<String>,
    pub(crate) times: Histogram<u64>,
}

/// Reads and writes under `folder` with so many workers, until the deadline or a stop.
pub(crate) async fn run(
    store: &Arc<AmazonS3>,
    folder: &Path,
    workers: u16,
    until: Instant,
    stop: &Arc<AtomicBool>,
) -> Tally {
    let workers = (0..workers).map(|n| {
        let worker = Worker {
            store: Arc::clone(store),
            folder: folder.clone().join(format!("worker-{n}")),
            rng: StdRng::from_os_rng(),
            written: BTreeMap::new(),
            next: 0,
            times: nanos(),
        };
        tokio::spawn(worker.work(until, Arc::clone(stop)))
    });
    let mut tally = Tally { failed: 0, rejected: 0, first_failure: None, times: nanos() };
    for worker in futures::future::join_all(workers).await {
        let Ok(worker) = worker else {
            tally.failed += 1;
            continue;
        };
        tally.failed += worker.failed;
        tally.rejected += worker.rejected;
        tally.first_failure = tally.first_failure.or(worker.first_failure);
        // Both have the same bounds.
        let _ = tally.times.add(&worker.times);
    }
    tally
}

struct Worker {
    store: Arc<AmazonS3>,
    folder: Path,
    rng: StdRng,
    /// What should be there.
    written: BTreeMap<Path, Bytes>,
    next: u64,
    times: Histogram<u64>,
}

impl Worker {
    async fn work(mut self, until: Instant, stop: Arc<AtomicBool>) -> Tally {
        let (mut failed, mut rejected, mut first_failure) = (0, 0, None);
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            if let Err(error) = self.operate().await {
                failed += 1;
                rejected += u64::from(is_rejection(&error));
                first_failure.get_or_insert_with(|| one_line(&error));
                // A failure costs nothing here: do not turn it into a loop.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Tally { failed, rejected, first_failure, times: self.times }
    }

    async fn operate(&mut self) -> Result<()> {
        let known = self.written.iter().choose(&mut self.rng).map(|(path, bytes)| (path.clone(), bytes.clone()));
        match (self.rng.random_range(0..1000), known) {
            // So that lists stay short, and so does the disk that a run takes.
            (_, Some((path, _))) if self.written.len() > MOST_OBJECTS => self.delete(&path).await,
            (0..400, Some((path, bytes))) => self.get(&path, &bytes).await,
            (400..700, Some((path, bytes))) => self.get_range(&path, &bytes).await,
            (700..800, Some((path, _))) => self.delete(&path).await,
            (800..810, _) => self.list().await,
            (810..815, _) => self.put_in_parts().await,
            _ => self.put().await,
        }
    }

    async fn put(&mut self) -> Result<()> {
        let (path, bytes) = self.new_object(1..64 * 1024);
        // A failed one may be there or not: it is not read again.
        self.timed(async |store| store.put(&path, bytes.clone().into()).await).await.context("put")?;
        self.written.insert(path, bytes);
        Ok(())
    }

    async fn put_in_parts(&mut self) -> Result<()> {
        let (path, bytes) = self.new_object(PART + 1..PART + 256 * 1024);
        let mut upload =
            self.timed(async |store| store.put_multipart(&path).await).await.context("begin of an upload in parts")?;
        for part in [bytes.slice(..PART), bytes.slice(PART..)] {
            let part = upload.put_part(PutPayload::from_bytes(part));
            self.timed(async |_| part.await).await.context("put of a part")?;
        }
        self.timed(async |_| upload.complete().await).await.context("end of an upload in parts")?;
        self.written.insert(path, bytes);
        Ok(())
    }

    async fn get(&mut self, path: &Path, bytes: &Bytes) -> Result<()> {
        let read = self.timed(async |store| store.get(path).await?.bytes().await).await.context("get")?;
        ensure!(read == bytes, "{path} has come back changed");
        Ok(())
    }

    async fn get_range(&mut self, path: &Path, bytes: &Bytes) -> Result<()> {
        let start = self.rng.random_range(0..bytes.len());
        let end = self.rng.random_range(start + 1..=bytes.len());
        let range = start as u64..end as u64;
        let read = self.timed(async |store| store.get_range(path, range).await).await.context("get of a range")?;
        ensure!(read == bytes.slice(start..end), "{path} has come back changed");
        Ok(())
    }

    async fn list(&mut self) -> Result<()> {
        let folder = self.folder.clone();
        let listed: BTreeMap<Path, u64> = self
            .timed(async |store| {
                store.list(Some(&folder)).map_ok(|meta| (meta.location, meta.size)).try_collect().await
            })
            .await
            .context("list")?;
        let missing = self.written.iter().find(|(path, bytes)| listed.get(path) != Some(&(bytes.len() as u64)));
        ensure!(missing.is_none(), "a list of {folder} is not what was written");
        Ok(())
    }

    async fn delete(&mut self, path: &Path) -> Result<()> {
        self.written.remove(path);
        self.timed(async |store| store.delete(path).await).await.context("delete")
    }

    fn new_object(&mut self, size: std::ops::Range<usize>) -> (Path, Bytes) {
        let mut bytes = vec![0; self.rng.random_range(size)];
        self.rng.fill_bytes(&mut bytes);
        self.next += 1;
        (self.folder.clone().join(format!("object-{}", self.next)), bytes.into())
    }

    async fn timed<T>(
        &mut self,
        request: impl AsyncFnOnce(&AmazonS3) -> object_store::Result<T>,
    ) -> object_store::Result<T> {
        let start = Instant::now();
        let result = request(&self.store).await;
        self.times.saturating_record(as_nanos(start.elapsed()));
        result
    }
}

/// Whether S3 has refused the credentials.
fn is_rejection(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    REJECTIONS.iter().any(|code| text.contains(code))
}

const REJECTIONS: [&str; 4] = ["ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"];

/// Of one worker, at any time.
const MOST_OBJECTS: usize = 12;

/// The smallest that S3 takes for a part that is not the last.
const PART: usize = 5 * 1024 * 1024;
