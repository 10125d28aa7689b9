//! Token sources for object stores and databases outside of AWS. Each module is self-contained and meant to be copied.
//!
//! | module | tokens | refreshed by |
//! |---|---|---|
//! | [`oauth2`] | any OAuth 2.0 issuer: client credentials grant, refresh token grant | the cache |
//! | [`google`] | Google's metadata server | the cache |
//! | [`google`] | whatever google-cloud-auth finds: service account key, workload identity federation | google-cloud-auth; the cache polls it |
//! | [`azure`] | any azure_identity credential: managed identity, workload identity, client secret, developer tools | the cache |
//! | [`rds`] | passwords for RDS databases, signed with AWS credentials | the cache, by timer (`keep_warm`) |

pub mod azure;
pub mod google;
pub mod oauth2;
pub mod rds;
