//! What programs write for themselves, at its best: a mutex that is never held over a fetch, and a refresh in the background.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::{Caller, Peer};
use crate::script::{Down, Issued, Script, lock};

pub(crate) struct HandWritten;

struct Cache {
    script: Arc<Script>,
    slot: Arc<Mutex<Option<Slot>>>,
    refresh: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone, Copy)]
struct Slot {
    issued: Issued,
    since: Instant,
}

impl Peer for HandWritten {
    fn name(&self) -> &'static str {
        "hand-written"
    }

    fn package(&self) -> Option<&'static str> {
        None
    }

    fn note(&self) -> &'static str {
        "written for this table in the way Arroyo's `aws.rs` works: a mutex around the token; with under 100 ms left each \
         caller fetches; with under 5 min left, and 100 ms after the last success, one task refreshes in the background"
    }

    fn fresh(&self, script: Arc<Script>) -> anyhow::Result<Arc<dyn Caller>> {
        Ok(Arc::new(Cache { script, slot: Arc::default(), refresh: Mutex::default() }))
    }
}

impl Cache {
    fn refresh_behind(&self) {
        let mut refresh = lock(&self.refresh);
        if refresh.as_ref().is_none_or(JoinHandle::is_finished) {
            let (script, slot) = (Arc::clone(&self.script), Arc::clone(&self.slot));
            *refresh = Some(tokio::spawn(async move {
                // A failure leaves everything as it is: the next caller tries again.
                let _ = fetch(&script, &slot).await;
            }));
        }
    }
}

#[async_trait]
impl Caller for Cache {
    async fn get(&self) -> anyhow::Result<usize> {
        let slot = *lock(&self.slot);
        let (Some(slot), Some(remaining)) = (slot, slot.and_then(Slot::remaining)) else {
            return Ok(fetch(&self.script, &self.slot).await?.number);
        };
        if remaining < Duration::from_secs(300) && slot.since.elapsed() > Duration::from_millis(100) {
            self.refresh_behind();
        }
        Ok(slot.issued.number)
    }
}

impl Slot {
    /// `None` when it is time to wait for another.
    fn remaining(self) -> Option<Duration> {
        let remaining = self.issued.expires_at.duration_since(SystemTime::now()).ok()?;
        (remaining >= Duration::from_millis(100)).then_some(remaining)
    }
}

async fn fetch(script: &Script, slot: &Mutex<Option<Slot>>) -> Result<Issued, Down> {
    let issued = script.fetch().await?;
    *lock(slot) = Some(Slot { issued, since: Instant::now() });
    Ok(issued)
}
