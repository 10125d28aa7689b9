default:
    @just --list

# every check that has to pass
ci:
    .ci/run

# named steps of it: `just step lint docs`
step *STEPS:
    .ci/run {{STEPS}}

fmt:
    cargo fmt --all

lint:
    .ci/run format lint

# the core alone, in seconds
core:
    .ci/run core

test:
    .ci/run test

doc:
    .ci/run docs

# traffic through rotations and an outage
s3 *ARGS:
    cargo run --release -p token-cache-examples --example s3 -- {{ARGS}}

# this cache and others, side by side
peers *ARGS:
    cargo run --release -p token-cache-peers -- {{ARGS}}

# when a fleet of caches calls its issuer
fleet *ARGS:
    cargo run --release -p token-cache-fleet-simulation -- {{ARGS}}

# the ratios of the benchmarks
bench *ARGS:
    cargo bench -p token-cache-peers -- {{ARGS}}
