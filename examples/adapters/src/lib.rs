#![doc = include_str!("../README.md")]

pub mod arroyo;
pub mod comet;
pub mod datafusion_cli;
pub mod delta_rs;
pub mod lance;
pub mod restate;
pub mod upstream;
