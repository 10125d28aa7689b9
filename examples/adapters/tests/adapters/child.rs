//! A process with an environment of its own, which is the only way to have one. Each test that needs it has a child: an
//! ignored test of the same file.

use std::process::{Command, Output};

pub(crate) type Env = Vec<(&'static str, String)>;

/// Runs the ignored test `name` with this environment and no other, and fails if it does.
pub(crate) async fn succeeds(name: &'static str, env: Env) {
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || run(name, env)).await.unwrap();
    let told = format!("{}\n{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{name}: {told}");
    assert!(told.contains("1 passed"), "there is no test {name}: {told}");
}

fn run(name: &str, env: Env) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.env_clear().envs(env).env("HOME", std::env::temp_dir().join("no-such-home"));
    command.output().unwrap()
}

/// What the parent has set.
pub(crate) fn env(name: &str) -> String {
    std::env::var(name).unwrap()
}
