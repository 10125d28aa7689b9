//! Counts what a hit allocates, natively and through the trait of object_store. A program of its own: what counts makes
//! each allocation dearer, and the others are timed.

use std::hint::black_box;
use std::sync::Arc;

use aws_credential_types::Credentials;
use futures::FutureExt;
use object_store::aws::AwsCredentialProvider;
use token_cache_aws::AwsTokenCache;

const HITS: u64 = 1000;

fn main() -> anyhow::Result<()> {
    let credentials = Credentials::new("key", "secret", Some("session".to_owned()), None, "peers");
    let aws = AwsTokenCache::from_provider(credentials);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(aws.get())?;
    let provider: AwsCredentialProvider = Arc::new(aws.clone());
    let native = allocations(|| aws.get().now_or_never().is_some_and(|token| token.is_ok()));
    let through = allocations(|| provider.get_credential().now_or_never().is_some_and(|token| token.is_ok()));
    println!("{}", serde_json::json!({ "native": native, "trait": through }));
    Ok(())
}

/// By each hit.
fn allocations(hit: impl Fn() -> bool) -> f64 {
    // The first ones convert, and make room for what a thread notes.
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
