//! Counts what a hit allocates and what memory a cache takes, and prints both as JSON.
//!
//! A separate program, because an allocator that counts is slower: the benchmark runs it in another process.

mod memory;

use std::hint::black_box;
use std::sync::Arc;

use aws_credential_types::Credentials;
use futures::FutureExt;
use object_store::aws::AwsCredentialProvider;
use serde_json::{Value, json};
use token_cache_aws::AwsTokenCache;

use crate::memory::Memory;

const HITS: u64 = 1000;

fn main() -> anyhow::Result<()> {
    let credentials = Credentials::new("key", "secret", Some("session".to_owned()), None, "peers");
    let aws = AwsTokenCache::from_provider(credentials);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(aws.get())?;
    let provider: AwsCredentialProvider = Arc::new(aws.clone());
    let native = allocations(|| aws.get().now_or_never().is_some_and(|token| token.is_ok()));
    let through_trait = allocations(|| provider.get_credential().now_or_never().is_some_and(|token| token.is_ok()));
    let memory = memory::THREADS.map(memory::measure).map(|Memory { threads, cache_bytes, view_bytes }| {
        json!({ "threads": threads, "cache_bytes": cache_bytes, "view_bytes": view_bytes })
    });
    println!("{}", json!({ "native": native, "trait": through_trait, "memory": Value::from(memory.to_vec()) }));
    Ok(())
}

/// The average number of allocations of a hit.
fn allocations(hit: impl Fn() -> bool) -> f64 {
    // The first reads convert the token and set up what a thread needs.
    for _ in 0..3 {
        assert!(hit(), "not a hit");
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..HITS {
            black_box(hit());
        }
    });
    counted.count_total as f64 / HITS as f64
}
