//! Three table and key-value formats on one cache. They differ in what they accept: an object store, a credential provider, or
//! a fetcher that can be serialized.

pub mod iceberg;
pub mod icechunk;
pub mod slatedb;
