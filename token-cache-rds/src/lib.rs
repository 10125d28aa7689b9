//! Passwords for RDS databases with IAM authentication, where a password is signed with AWS credentials:
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>.
//!
//! ```
//! use std::time::Duration;
//! use token_cache_aws::AwsTokenCache;
//! use token_cache_core::TokenCache;
//! use token_cache_rds::Passwords;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let provider = aws_credential_types::Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
//! let aws = AwsTokenCache::from_provider(provider); // or from_env()
//! let host = "database.abc.eu-west-1.rds.amazonaws.com";
//! let passwords = Passwords::new(aws, host, 5432, "app").region("eu-west-1");
//! let cache = TokenCache::builder(passwords).keep_warm(Duration::MAX).build();
//! assert!(cache.get().await?.secret().starts_with("database.abc.eu-west-1.rds.amazonaws.com:5432/?Action=connect"));
//! # Ok(())
//! # }
//! ```
//!
//! The database checks a password only when a connection is opened. Open connections outlive their password.
//!
//! With the feature `sqlx`, the function `pool` makes a pool of PostgreSQL connections over such a cache. Enable one of sqlx's
//! features for TLS: RDS accepts these passwords over TLS only.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod password;
mod passwords;
#[cfg(feature = "sqlx")]
mod pool;

pub use token_cache_aws;
pub use token_cache_core;

pub use crate::password::Password;
pub use crate::passwords::Passwords;
#[cfg(feature = "sqlx")]
pub use crate::pool::pool;

#[cfg(all(doctest, feature = "sqlx"))]
#[doc = include_str!("../README.md")]
mod readme {}
