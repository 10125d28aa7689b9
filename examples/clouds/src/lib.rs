//! From a token endpoint to a working store, for every kind of token: each module is one, to be copied.
//!
//! | module | tokens | who refreshes |
//! |---|---|---|
//! | [`oauth2`] | of any OAuth2 issuer, by client credentials or a refresh token | the cache |
//! | [`google`] | of Google's metadata server | the cache |
//! | [`google`] | of whatever google-cloud-auth finds: service accounts, workload identity | google-cloud-auth; the cache looks in |
//! | [`azure`] | of whatever azure_identity finds: managed and workload identity, secrets, developers' tools | the cache |
//! | [`rds`] | passwords of a database of RDS, signed with AWS credentials | the cache, kept warm |

pub mod azure;
pub mod google;
pub mod oauth2;
pub mod rds;
