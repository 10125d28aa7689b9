//! Promise 22 for the types of this crate.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use token_cache_aws::{AssumeRole, AwsTokenCache, SdkSource, credential_cache};
use token_cache_testing::aws::{FakeAws, Fault};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use super::harness::*;

#[tokio::test]
async fn p22_nothing_printable_contains_a_part_of_the_credentials() {
    let aws = TestAws::start().await;
    let cache = aws.cache_with(|builder| builder.min_refresh_interval(Duration::ZERO)).await;
    let store = store(&cache);
    round_trip(&store, "object").await.unwrap();
    let credentials = cache.get().await.unwrap();

    let source = SdkSource::new(credentials.as_ref().clone());
    let mut printed = vec![format!("{cache:?} {cache:#?} {:?} {source:?} {store:?}", cache.cache())];
    for fault in [Fault::Garbage, Fault::Expired, Fault::Status(403)] {
        aws.issuer().fail(fault);
        aws.clock.advance(MINUTE);
        let error = cache.cache().refresh().await.unwrap_err();
        printed.push(format!("{error} {error:?} {:?} {:?}", error.source(), cache.cache()));
    }
    let key = aws.long_term_key();
    let secrets = [
        credentials.access_key_id(),
        credentials.secret_access_key(),
        credentials.session_token().unwrap(),
        key.access_key_id(),
        key.secret_access_key(),
    ];
    for text in printed {
        for secret in secrets {
            assert!(!text.contains(secret) && !text.contains(&secret[..12]), "{text}");
        }
    }
}

#[test]
fn debug_hides_the_user_of_the_endpoint() {
    let config = aws_config::SdkConfig::builder().endpoint_url("https://user:hunter2@s3.example.com/").build();
    let cache =
        AwsTokenCache::new(credential_cache(SdkSource::new(Credentials::new("", "", None, None, ""))).build(), &config);
    let printed = format!("{cache:?}");
    assert!(printed.contains("https://***@s3.example.com/") && !printed.contains("hunter2"), "{printed}");
}

/// What a subscriber at `TRACE` gets to see: every crate logs there, also the AWS SDK. SECURITY.md names those that show secrets.
#[tokio::test]
async fn p22_this_crate_logs_no_secret_at_trace_and_the_sdk_only_what_is_documented() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(log.clone());
    let aws = FakeAws::builder().start().await.unwrap();
    aws.s3().create_bucket(BUCKET).unwrap();
    let credentials = {
        let _guard = subscriber.finish().set_default();
        let base = AwsTokenCache::from_sdk_config(&aws.sdk_config()).unwrap();
        let role = AssumeRole::new("arn:aws:iam::222222222222:role/reader").external_id("CanaryExternalId");
        let cache = credential_cache(role.source(&base).await).min_refresh_interval(Duration::ZERO).build();
        let cache = AwsTokenCache::new(cache, &aws.sdk_config());
        round_trip(&store(&cache), "object").await.unwrap();
        let credentials = cache.get().await.unwrap();
        // A failure, whose response the SDK logs.
        aws.issuer().fail(Fault::Status(403));
        cache.cache().refresh().await.unwrap_err();
        credentials
    };
    let secrets = [
        credentials.secret_access_key(),
        credentials.session_token().unwrap(),
        aws.long_term_key().secret_access_key(),
        "CanaryExternalId",
    ];
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(["TRACE", "token_cache_core", "aws_smithy"].iter().all(|part| text.contains(part)), "both have logged");
    let mut shown = BTreeSet::new();
    for line in text.lines().filter(|line| secrets.iter().any(|secret| line.contains(secret))) {
        // TIME LEVEL SPAN: TARGET: MESSAGE, with any number of spans.
        let target = line.split(": ").map(|part| part.split(['{', ' ']).next().unwrap_or_default());
        let target = target.filter(|part| part.contains("::") || part.starts_with("token_cache")).last();
        shown.insert(target.unwrap_or(line).split("::").next().unwrap_or_default().to_owned());
    }
    assert!(!shown.iter().any(|target| target.starts_with("token_cache")), "{shown:?}");
    let security = include_str!("../../../SECURITY.md");
    for target in &shown {
        assert!(security.contains(&format!("`{target}`")), "SECURITY.md does not name {target:?}, of {shown:?}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
