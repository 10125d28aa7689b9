//! The same operations without waiting: each rotation is an explicit refresh of a session that lasts an hour.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn p01_p07_each_rotation_costs_one_call_and_no_failure() {
    let fake_aws = loopback::start(HOUR).await.unwrap();
    let aws = loopback::role_cache(&fake_aws, Duration::ZERO).await;
    let dataset = Dataset::new(&aws).unwrap();
    dataset.write().await.unwrap();
    dataset.register().await.unwrap();
    let written = dataset.read().await.unwrap();

    for n in 0..4 {
        let (query, read, refresh) = tokio::join!(dataset.query(n), dataset.read(), aws.cache().refresh());
        query.unwrap();
        assert_eq!(read.unwrap(), written);
        refresh.unwrap();
    }
    dataset.query(4).await.unwrap();

    let s3 = fake_aws.s3().counts();
    assert_eq!(aws.cache().status().generation, 5);
    assert_eq!(s3.sessions, 5, "each session is used, and no session of another cache");
    assert_eq!(s3.rejected_in_all(), 0);
    assert_eq!(fake_aws.issuer().counts().assume_role, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn p07_a_cold_query_and_read_share_one_call() {
    let fake_aws = loopback::start(HOUR).await.unwrap();
    let writer = Dataset::new(&loopback::role_cache(&fake_aws, Duration::ZERO).await).unwrap();
    writer.write().await.unwrap();
    let written = writer.read().await.unwrap();

    let aws = loopback::role_cache(&fake_aws, Duration::ZERO).await;
    let dataset = Dataset::new(&aws).unwrap();
    let before = (fake_aws.issuer().counts().assume_role, fake_aws.s3().counts().sessions);
    assert!(aws.cache().peek().is_none());
    let query = async {
        dataset.register().await?;
        dataset.query(0).await
    };
    let (query, read) = tokio::join!(query, dataset.read());
    query.unwrap();
    assert_eq!(read.unwrap(), written);
    let after = (fake_aws.issuer().counts().assume_role, fake_aws.s3().counts().sessions);
    assert_eq!(after, (before.0 + 1, before.1 + 1));
}
