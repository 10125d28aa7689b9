//! [`Allocations`]: what a hit allocates, and the memory of a cache and of a view.
//!
//! They are counted in another process, because an allocator that counts is slower.

use std::fmt;
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};

pub(crate) struct Allocations {
    /// The allocations of one `TokenCache::get`.
    pub(crate) native: f64,
    /// The allocations of one `CredentialProvider::get_credential`.
    pub(crate) through_trait: f64,
    memory: Vec<Memory>,
}

/// The memory of a cache and of a view that this number of threads has read.
struct Memory {
    threads: i64,
    cache_bytes: i64,
    view_bytes: i64,
}

pub(crate) fn measure() -> anyhow::Result<Allocations> {
    let output = Command::new(env!("CARGO_BIN_EXE_token-cache-peers-allocations")).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout)?;
    let allocations = |key| json[key].as_f64().with_context(|| format!("not a number: {key}"));
    let memory = |json: &Value| {
        let number = |key| json[key].as_i64().with_context(|| format!("not an integer: {key}"));
        let (threads, cache_bytes, view_bytes) = (number("threads")?, number("cache_bytes")?, number("view_bytes")?);
        Ok(Memory { threads, cache_bytes, view_bytes })
    };
    let rows = json["memory"].as_array().context("not an array: memory")?;
    Ok(Allocations {
        native: allocations("native")?,
        through_trait: allocations("trait")?,
        memory: rows.iter().map(memory).collect::<anyhow::Result<_>>()?,
    })
}

impl Allocations {
    /// The most that a cache takes, whatever the number of threads.
    pub(crate) fn cache_bytes(&self) -> f64 {
        self.memory.iter().map(|memory| memory.cache_bytes as f64).fold(f64::NAN, f64::max)
    }

    /// The most that a view takes, whatever the number of threads.
    pub(crate) fn view_bytes(&self) -> f64 {
        self.memory.iter().map(|memory| memory.view_bytes as f64).fold(f64::NAN, f64::max)
    }

    /// The bytes that each further thread adds to a cache and a view.
    pub(crate) fn bytes_per_thread(&self) -> f64 {
        let [first, .., last] = &self.memory[..] else { return f64::NAN };
        let bytes = |memory: &Memory| memory.cache_bytes + memory.view_bytes;
        (bytes(last) - bytes(first)) as f64 / (last.threads - first.threads) as f64
    }

    /// The memory by the number of threads.
    pub(crate) fn memory_json(&self) -> Value {
        let json = |Memory { threads, cache_bytes, view_bytes }: &Memory| json!({ "threads": threads, "cache_bytes": cache_bytes, "view_bytes": view_bytes });
        self.memory.iter().map(json).collect()
    }
}

impl fmt::Display for Allocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The memory of a cache and of a view, without their tokens, by the threads that have read them.\n"
        )?;
        writeln!(f, "| threads | bytes of a cache | bytes of a view |\n|---|---|---|")?;
        for Memory { threads, cache_bytes, view_bytes } in &self.memory {
            writeln!(f, "| {threads} | {cache_bytes} | {view_bytes} |")?;
        }
        Ok(())
    }
}
