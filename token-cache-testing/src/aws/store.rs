//! The object store behind the S3 server: s3s-fs, with one owner for all objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

/// s3s-fs, where all objects and uploads belong to the account.
///
/// s3s-fs lets only the access key that began a multipart upload complete it. In S3 the account owns the upload, and a client
/// whose session is renewed in between continues with the new one, which is what users of this crate test. So the credentials
/// of each request are removed before s3s-fs sees it.
pub(crate) struct Store {
    files: FileSystem,
    /// The maximum number of keys on one page of a listing.
    page_size: Arc<AtomicI32>,
}

impl Store {
    pub(crate) fn new(files: FileSystem, page_size: Arc<AtomicI32>) -> Self {
        Self { files, page_size }
    }

    fn limit(&self, max_keys: &mut Option<i32>) {
        let page_size = self.page_size.load(Ordering::Relaxed);
        *max_keys = Some(max_keys.map_or(page_size, |max_keys| max_keys.min(page_size)));
    }
}

macro_rules! forward {
    ($($operation:ident: $input:ident => $output:ident $(, limited by $max_keys:ident)?;)*) => {
        #[async_trait]
        impl S3 for Store {
            $(
                async fn $operation(
                    &self,
                    mut request: S3Request<$input>,
                ) -> S3Result<S3Response<$output>> {
                    request.credentials = None;
                    $(self.limit(&mut request.input.$max_keys);)?
                    self.files.$operation(request).await.map_err(no_such_upload)
                }
            )*
        }
    };
}

// All operations of s3s-fs; the others answer `NotImplemented`.
forward! {
    abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput;
    complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput;
    copy_object: CopyObjectInput => CopyObjectOutput;
    create_bucket: CreateBucketInput => CreateBucketOutput;
    create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput;
    delete_bucket: DeleteBucketInput => DeleteBucketOutput;
    delete_object: DeleteObjectInput => DeleteObjectOutput;
    delete_objects: DeleteObjectsInput => DeleteObjectsOutput;
    get_bucket_location: GetBucketLocationInput => GetBucketLocationOutput;
    get_object: GetObjectInput => GetObjectOutput;
    head_bucket: HeadBucketInput => HeadBucketOutput;
    head_object: HeadObjectInput => HeadObjectOutput;
    list_buckets: ListBucketsInput => ListBucketsOutput;
    list_objects: ListObjectsInput => ListObjectsOutput, limited by max_keys;
    list_objects_v2: ListObjectsV2Input => ListObjectsV2Output, limited by max_keys;
    list_parts: ListPartsInput => ListPartsOutput;
    put_object: PutObjectInput => PutObjectOutput;
    upload_part: UploadPartInput => UploadPartOutput;
    upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput;
}

/// s3s-fs answers `AccessDenied` for an unknown upload where S3 answers `NoSuchUpload`. It has no other reason to deny access,
/// because the credentials have been checked before.
fn no_such_upload(error: S3Error) -> S3Error {
    match error.code() {
        s3s::S3ErrorCode::AccessDenied => {
            s3_error!(NoSuchUpload, "The specified upload does not exist.")
        }
        _ => error,
    }
}
