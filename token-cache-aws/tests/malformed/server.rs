//! A server on loopback that sends the bytes of a case.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::case::{Case, Input, Protocol};
use crate::fixture::{Fixture, Stage};
use crate::response::Response;

/// Serves until its task is aborted.
pub(crate) async fn serve(listener: TcpListener, protocol: &'static Protocol, case: Arc<Case>, fixture: Fixture) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (case, fixture) = (Arc::clone(&case), fixture.clone());
        // A client may close its connection at any time, so errors are ignored.
        tokio::spawn(async move { respond(stream, protocol, &case, &fixture).await });
    }
}

async fn respond(mut stream: TcpStream, protocol: &Protocol, case: &Case, fixture: &Fixture) -> io::Result<()> {
    let requested = read_request(&mut stream).await?;
    match &case.input {
        Input::Response { path, response } if fixture.stage() == Stage::Bad && requested.ends_with(path) => {
            send(stream, response, fixture).await
        }
        _ => send(stream, &(protocol.good)(&requested), fixture).await,
    }
}

/// Reads a request with its body, and returns its path.
async fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(at) = read.windows(4).position(|part| part == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, &mut read).await?;
    };
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    while read.len() < head + length {
        read_more(stream, &mut read).await?;
    }
    Ok(text.split(' ').nth(1).unwrap().to_owned())
}

async fn read_more(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(read).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn send(mut stream: TcpStream, response: &Response, fixture: &Fixture) -> io::Result<()> {
    match response {
        Response::Bytes(bytes) => stream.write_all(bytes).await?,
        Response::ByteByByte(bytes) => {
            for byte in bytes {
                stream.write_all(&[*byte]).await?;
                fixture.set_requested();
                tokio::time::sleep(PAUSE).await;
            }
        }
        Response::Padded { head, spaces, body } => {
            stream.write_all(head).await?;
            let chunk = vec![b' '; 1 << 16];
            for _ in 0..spaces / chunk.len() {
                stream.write_all(&chunk).await?;
            }
            stream.write_all(body).await?;
        }
        Response::Reset(bytes) => {
            stream.write_all(bytes).await?;
            return stream.set_zero_linger();
        }
        Response::Hang => {
            fixture.set_requested();
            std::future::pending().await
        }
    }
    stream.shutdown().await
}

/// Between two bytes of [`Response::ByteByByte`].
const PAUSE: Duration = Duration::from_millis(40);
