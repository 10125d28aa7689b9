//! What the program shows, and what it does not.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn p01_p07_queries_and_reads_of_two_versions_fail_at_nothing_and_cost_one_issuer_call_a_rotation() {
    let report = run().await.unwrap();
    assert!(report.is_good(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p07_a_query_and_a_read_that_find_the_cache_empty_cost_one_assume_role() {
    let kit = kit::start().await.unwrap();
    let writer = Lake::over(&kit::reader(&kit).await).unwrap();
    writer.write().await.unwrap();
    let written = writer.read().await.unwrap();

    let delay = Duration::from_secs(1);
    kit.issuer().set_delay(delay);
    let lake = Lake::over(&kit::reader(&kit).await).unwrap();
    let before = (kit.issuer().counts().assume_role, kit.s3().counts().sessions);
    let start = Instant::now();
    let query = async {
        lake.register().await?;
        lake.query(0).await
    };
    let (query, read) = tokio::join!(query, lake.read());
    query.unwrap();
    assert_eq!(read.unwrap(), written);
    assert!(start.elapsed() >= delay, "nobody has waited for the issuer");
    let after = (kit.issuer().counts().assume_role, kit.s3().counts().sessions);
    assert_eq!(after, (before.0 + 1, before.1 + 1));
}
