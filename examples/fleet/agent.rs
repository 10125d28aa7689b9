//! What the agent costs over a bare HTTP server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use aws_credential_types::Credentials;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use token_cache_agent::{Agent, Listener, Secret};
use token_cache_core::{BoxError, Clock, SystemClock, TemporaryToken, TokenCache, source_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Requests per round and connection.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Rounds of each server, in turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// One round with one server.
struct Round {
    per_second: f64,
    p99: Duration,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), BoxError> {
    let secret = Secret::random()?;
    let cache = TokenCache::builder(source_fn(|| async {
        let session = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", Some("t".repeat(900)), None, "load");
        Ok::<_, BoxError>(TemporaryToken::expires_in(session, Duration::from_secs(3600)))
    }));
    let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
    let agent = listener.address().ok_or("no address")?;
    tokio::spawn(Agent::new(secret.clone()).aws(cache.build()).serve(listener, std::future::pending()));
    let request = |address: SocketAddr| {
        let secret = secret.expose();
        format!("GET /aws/credentials HTTP/1.1\r\nHost: {address}\r\nAuthorization: {secret}\r\n\r\n")
    };
    // The same bytes, without a cache and without checks.
    let answer = exchange(&mut TcpStream::connect(agent).await?, request(agent).as_bytes(), &mut Vec::new()).await?;
    let echo = echo(answer).await?;

    let (mut of_agent, mut of_echo) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        of_echo.push(round(&arguments, echo, request(echo)).await?);
        of_agent.push(round(&arguments, agent, request(agent)).await?);
    }
    let median = |rounds: &mut Vec<Round>| {
        rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rounds.swap_remove(rounds.len() / 2)
    };
    let (agent, echo) = (median(&mut of_agent), median(&mut of_echo));
    let ratio = echo.per_second / agent.per_second;
    println!(
        "{} connections, medians of {} rounds, client and server on the same cores",
        arguments.connections, arguments.rounds
    );
    println!("agent       {:>8.0} requests/s   p99 {:?}", agent.per_second, agent.p99);
    println!("bare hyper  {:>8.0} requests/s   p99 {:?}", echo.per_second, echo.p99);
    println!("ratio       {ratio:.2}");
    if ratio > MAX_RATIO {
        return Err(format!("the ratio exceeds {MAX_RATIO}").into());
    }
    Ok(())
}

/// A server of hyper that always answers with a body of this length.
async fn echo(len: usize) -> Result<SocketAddr, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let body = Bytes::from(vec![b'x'; len]);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (_, body) = (stream.set_nodelay(true), body.clone());
            tokio::spawn(async move {
                let service = service_fn(move |_: Request<Incoming>| {
                    let body = body.clone();
                    async { Ok::<_, Infallible>(Response::new(Full::new(body))) }
                });
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    Ok(address)
}

async fn round(arguments: &Arguments, address: SocketAddr, request: String) -> Result<Round, BoxError> {
    let clock = SystemClock::new();
    let began_at = clock.now().monotonic();
    let connections = (0..arguments.connections).map(|_| {
        let (request, requests) = (request.clone(), arguments.requests);
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut buffer, mut latencies) = (Vec::new(), Vec::with_capacity(requests));
            for _ in 0..requests {
                let began_at = clock.now().monotonic();
                exchange(&mut stream, request.as_bytes(), &mut buffer).await?;
                latencies.push(clock.now().monotonic() - began_at);
            }
            Ok::<_, BoxError>(latencies)
        })
    });
    let mut latencies = Vec::new();
    for connection in connections.collect::<Vec<_>>() {
        latencies.extend(connection.await??);
    }
    let took = clock.now().monotonic() - began_at;
    latencies.sort_unstable();
    let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default();
    Ok(Round { per_second: latencies.len() as f64 / took.as_secs_f64(), p99 })
}

/// Sends a request and reads its whole response. Returns the length of the body.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Result<usize, BoxError> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        let text = std::str::from_utf8(buffer)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if !head.starts_with("HTTP/1.1 200") {
            return Err(head.to_owned().into());
        }
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or("no content-length")?;
        if body.len() == len.parse::<usize>()? {
            return Ok(body.len());
        }
    }
}

const MAX_RATIO: f64 = 1.5;
