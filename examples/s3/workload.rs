//! The load: workers that write, read, list and delete objects, and compare every byte.

use std::collections::BTreeMap;
use std::ops::Range;
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

use crate::error::error_chain;
use crate::timing::{as_nanos, latency_histogram};

/// The result of one worker, or of all of them.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) failed: u64,
    /// Failed operations whose credentials S3 rejected.
    pub(crate) rejected: u64,
    pub(crate) first_failure: Option<String>,
    /// Latency of the requests in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

/// Runs the workers until the deadline, or until `stop` is set. Each runs at least one operation, and writes only under
/// `prefix`.
pub(crate) async fn run(
    store: &Arc<AmazonS3>,
    prefix: &Path,
    workers: u16,
    deadline: Instant,
    stop: &Arc<AtomicBool>,
) -> Outcome {
    let workers = (0..workers).map(|n| {
        let worker = Worker {
            store: Arc::clone(store),
            prefix: prefix.clone().join(format!("worker-{n}")),
            rng: StdRng::from_os_rng(),
            objects: BTreeMap::new(),
            next_id: 0,
            outcome: Outcome::new(),
        };
        tokio::spawn(worker.run(deadline, Arc::clone(stop)))
    });
    let mut total = Outcome::new();
    for worker in futures::future::join_all(workers).await {
        match worker {
            Ok(outcome) => total.add(outcome),
            Err(_) => total.failed += 1,
        }
    }
    total
}

impl Outcome {
    fn new() -> Self {
        Self { failed: 0, rejected: 0, first_failure: None, latency: latency_histogram() }
    }

    fn add(&mut self, other: Self) {
        self.failed += other.failed;
        self.rejected += other.rejected;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        // It cannot fail: both have the same bounds.
        let _ = self.latency.add(&other.latency);
    }

    fn add_failure(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        self.rejected += u64::from(is_rejection(error));
        self.first_failure.get_or_insert_with(|| error_chain(error));
    }
}

struct Worker {
    store: Arc<AmazonS3>,
    prefix: Path,
    rng: StdRng,
    /// The objects that should exist, with their content.
    objects: BTreeMap<Path, Bytes>,
    next_id: u64,
    outcome: Outcome,
}

impl Worker {
    async fn run(mut self, deadline: Instant, stop: Arc<AtomicBool>) -> Outcome {
        loop {
            if let Err(error) = self.run_random_operation().await {
                self.outcome.add_failure(&error);
                // A request that fails at once must not become a busy loop.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if Instant::now() >= deadline || stop.load(Ordering::Relaxed) {
                return self.outcome;
            }
        }
    }

    async fn run_random_operation(&mut self) -> Result<()> {
        let object = self.objects.iter().choose(&mut self.rng).map(|(path, bytes)| (path.clone(), bytes.clone()));
        match (self.rng.random_range(0..1000), object) {
            // Bounds the size of a list and the disk space of a run.
            (_, Some((path, _))) if self.objects.len() > MAX_OBJECTS => self.delete(&path).await,
            (0..400, Some((path, bytes))) => self.get(&path, &bytes).await,
            (400..700, Some((path, bytes))) => self.get_range(&path, &bytes).await,
            (700..800, Some((path, _))) => self.delete(&path).await,
            (800..810, _) => self.list().await,
            (810..815, _) => self.put_multipart().await,
            _ => self.put().await,
        }
    }

    async fn put(&mut self) -> Result<()> {
        let (path, bytes) = self.new_object(1..64 * 1024);
        // After a failure the object may or may not exist. It is not read again.
        self.measure(async |store| store.put(&path, bytes.clone().into()).await).await.context("put")?;
        self.objects.insert(path, bytes);
        Ok(())
    }

    async fn put_multipart(&mut self) -> Result<()> {
        let (path, bytes) = self.new_object(PART_SIZE + 1..PART_SIZE + 256 * 1024);
        let mut upload = self
            .measure(async |store| store.put_multipart(&path).await)
            .await
            .context("start of a multipart upload")?;
        for part in [bytes.slice(..PART_SIZE), bytes.slice(PART_SIZE..)] {
            let part = upload.put_part(PutPayload::from_bytes(part));
            self.measure(async |_| part.await).await.context("upload of a part")?;
        }
        self.measure(async |_| upload.complete().await).await.context("completion of a multipart upload")?;
        self.objects.insert(path, bytes);
        Ok(())
    }

    async fn get(&mut self, path: &Path, bytes: &Bytes) -> Result<()> {
        let read = self.measure(async |store| store.get(path).await?.bytes().await).await.context("get")?;
        ensure!(read == bytes, "{path} differs from what was written");
        Ok(())
    }

    async fn get_range(&mut self, path: &Path, bytes: &Bytes) -> Result<()> {
        let start = self.rng.random_range(0..bytes.len());
        let end = self.rng.random_range(start + 1..=bytes.len());
        let range = start as u64..end as u64;
        let read = self.measure(async |store| store.get_range(path, range).await).await.context("get of a range")?;
        ensure!(read == bytes.slice(start..end), "{path} differs from what was written");
        Ok(())
    }

    async fn list(&mut self) -> Result<()> {
        let prefix = self.prefix.clone();
        let listed: BTreeMap<Path, u64> = self
            .measure(async |store| {
                store.list(Some(&prefix)).map_ok(|object| (object.location, object.size)).try_collect().await
            })
            .await
            .context("list")?;
        let missing = self.objects.iter().find(|(path, bytes)| listed.get(path) != Some(&(bytes.len() as u64)));
        ensure!(missing.is_none(), "the list of {prefix} differs from what was written");
        Ok(())
    }

    async fn delete(&mut self, path: &Path) -> Result<()> {
        self.objects.remove(path);
        self.measure(async |store| store.delete(path).await).await.context("delete")
    }

    fn new_object(&mut self, size: Range<usize>) -> (Path, Bytes) {
        let mut bytes = vec![0; self.rng.random_range(size)];
        self.rng.fill_bytes(&mut bytes);
        self.next_id += 1;
        (self.prefix.clone().join(format!("object-{}", self.next_id)), bytes.into())
    }

    async fn measure<T>(
        &mut self,
        request: impl AsyncFnOnce(&AmazonS3) -> object_store::Result<T>,
    ) -> object_store::Result<T> {
        let start = Instant::now();
        let result = request(&self.store).await;
        self.outcome.latency.saturating_record(as_nanos(start.elapsed()));
        result
    }
}

/// Whether S3 rejected the credentials.
fn is_rejection(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    REJECTION_CODES.iter().any(|code| text.contains(code))
}

/// S3's codes, from <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
const REJECTION_CODES: [&str; 4] = ["ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"];

/// Objects per worker.
const MAX_OBJECTS: usize = 12;

/// The minimum size of every part but the last:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
const PART_SIZE: usize = 5 * 1024 * 1024;
