//! Tests of the crates for other clouds, in `tests`, and the example `github_app`.
