//! The objects: s3s-fs, for one owner.

use async_trait::async_trait;
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

/// A file system whose objects and uploads belong to the account.
///
/// s3s-fs lets an upload in parts be finished only with the access key that
/// began it. In S3 the account owns the upload, and a client whose session is
/// renewed in the middle goes on with the next one: the very thing that the
/// users of this kit test. So s3s-fs is not told who asks.
pub(crate) struct Store(pub(crate) FileSystem);

macro_rules! forward {
    ($($operation:ident: $input:ident => $output:ident,)*) => {
        #[async_trait]
        impl S3 for Store {
            $(
                async fn $operation(
                    &self,
                    mut request: S3Request<$input>,
                ) -> S3Result<S3Response<$output>> {
                    request.credentials = None;
                    self.0.$operation(request).await.map_err(as_s3_has_it)
                }
            )*
        }
    };
}

// All that s3s-fs has; the rest is `NotImplemented`, as it is there.
forward! {
    abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput,
    complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput,
    copy_object: CopyObjectInput => CopyObjectOutput,
    create_bucket: CreateBucketInput => CreateBucketOutput,
    create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput,
    delete_bucket: DeleteBucketInput => DeleteBucketOutput,
    delete_object: DeleteObjectInput => DeleteObjectOutput,
    delete_objects: DeleteObjectsInput => DeleteObjectsOutput,
    get_bucket_location: GetBucketLocationInput => GetBucketLocationOutput,
    get_object: GetObjectInput => GetObjectOutput,
    head_bucket: HeadBucketInput => HeadBucketOutput,
    head_object: HeadObjectInput => HeadObjectOutput,
    list_buckets: ListBucketsInput => ListBucketsOutput,
    list_objects: ListObjectsInput => ListObjectsOutput,
    list_objects_v2: ListObjectsV2Input => ListObjectsV2Output,
    list_parts: ListPartsInput => ListPartsOutput,
    put_object: PutObjectInput => PutObjectOutput,
    upload_part: UploadPartInput => UploadPartOutput,
    upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput,
}

/// s3s-fs denies access to an upload it does not know; nothing else does, as
/// access was checked before.
fn as_s3_has_it(error: S3Error) -> S3Error {
    match error.code() {
        s3s::S3ErrorCode::AccessDenied => {
            s3_error!(NoSuchUpload, "The specified upload does not exist.")
        }
        _ => error,
    }
}
