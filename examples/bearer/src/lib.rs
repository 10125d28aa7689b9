//! Tokens on the requests of whatever client: each file is what it takes.

pub mod grpc;
pub mod hyper;
pub mod reqwest;
