//! Iceberg signs with reqsign, through OpenDAL.

use iceberg_storage_opendal::{CustomAwsCredentialLoader, OpenDalStorageFactory};
use token_cache_aws::AwsTokenCache;

/// The storage of tables on S3.
#[must_use]
pub fn storage(aws: &AwsTokenCache) -> OpenDalStorageFactory {
    OpenDalStorageFactory::S3 { customized_credential_load: Some(CustomAwsCredentialLoader::new(aws.clone())) }
}
