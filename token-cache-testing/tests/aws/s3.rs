//! The S3 server, through object_store.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::aws::Checksum;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};

use crate::common::*;

#[tokio::test]
async fn objects_are_written_read_listed_copied_and_deleted() {
    let aws = start().await;
    let store = store_of(&aws, aws.long_term_key());
    let path = Path::from("a folder/ü+=&.txt");
    store.put(&path, "0123456789".into()).await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "0123456789");
    assert_eq!(store.get_range(&path, 2..5).await.unwrap(), "234");
    assert_eq!(store.head(&path).await.unwrap().size, 10);

    let copy = Path::from("a folder/copy");
    store.copy(&path, &copy).await.unwrap();
    let prefix = Path::from("a folder");
    let mut listed: Vec<_> = store.list(Some(&prefix)).map_ok(|meta| meta.location).try_collect().await.unwrap();
    listed.sort();
    assert_eq!(listed, [path.clone(), copy.clone()]);

    store.delete(&path).await.unwrap();
    store.delete(&copy).await.unwrap();
    assert!(matches!(store.get(&path).await, Err(object_store::Error::NotFound { .. })));
    assert_eq!(aws.s3().counts().rejected_in_all(), 0);
}

#[tokio::test]
async fn payloads_may_be_checksummed_or_unsigned() {
    let aws = start().await;
    let key = aws.issuer().new_session();
    let signed = builder(&aws)
        .with_access_key_id(key.access_key_id())
        .with_secret_access_key(key.secret_access_key())
        .with_token(key.session_token().unwrap());
    assert_works(&signed.clone().with_checksum_algorithm(Checksum::SHA256).build().unwrap()).await;
    assert_works(&signed.with_unsigned_payload(true).build().unwrap()).await;
}

#[tokio::test]
async fn a_multipart_upload_continues_with_the_next_session() {
    let aws = start().await;
    let credentials = Arc::new(ReplaceableCredentials::new(&aws.issuer().new_session()));
    let store = builder(&aws).with_credentials(Arc::clone(&credentials) as _).build().unwrap();
    let path = Path::from("parts");
    let part = vec![7; 5 * 1024 * 1024];
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part(part.clone().into()).await.unwrap();
    credentials.replace(&aws.issuer().new_session());
    upload.put_part(b"end".to_vec().into()).await.unwrap();
    credentials.replace(&aws.issuer().new_session());
    upload.complete().await.unwrap();
    let content = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(content.len(), part.len() + 3);
    assert!(content.ends_with(b"\x07end"));
    assert_eq!(aws.s3().counts().sessions, 3);
    assert_eq!(aws.s3().counts().rejected_in_all(), 0);
}

#[tokio::test]
async fn a_multipart_upload_can_be_aborted() {
    let aws = start().await;
    let store = store_of(&aws, aws.long_term_key());
    let mut upload = store.put_multipart(&Path::from("parts")).await.unwrap();
    upload.put_part(b"part".to_vec().into()).await.unwrap();
    upload.abort().await.unwrap();
    assert!(store.head(&Path::from("parts")).await.is_err());
}

#[tokio::test]
async fn an_expired_session_gets_400_expired_token() {
    let aws = start().await;
    let key = aws.issuer().new_session();
    let store = store_of(&aws, &key);
    assert_works_until(&aws, &store, key.expires_at().unwrap()).await;
    assert_eq!(rejection(&store).await, (400, "ExpiredToken".into()), "and again");
    store.head(&Path::from("works")).await.unwrap_err();
    assert_eq!(aws.s3().counts().rejected("ExpiredToken"), 3);
    assert_eq!(aws.s3().counts().sessions, 1);
}

#[tokio::test]
async fn ending_sessions_spares_later_ones_and_the_long_term_key() {
    let aws = start().await;
    let ended = store_of(&aws, &aws.issuer().new_session());
    assert_works(&ended).await;
    aws.issuer().end_sessions();
    assert_eq!(rejection(&ended).await, (400, "ExpiredToken".into()));
    assert_works(&store_of(&aws, &aws.issuer().new_session())).await;
    assert_works(&store_of(&aws, aws.long_term_key())).await;
}

#[tokio::test]
async fn a_listing_has_pages_of_the_configured_size() {
    let aws = start().await;
    let store = store_of(&aws, aws.long_term_key());
    for name in ["a", "b", "c"] {
        store.put(&Path::from(name), name.into()).await.unwrap();
    }
    aws.s3().set_page_size(2);
    let before = aws.s3().counts().requests;
    let listed: Vec<_> = store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    assert_eq!(listed, ["a", "b", "c"]);
    assert_eq!(aws.s3().counts().requests - before, 2);
}

#[tokio::test]
async fn a_rejected_upload_gets_an_answer_and_no_broken_pipe() {
    let aws = start().await;
    let store = store_of(&aws, &aws.issuer().new_session());
    aws.issuer().end_sessions();
    for _ in 0..3 {
        let upload = store.put(&Path::from("large"), vec![0; 16 * 1024 * 1024].into()).await;
        assert_eq!(rejection_in(&upload.unwrap_err()), (400, "ExpiredToken".into()));
    }
}

#[tokio::test]
async fn an_unknown_key_gets_403_invalid_access_key_id() {
    let aws = start().await;
    let unknown = start().await.issuer().new_session();
    assert_eq!(rejection(&store_of(&aws, &unknown)).await, (403, "InvalidAccessKeyId".into()));
    assert_eq!(aws.s3().counts().rejected("InvalidAccessKeyId"), 1);
}

#[tokio::test]
async fn a_wrong_secret_gets_403_signature_does_not_match() {
    let aws = start().await;
    let key = aws.issuer().new_session();
    let store = store(&aws, key.access_key_id(), "wrong", key.session_token());
    assert_eq!(rejection(&store).await, (403, "SignatureDoesNotMatch".into()));
    assert_eq!(aws.s3().counts().rejected("SignatureDoesNotMatch"), 1);
}

#[tokio::test]
async fn a_missing_or_wrong_session_token_gets_400_invalid_token() {
    let aws = start().await;
    let (key, other) = (aws.issuer().new_session(), aws.issuer().new_session());
    for token in [None, Some("wrong"), other.session_token()] {
        let store = store(&aws, key.access_key_id(), key.secret_access_key(), token);
        assert_eq!(rejection(&store).await, (400, "InvalidToken".into()));
    }
    let user = aws.long_term_key();
    let store = store(&aws, user.access_key_id(), user.secret_access_key(), Some("wrong"));
    assert_eq!(rejection(&store).await, (400, "InvalidToken".into()));
    assert_eq!(aws.s3().counts().rejected("InvalidToken"), 4);
    assert_eq!(aws.s3().counts().sessions, 0);
}

#[tokio::test]
async fn an_anonymous_request_gets_403_access_denied() {
    let aws = start().await;
    let store = builder(&aws).with_skip_signature(true).build().unwrap();
    assert_eq!(rejection(&store).await, (403, "AccessDenied".into()));
    assert_eq!(aws.s3().counts().rejected("AccessDenied"), 1);
}

#[tokio::test]
async fn a_presigned_url_works_until_its_session_ends() {
    let aws = start().await;
    let store = store_of(&aws, &aws.issuer().new_session());
    assert_works(&store).await;
    let path = Path::from("works");
    let url = store.signed_url("GET".parse().unwrap(), &path, HOUR).await.unwrap().to_string();
    assert_eq!(aws.http.get(&url).send().await.unwrap().text().await.unwrap(), "content");
    aws.issuer().end_sessions();
    let response = aws.http.get(&url).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().await.unwrap().contains("<Code>ExpiredToken</Code>"));
}

#[tokio::test]
async fn requests_and_sessions_are_counted() {
    let aws = start().await;
    assert_eq!(aws.s3().counts(), Default::default());
    assert_works(&store_of(&aws, aws.long_term_key())).await;
    assert_eq!((aws.s3().counts().requests, aws.s3().counts().sessions), (2, 0));
    let store = store_of(&aws, &aws.issuer().new_session());
    assert_works(&store).await;
    assert_works(&store).await;
    assert_works(&store_of(&aws, &aws.issuer().new_session())).await;
    assert_eq!((aws.s3().counts().requests, aws.s3().counts().sessions), (8, 2));
    store.get(&Path::from("not there")).await.unwrap_err();
    assert_eq!(aws.s3().counts().rejections, Default::default(), "a 404 does not concern the credentials");
}

#[tokio::test]
async fn a_bucket_needs_a_valid_name_and_may_exist() {
    let aws = start().await;
    aws.s3().create_bucket(BUCKET).unwrap();
    for name in ["", "../outside", "UPPER", ".", ".."] {
        let error = aws.s3().create_bucket(name).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name}");
    }
}
