//! Bearer tokens for hyper, reqwest and tonic. Each module is the complete integration of one client.

pub mod grpc;
pub mod hyper;
pub mod reqwest;
