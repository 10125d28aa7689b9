//! The examples of token-cache. `cargo run --release --example s3` is the one to begin with.
