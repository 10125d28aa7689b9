//! The examples of token-cache. Start with `cargo run --release --example s3`.
