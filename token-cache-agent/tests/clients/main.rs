//! The agent with clients that nobody here wrote: `tests/clients/servers` installs them and runs this.
//!
//! Each test lasts for five rotations and an outage of the issuer. Sessions are so short that every client asks the agent for each
//! request, which is the worst case. They are real-time tests, so they run one after the other.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::env;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use token_cache_agent::{Agent, Listener, Secret, expiry_buffer};
use token_cache_core::{BoxError, Clock, SystemClock, TemporaryToken, TokenCache, TokenCaches, TokenSource, source_fn};
use token_cache_oauth2::AccessToken;
use token_cache_testing::aws::FakeAws;
use tokio::process::Command;
use tokio::time::sleep;

const LIFETIME: Duration = Duration::from_secs(20);
const ROTATION: Duration = Duration::from_secs(10);
/// Five rotations, and the time in which processes start. With `TOKEN_CACHE_SHORT`, two rotations and a third of the processes.
fn duration() -> Duration {
    Duration::from_secs(if is_short() { 30 } else { 70 })
}

fn is_short() -> bool {
    env::var_os("TOKEN_CACHE_SHORT").is_some()
}

struct Scenario {
    aws: FakeAws,
    agent: Vec<(&'static str, String)>,
    until: String,
    calls: Arc<AtomicUsize>,
    _directory: tempfile::TempDir,
}

impl Scenario {
    async fn start() -> Self {
        let aws = FakeAws::builder().session_lifetime(LIFETIME).start().await.unwrap();
        aws.s3().create_bucket("bucket").unwrap();
        let (calls, is_down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let issuer = aws.issuer().clone();
        let sessions = counted(&calls, &is_down, move |_| {
            let key = issuer.new_session();
            let token = key.session_token().map(str::to_owned);
            Credentials::new(key.access_key_id(), key.secret_access_key(), token, None, "test")
        });
        let tokens = counted(&calls, &is_down, |call| AccessToken::new(format!("token-{call}")));
        let tokens = Arc::new(tokens);
        let resources = TokenCaches::builder({
            let tokens = Arc::clone(&tokens);
            move |_: &String| Arc::clone(&tokens)
        });
        let secret = Secret::random().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let token_file = directory.path().join("token");
        secret.write_to(&token_file).unwrap();
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address().unwrap().to_string();
        let agent = vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", listener.aws_url()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token_file.display().to_string()),
            ("GCE_METADATA_HOST", address.clone()),
            ("GCE_METADATA_IP", address),
            ("IDENTITY_ENDPOINT", listener.azure_url()),
            ("IDENTITY_HEADER", secret.expose().to_owned()),
        ];
        let (sessions, tokens) = (cache(sessions), cache(tokens));
        let resources = resources.cache(|cache, _| cache.expiry_buffer_by(expiry_buffer).jitter(0.0)).build();
        // An agent has its tokens before it has clients, however slowly those start.
        sessions.get().await.unwrap();
        tokens.get().await.unwrap();
        resources.get(&"https://storage.azure.com".to_owned()).await.unwrap();
        calls.store(1, Ordering::Relaxed);
        let server = Agent::new(secret).aws(sessions).google(tokens, "me@example.com", "project-7").azure(resources);
        tokio::spawn(server.serve(listener, std::future::pending()));
        // While the outage lasts, a rotation is due.
        tokio::spawn(async move {
            sleep(duration() / 3).await;
            is_down.store(true, Ordering::Relaxed);
            // A token that is due at its start lasts for longer than that.
            sleep(ROTATION * 6 / 10).await;
            is_down.store(false, Ordering::Relaxed);
        });
        let until = SystemClock::new().now().wall() + duration();
        let until = until.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string();
        Self { aws, agent, until, calls, _directory: directory }
    }

    fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        command.env_clear().env("PATH", env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
        command.env("UNTIL", &self.until).env("S3_ENDPOINT", self.aws.s3().endpoint());
        command.envs(self.agent.iter().cloned()).stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a client in `processes` processes. Each prints the number of its requests, and how many of them failed.
    async fn run(&self, processes: usize, command: impl Fn() -> Command) -> u64 {
        let processes = if is_short() { processes.div_ceil(3) } else { processes };
        let children: Vec<_> = (0..processes).map(|_| command().spawn().unwrap()).collect();
        let mut requests = 0;
        for child in children {
            let output = child.wait_with_output().await.unwrap();
            let output = String::from_utf8_lossy(&output.stdout).into_owned();
            let numbers: Vec<u64> = output.lines().last().unwrap_or_default().split(' ').flat_map(str::parse).collect();
            let [of_process, failed, ..] = numbers[..] else { panic!("{output}") };
            assert_eq!(failed, 0, "{output}");
            requests += of_process;
        }
        requests
    }

    /// One call per rotation, beside the failed ones of the outage.
    fn assert_calls(&self, what: &str, requests: u64) {
        let calls = self.calls.load(Ordering::Relaxed);
        println!("{what}: {requests} requests, 0 failed, {calls} tokens of the issuer");
        // One per rotation, fewer after the outage, and the next one if the processes end late.
        let expected = if is_short() { 2..=6 } else { 4..=10 };
        assert!(expected.contains(&calls), "{calls}");
        assert_eq!(self.aws.s3().counts().rejected_in_all(), 0);
    }
}

fn counted<T: Send + Sync + 'static>(
    calls: &Arc<AtomicUsize>,
    is_down: &Arc<AtomicBool>,
    make: impl Fn(usize) -> T + Send + Sync + 'static,
) -> impl TokenSource<Token = T> {
    let (calls, is_down, make) = (Arc::clone(calls), Arc::clone(is_down), Arc::new(make));
    source_fn(move || {
        let token = if is_down.load(Ordering::Relaxed) {
            Err::<_, BoxError>("the issuer is down".into())
        } else {
            Ok(make(calls.fetch_add(1, Ordering::Relaxed) + 1))
        };
        async { Ok::<_, BoxError>(TemporaryToken::expires_in(token?, LIFETIME)) }
    })
}

fn cache<T: Send + Sync + 'static>(source: impl TokenSource<Token = T>) -> TokenCache<T> {
    TokenCache::builder(source).expiry_buffer_by(expiry_buffer).jitter(0.0).build()
}

fn setting(name: &str) -> PathBuf {
    env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run tests/clients/servers")).into()
}

fn script(name: &str) -> PathBuf {
    setting("TOKEN_CACHE_CLIENTS").join(name)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs botocore: tests/clients/servers"]
async fn sixty_processes_of_botocore() {
    let scenario = Scenario::start().await;
    let python = setting("TOKEN_CACHE_PYTHON");
    let requests = scenario
        .run(60, || {
            let mut command = scenario.command(&python);
            command.arg(script("botocore_client.py"));
            command
        })
        .await;
    scenario.assert_calls("botocore", requests);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the AWS SDK for JavaScript: tests/clients/servers"]
async fn ten_processes_of_javascript() {
    let scenario = Scenario::start().await;
    let requests = scenario
        .run(10, || {
            let mut command = scenario.command("node");
            command.arg(script("javascript_client.js")).env("NODE_PATH", setting("TOKEN_CACHE_NODE_MODULES"));
            command
        })
        .await;
    scenario.assert_calls("JavaScript", requests);
}

/// Programs that run once: a new process for each request.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the AWS CLI and rclone: tests/clients/servers"]
async fn processes_of_the_aws_cli_and_rclone() {
    let scenario = Scenario::start().await;
    let aws = setting("TOKEN_CACHE_PYTHON").with_file_name("aws");
    let requests = scenario
        .run(4, || {
            let mut command = scenario.command("sh");
            command.env("AWS", &aws).env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_MAX_ATTEMPTS", "1").arg("-c").arg(
                r#"requests=0; failed=0
                export RCLONE_CONFIG=/dev/null RCLONE_S3_PROVIDER=Other RCLONE_S3_ENV_AUTH=true RCLONE_S3_ENDPOINT="$S3_ENDPOINT" RCLONE_S3_REGION=us-east-1
                while [ "$(date +%s)" -lt "$UNTIL" ]; do
                  "$AWS" --endpoint-url "$S3_ENDPOINT" s3api put-object --bucket bucket --key "cli-$$" --body "$0" >/dev/null || failed=$((failed + 1))
                  AWS_CONTAINER_AUTHORIZATION_TOKEN="$(cat "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")" rclone cat --retries 1 --low-level-retries 1 ":s3:bucket/cli-$$" >/dev/null || failed=$((failed + 1))
                  requests=$((requests + 2))
                done
                echo "$requests $failed""#,
            ).arg(script("main.rs"));
            command
        })
        .await;
    scenario.assert_calls("AWS CLI and rclone", requests);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs google-auth: tests/clients/servers"]
async fn sixty_processes_of_google_auth() {
    let scenario = Scenario::start().await;
    let python = setting("TOKEN_CACHE_PYTHON");
    let requests = scenario
        .run(60, || {
            let mut command = scenario.command(&python);
            command.arg(script("google_client.py"));
            command
        })
        .await;
    scenario.assert_calls("google-auth", requests);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs azure-identity: tests/clients/servers"]
async fn sixty_processes_of_azure_identity() {
    let scenario = Scenario::start().await;
    let python = setting("TOKEN_CACHE_PYTHON");
    let requests = scenario
        .run(60, || {
            let mut command = scenario.command(&python);
            command.arg(script("azure_client.py"));
            command
        })
        .await;
    scenario.assert_calls("azure-identity", requests);
}
