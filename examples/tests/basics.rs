//! Each single-file example runs, offline and without an environment, and prints what it should.

use std::collections::BTreeSet;
use std::fs;

use token_cache_test_support::ChildProcess;

#[tokio::test]
async fn each_example_runs() {
    let examples = [
        ("assume_role", "2 calls of AssumeRole"),
        ("blocking", "token"),
        ("custom_source", "429: Source"),
        ("driver_and_worker", "the worker has token"),
        ("get", "fetching"),
        ("many_keys", "token of initech"),
        ("object_store_s3", r#"b"world""#),
        ("observe", "subscriber got"),
        ("options_map", "AmazonS3(bucket)"),
        ("outage", "expired: token"),
        ("own_runtime", r#"Some("io")"#),
        ("rejected", "200 with token-2"),
        ("shared", "process 2 has token"),
        ("your_tests", "FetchSucceeded"),
    ];
    for (name, expected) in examples {
        let output = ChildProcess::example(name).run().await.assert_success();
        assert!(output.stdout.contains(expected), "{name}: {}", output.stdout);
    }
    let files = fs::read_dir("basics").expect("the folder of the examples");
    let files: BTreeSet<String> =
        files.map(|file| file.expect("a file").file_name().to_string_lossy().replace(".rs", "")).collect();
    assert_eq!(files, examples.map(|(name, _)| name.to_owned()).into(), "all examples are run");
    let readme = fs::read_to_string("../README.md").expect("the README");
    for name in files {
        let source = fs::read_to_string(format!("basics/{name}.rs")).expect("an example");
        assert!(source.lines().count() <= 40, "{name} is longer than 40 lines");
        assert!(readme.contains(&format!("examples/basics/{name}.rs")), "the README does not list {name}");
    }
}
