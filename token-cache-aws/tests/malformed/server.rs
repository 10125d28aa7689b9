//! A server on loopback that sends whatever bytes it is told to.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::answer::Reply;
use crate::case::{Bad, Case, Protocol};
use crate::place::{Place, Stage};

/// Answers until its task is aborted.
pub(crate) async fn serve(listener: TcpListener, protocol: &'static Protocol, case: Arc<Case>, place: Place) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (case, place) = (Arc::clone(&case), place.clone());
        // A client that goes away in the middle is no concern of ours.
        tokio::spawn(async move { answer(stream, protocol, &case, &place).await });
    }
}

async fn answer(mut stream: TcpStream, protocol: &Protocol, case: &Case, place: &Place) -> io::Result<()> {
    let path = request(&mut stream).await?;
    match &case.bad {
        Bad::Answer { to, reply } if place.stage() == Stage::Bad && path.ends_with(to) => send(stream, reply).await,
        _ => send(stream, &(protocol.good)(&path)).await,
    }
}

/// Reads a request with its body, and gives its path.
async fn request(stream: &mut TcpStream) -> io::Result<String> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(at) = read.windows(4).position(|part| part == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, &mut read).await?;
    };
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    while read.len() < head + length {
        more(stream, &mut read).await?;
    }
    Ok(text.split(' ').nth(1).unwrap().to_owned())
}

async fn more(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(read).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn send(mut stream: TcpStream, reply: &Reply) -> io::Result<()> {
    match reply {
        Reply::Bytes(bytes) => stream.write_all(bytes).await?,
        Reply::Drip(bytes) => {
            for byte in bytes {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(Reply::PAUSE).await;
            }
        }
        Reply::Flood(head, spaces, rest) => {
            stream.write_all(head).await?;
            let many = vec![b' '; 1 << 16];
            for _ in 0..spaces / many.len() {
                stream.write_all(&many).await?;
            }
            stream.write_all(rest).await?;
        }
        Reply::Reset(bytes) => {
            stream.write_all(bytes).await?;
            // What was sent is to arrive before the reset does.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return stream.set_zero_linger();
        }
        Reply::Silence => std::future::pending().await,
    }
    stream.shutdown().await
}
