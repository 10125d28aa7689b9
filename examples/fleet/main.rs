//! Many processes over one store of token-cache-fleet.
//!
//! ```text
//! cargo run --release -p token-cache-fleet-load -- rotations --store redis     # 200 processes with 5 caches each
//! cargo run --release -p token-cache-fleet-load -- rotations --store none      # the same without a store
//! cargo run --release -p token-cache-fleet-load -- killed --store redis        # a process is killed while it fetches
//! cargo run --release -p token-cache-fleet-load -- swaps --store files         # 8 processes, killed at random
//! cargo run --release -p token-cache-fleet-load -- agent                       # the agent and a bare HTTP server
//! cargo run --release -p token-cache-fleet-load -- picture docs/plots/fleet.svg
//! ```
//!
//! `redis` starts a redis-server on loopback (Debian: `apt install redis-server`). `s3` uses the bucket `fleet`, which it creates,
//! of the endpoint in `TOKEN_CACHE_S3`, with the keys `test` and `test`, or those of `TOKEN_CACHE_S3_KEYS` (`ID:SECRET`).

mod agent;
mod issuer;
mod killed;
mod picture;
mod processes;
mod redis_server;
mod rotations;
mod stores;
mod swaps;

use clap::{Parser, Subcommand};
use token_cache_core::BoxError;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Counts the calls of the issuer per rotation.
    Rotations(rotations::Arguments),
    /// Kills a process that fetches, and measures when the others have a token.
    Killed(killed::Arguments),
    /// Changes one record from many processes that are killed at random, and checks that no change is lost.
    Swaps(swaps::Arguments),
    /// Compares the agent with a bare HTTP server.
    Agent(agent::Arguments),
    /// Draws the calls of the issuer per second, without a store and with one.
    Picture(picture::Arguments),
    #[command(hide = true)]
    ReadTokens(processes::Child),
    #[command(hide = true)]
    Swap(swaps::Child),
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    match Arguments::parse().command {
        Command::Rotations(arguments) => rotations::run(arguments).await,
        Command::Killed(arguments) => killed::run(arguments).await,
        Command::Swaps(arguments) => swaps::run(arguments).await,
        Command::Agent(arguments) => agent::run(arguments).await,
        Command::Picture(arguments) => picture::run(arguments).await,
        Command::ReadTokens(child) => processes::read_tokens(child).await,
        Command::Swap(child) => swaps::swap(child).await,
    }
}
