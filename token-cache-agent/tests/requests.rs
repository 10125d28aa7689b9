//! What an agent answers and refuses, over sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use token_cache_agent::{Agent, Listener, Secret, expiry_buffer};
use token_cache_core::{TemporaryToken, TokenCache, TokenCaches, retry_after, source_fn};
use token_cache_oauth2::AccessToken;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SECRET: &str = "0123456789abcdef";

struct TestAgent {
    address: SocketAddr,
    is_down: Arc<AtomicBool>,
    fetches: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl TestAgent {
    async fn start() -> Self {
        let (is_down, fetches) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let credentials = source_fn({
            let (is_down, fetches) = (Arc::clone(&is_down), Arc::clone(&fetches));
            move || {
                fetches.fetch_add(1, Ordering::Relaxed);
                let is_down = is_down.load(Ordering::Relaxed);
                async move {
                    if is_down {
                        return Err(retry_after("the issuer's own words", Duration::from_secs(90)));
                    }
                    let session = Credentials::new("AKIA", "secret", Some("session".to_owned()), None, "test");
                    Ok(TemporaryToken::new(session, at(1_999_999_999)))
                }
            }
        });
        let google = source_fn(|| async { access_token("google") });
        let azure = TokenCaches::builder(|resource: &String| {
            let token = format!("azure for {resource}");
            source_fn(move || {
                let token = token.clone();
                async move { access_token(&token) }
            })
        });
        let agent = Agent::new(Secret::new(SECRET).unwrap())
            .aws(TokenCache::builder(credentials).expiry_buffer_by(expiry_buffer).build())
            .google(TokenCache::builder(google).build(), "me@example.com", "project-7")
            .azure(azure.build());
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, (stop, stopped)) = (listener.address().unwrap(), oneshot::channel());
        let server = tokio::spawn(agent.serve(listener, async { drop(stopped.await) }));
        Self { address, is_down, fetches, stop: Some(stop), server }
    }

    /// Sends a request with its own `Host`, and returns the whole response.
    async fn get(&self, path: &str, headers: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n", self.address)).await
    }

    async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut response = Vec::new();
        // The agent may close the connection before it has read all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_end(&mut response).await;
        String::from_utf8(response).unwrap()
    }
}

fn access_token(token: &str) -> io::Result<TemporaryToken<AccessToken>> {
    Ok(TemporaryToken::expires_in(AccessToken::new(token), Duration::from_secs(3600)))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn authorization() -> String {
    format!("Authorization: {SECRET}\r\n")
}

#[tokio::test]
async fn aws_gets_container_credentials() {
    let agent = TestAgent::start().await;
    for _ in 0..10 {
        let response = agent.get("/aws/credentials", &authorization()).await;
        assert!(response.starts_with("HTTP/1.1 200") && response.contains("cache-control: no-store"), "{response}");
        let body: serde_json::Value = serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((body["AccessKeyId"].as_str(), body["Token"].as_str()), (Some("AKIA"), Some("session")));
        assert_eq!(body["SecretAccessKey"], "secret");
        // The remaining lifetime is that of the stricter clock, to the second.
        assert!(body["Expiration"].as_str().unwrap().starts_with("2033-05-18T03:33:"), "{body}");
    }
    assert_eq!(agent.fetches.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn azure_gets_a_token_per_resource() {
    let agent = TestAgent::start().await;
    let header = format!("X-IDENTITY-HEADER: {SECRET}\r\n");
    for resource in ["https://storage.azure.com/", "https://vault.azure.net"] {
        let path = format!("/msi/token?api-version=2019-08-01&resource={}", resource.replace(':', "%3A"));
        let response = agent.get(&path, &header).await;
        assert!(response.contains(&format!("\"access_token\":\"azure for {resource}\"")), "{response}");
        assert!(response.contains("\"expires_on\":\""), "{response}");
    }
    assert!(agent.get("/msi/token", &header).await.starts_with("HTTP/1.1 400"));
    assert!(agent.get("/msi/token?resource=a", "").await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn google_gets_what_its_clients_ask_for() {
    let agent = TestAgent::start().await;
    let flavor = "Metadata-Flavor: Google\r\n";
    for (path, expected) in [
        ("instance/service-accounts/default/token", "\"access_token\":\"google\""),
        ("instance/service-accounts/me@example.com/token?scopes=a", "\"token_type\":\"Bearer\""),
        ("instance/service-accounts/default/email", "me@example.com"),
        ("instance/service-accounts/default/?recursive=true", "\"aliases\":[\"default\"]"),
        ("project/project-id", "project-7"),
        ("universe/universe-domain", "googleapis.com"),
    ] {
        let response = agent.get(&format!("/computeMetadata/v1/{path}"), flavor).await;
        assert!(response.starts_with("HTTP/1.1 200") && response.contains("metadata-flavor: Google"), "{response}");
        assert!(response.contains(expected), "{response}");
    }
    assert!(agent.get("/", "").await.contains("metadata-flavor: Google"), "clients look for it without the header");
    let response = agent.get("/computeMetadata/v1/instance/service-accounts/default/token", "").await;
    assert!(response.starts_with("HTTP/1.1 403") && !response.contains("access_token"), "{response}");
    assert!(agent.get("/computeMetadata/v1/instance/service-accounts/other/token", flavor).await.contains(" 404 "));
}

#[tokio::test]
async fn foreign_requests_are_refused() {
    let agent = TestAgent::start().await;
    let (address, authorization) = (agent.address, authorization());
    let get = |host: &str, headers: &str| {
        format!("GET /aws/credentials HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n")
    };
    let own = address.to_string();
    let mut refused = vec![
        ("no secret", get(&own, ""), 403),
        ("wrong secret", get(&own, "Authorization: 0123456789abcdeg\r\n"), 403),
        ("short secret", get(&own, "Authorization: 0123456789abcde\r\n"), 403),
        ("foreign host", get("attacker.example", &authorization), 403),
        ("other port", get("127.0.0.1:1", &authorization), 403),
        ("two hosts", get(&own, &format!("Host: attacker.example\r\n{authorization}")), 403),
        ("POST", get(&own, &authorization).replacen("GET", "POST", 1), 405),
        ("OPTIONS", get(&own, &authorization).replacen("GET", "OPTIONS", 1), 405),
        ("unknown path", get(&own, &authorization).replacen("/aws", "/other", 1), 404),
        ("absolute target", get(&own, &authorization).replacen("/aws", &format!("http://{own}/aws"), 1), 403),
        ("huge header", get(&own, &format!("X: {}\r\n{authorization}", "x".repeat(64 << 10))), 431),
        ("no host", format!("GET /aws/credentials HTTP/1.1\r\n{authorization}Connection: close\r\n\r\n"), 403),
        ("HTTP/0.9", "GET /aws/credentials\r\n\r\n".to_owned(), 400),
    ];
    for header in
        ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "Origin", "Referer", "Sec-Fetch-Site", "X-Real-IP"]
    {
        refused.push((header, get(&own, &format!("{header}: 10.0.0.1\r\n{authorization}")), 403));
    }
    for (what, request, status) in refused {
        let response = agent.send(&request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {response}");
        assert!(!response.contains("AKIA"), "{what}: {response}");
    }
    assert_eq!(agent.fetches.load(Ordering::Relaxed), 0);
    let allowed = agent.send(&get(&format!("LOCALHOST:{}", address.port()), &authorization)).await;
    assert!(allowed.starts_with("HTTP/1.1 200"), "{allowed}");
}

#[tokio::test]
async fn a_slow_client_is_cut_off_and_keeps_nobody_waiting() {
    let agent = TestAgent::start().await;
    let mut slow = TcpStream::connect(agent.address).await.unwrap();
    slow.write_all(b"GET /aws/credentials HTTP/1.1\r\nHost: ").await.unwrap();
    assert!(agent.get("/aws/credentials", &authorization()).await.starts_with("HTTP/1.1 200"));
    let mut rest = Vec::new();
    // It ends with the time that headers have.
    slow.read_to_end(&mut rest).await.unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("AKIA"));
}

#[tokio::test]
async fn an_issuer_that_is_down_is_503_without_its_words() {
    let agent = TestAgent::start().await;
    agent.is_down.store(true, Ordering::Relaxed);
    let response = agent.get("/aws/credentials", &authorization()).await;
    assert!(response.starts_with("HTTP/1.1 503") && response.contains("retry-after: "), "{response}");
    assert!(!response.contains("own words"), "{response}");
    let seconds = response.split_once("retry-after: ").unwrap().1.split_once('\r').unwrap().0;
    assert!((60..=90).contains(&seconds.parse::<u64>().unwrap()), "{seconds}");
}

#[tokio::test]
async fn stopping_ends_idle_connections_at_once() {
    let mut agent = TestAgent::start().await;
    let mut idle = TcpStream::connect(agent.address).await.unwrap();
    let request = format!("GET /aws/credentials HTTP/1.1\r\nHost: {}\r\n{}\r\n", agent.address, authorization());
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    idle.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    agent.stop.take();
    agent.server.await.unwrap();
    idle.read_to_end(&mut Vec::new()).await.unwrap();
    assert!(TcpStream::connect(agent.address).await.is_err());
}

#[tokio::test]
async fn other_hosts_cannot_reach_an_agent() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error = Listener::tcp(address.parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("not a loopback address"), "{error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_belongs_to_its_user() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let listener = Listener::unix(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Listener::unix(&path).await.unwrap_err().to_string().contains("in use"));
    drop(listener);
    // As a process leaves it that was killed.
    let cache = TokenCache::builder(source_fn(|| async {
        Ok::<_, io::Error>(TemporaryToken::never_expires(Credentials::new("AKIA", "secret", None, None, "test")))
    }));
    let agent = Agent::new(Secret::new(SECRET).unwrap()).aws(cache.build());
    let listener = Listener::unix(&path).await.unwrap();
    tokio::spawn(agent.serve(listener, std::future::pending()));
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let request = format!("GET /aws/credentials HTTP/1.0\r\nHost: localhost\r\n{}\r\n", authorization());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.contains("AKIA"), "{response}");
}

#[test]
fn secrets_are_checked_written_and_not_shown() {
    assert!(Secret::new("short").is_err() && Secret::new("0123456789abcde\n").is_err());
    let secret = Secret::new(SECRET).unwrap();
    assert!(!format!("{secret:?} {:?}", Agent::new(secret.clone())).contains(SECRET));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    secret.write_to(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), SECRET);
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
        0o600
    );
    assert_ne!(Secret::random().unwrap().expose(), Secret::random().unwrap().expose());
}
