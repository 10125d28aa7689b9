default:
    @just --list

# what has to pass
ci:
    .ci/run

fmt:
    cargo fmt --all

lint:
    cargo clippy --all-targets --all-features -- -D warnings

# the core alone, in seconds
core:
    cargo test -p token-cache-core

test:
    cargo test --all-features

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --all-features --no-deps

# traffic through rotations and an outage
s3 *ARGS:
    cargo run --release --example s3 -- {{ARGS}}

# this cache and its published peers, side by side
peers *ARGS:
    cargo run --release -p token-cache-peers -- {{ARGS}}
