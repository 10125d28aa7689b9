//! [`Issuer`]: a server that issues and counts tokens.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use token_cache_core::{BoxError, Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Issues `token-1`, `token-2`, ... It answers a connection with one line: the token and the milliseconds of its expiry.
pub(crate) struct Issuer {
    pub(crate) port: u16,
    /// The time of each call since the start.
    calls: Arc<Mutex<Vec<Duration>>>,
}

impl Issuer {
    pub(crate) async fn start(lifetime: Duration, delay: Duration) -> Result<Self, BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (port, calls) = (listener.local_addr()?.port(), Arc::new(Mutex::new(Vec::new())));
        tokio::spawn({
            let calls = Arc::clone(&calls);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
                    calls.push(SystemClock::new().now().monotonic());
                    tokio::spawn(answer(stream, calls.len(), lifetime, delay));
                }
            }
        });
        Ok(Self { port, calls })
    }

    /// The times of the calls so far.
    pub(crate) fn calls(&self) -> Vec<Duration> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(mut stream: TcpStream, number: usize, lifetime: Duration, delay: Duration) {
    sleep(delay).await;
    let expires_at = SystemClock::new().now().wall() + lifetime;
    let since_epoch = expires_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // A caller that was killed does not read it.
    let _ = stream.write_all(format!("token-{number} {}", since_epoch.as_millis()).as_bytes()).await;
}

/// Asks an issuer.
pub(crate) async fn request(port: u16) -> Result<(String, SystemTime), BoxError> {
    let mut line = String::new();
    TcpStream::connect(("127.0.0.1", port)).await?.read_to_string(&mut line).await?;
    let (token, millis) = line.split_once(' ').ok_or("the issuer closed the connection")?;
    Ok((token.to_owned(), SystemTime::UNIX_EPOCH + Duration::from_millis(millis.parse()?)))
}
