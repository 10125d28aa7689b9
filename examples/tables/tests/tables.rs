//! Writes and reads each format with sessions that end in between.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::io::{FileIOBuilder, S3_ENDPOINT, S3_PATH_STYLE_ACCESS, S3_REGION};
use icechunk::config::{S3Credentials, S3Options};
use icechunk::repository::VersionInfo;
use icechunk::{Repository, new_s3_storage};
use token_cache_aws::{AssumeRole, AwsTokenCache};
use token_cache_tables::icechunk::Fetcher;
use token_cache_testing::aws::FakeAws;

const BUCKET: &str = "bucket";

struct Aws {
    server: FakeAws,
    cache: AwsTokenCache,
}

impl Aws {
    async fn start() -> anyhow::Result<Self> {
        let server = FakeAws::builder().start().await?;
        server.s3().create_bucket(BUCKET)?;
        let role = AssumeRole::new("arn:aws:iam::222222222222:role/tables");
        let cache = AwsTokenCache::from_sdk_config(&server.sdk_config())?.assume_role(&role).await;
        cache.get().await?;
        Ok(Self { server, cache })
    }

    /// The sessions so far end, and the cache has another one.
    async fn rotate(&self) -> anyhow::Result<()> {
        let before = self.cache.get().await?;
        self.server.issuer().end_sessions();
        self.cache.cache().replace(&before).await?;
        Ok(())
    }
}

/// Its background tasks may be rejected at any time, and are signed again.
#[tokio::test]
async fn slatedb_writes_and_reads_across_a_rotation() -> anyhow::Result<()> {
    let aws = Aws::start().await?;
    let db = token_cache_tables::slatedb::db("db", BUCKET, &aws.cache)?.build().await?;
    db.put("a", "1").await?;
    db.flush().await?;
    aws.rotate().await?;
    db.put("b", "2").await?;
    db.flush().await?;
    db.close().await?;
    let db = token_cache_tables::slatedb::db("db", BUCKET, &aws.cache)?.build().await?;
    assert_eq!((db.get("a").await?.as_deref(), db.get("b").await?.as_deref()), (Some(&b"1"[..]), Some(&b"2"[..])));
    db.close().await?;
    Ok(())
}

#[tokio::test]
async fn iceberg_writes_and_reads_across_a_rotation() -> anyhow::Result<()> {
    let aws = Aws::start().await?;
    let files = FileIOBuilder::new(Arc::new(token_cache_tables::iceberg::storage(&aws.cache)))
        .with_prop(S3_ENDPOINT, aws.server.s3().endpoint())
        .with_prop(S3_REGION, aws.server.region())
        .with_prop(S3_PATH_STYLE_ACCESS, true)
        .build();
    for name in ["a", "b"] {
        let path = format!("s3://{BUCKET}/{name}");
        files.new_output(&path)?.write(Bytes::from(name)).await?;
        assert_eq!(files.new_input(&path)?.read().await?, name);
        if name == "a" {
            aws.rotate().await?;
        }
    }
    assert_eq!(aws.server.s3().counts().rejected_in_all(), 0);
    Ok(())
}

#[tokio::test]
async fn icechunk_commits_and_reads() -> anyhow::Result<()> {
    let aws = Aws::start().await?;
    let storage = |fetcher| {
        let mut options = S3Options::default();
        options.region = Some(aws.server.region().to_owned());
        options.endpoint_url = Some(aws.server.s3().endpoint());
        (options.allow_http, options.force_path_style) = (true, true);
        let credentials = Some(S3Credentials::Refreshable(Arc::new(fetcher)));
        new_s3_storage(options, BUCKET.to_owned(), Some("repository".to_owned()), credentials, vec![], vec![], None)
    };
    let repository = Repository::create(storage(Fetcher::new(aws.cache.clone()))?).execute().await?;
    let mut session = repository.writable_session("main").await?;
    session.add_group("/group".try_into().unwrap(), Bytes::new()).await?;
    session.commit("a group").execute().await?;

    aws.rotate().await?;
    let repository = Repository::open(storage(Fetcher::new(aws.cache.clone()))?).execute().await?;
    let session = repository.readonly_session(&VersionInfo::BranchTipRef("main".to_owned())).await?;
    session.get_group(&"/group".try_into().unwrap()).await?;
    assert_eq!(aws.server.s3().counts().rejected_in_all(), 0);

    // As Icechunk would read it from its stored configuration.
    let stored = serde_json::to_string(&Fetcher::new(aws.cache.clone()))?;
    let error = Repository::open(storage(serde_json::from_str::<Fetcher>(&stored)?)?).execute().await.unwrap_err();
    assert!(format!("{error:?}").contains("create it anew"), "{error:?}");
    Ok(())
}

/// What the README says. A line counts if it is neither blank nor a comment.
#[test]
fn the_adapters_are_as_short_as_the_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    for name in ["iceberg", "icechunk", "slatedb"] {
        let code = fs::read_to_string(root.join(format!("src/{name}.rs"))).unwrap();
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        let lines = code.lines().filter(is_code).filter(|line| !line.starts_with("use ")).count();
        assert!(readme.contains(&format!("| `{name}.rs` | {lines} |")), "{name}.rs has {lines} lines");
    }
}
