//! The listeners, the connections, and the thread they all live on.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use s3s::Body;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// Answers the requests of one port.
pub(crate) trait Handler: Clone + Send + 'static {
    /// An error closes the connection without an answer.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Result<Response<Body>, Abort>> + Send;

    /// Tells every connection that is open to close, by a change.
    fn cut(&self) -> Option<watch::Receiver<()>> {
        None
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(crate) struct Abort;

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for Abort {}

/// Takes a port of the loopback interface; 0 is any that is free.
pub(crate) fn bind(port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|error: io::Error| {
        // The kind reads better than the error ("Address already in use (os error 98)").
        io::Error::new(error.kind(), format!("cannot listen on {address}: {}", error.kind()))
    })
}

/// Both services, on a thread and a runtime of their own.
///
/// With a thread, a test that blocks its own runtime, pauses its clock or
/// ends it does not stop the servers; and dropping can wait until the ports
/// are closed and no request touches the folder any more, which dropping a
/// task cannot.
pub(crate) struct Server {
    /// Never sent on: dropping it is the signal.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Returns once both ports are served.
    pub(crate) async fn start(
        s3: (TcpListener, impl Handler),
        issuer: (TcpListener, impl Handler),
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let thread = thread::Builder::new().name("aws-kit".into()).spawn(move || run(s3, issuer, stopped, ready))?;
        let server = Self { stop: Some(stop), thread: Some(thread) };
        match is_ready.await {
            Ok(result) => result.map(|()| server),
            Err(_) => Err(io::Error::other("the thread of the servers has ended")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // An error is a panic of the thread, which has been reported there.
            let _ = thread.join();
        }
    }
}

fn run(
    s3: (TcpListener, impl Handler),
    issuer: (TcpListener, impl Handler),
    stopped: oneshot::Receiver<()>,
    ready: oneshot::Sender<io::Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    runtime.block_on(async move {
        let listeners = tokio::net::TcpListener::from_std(s3.0)
            .and_then(|s3| Ok((s3, tokio::net::TcpListener::from_std(issuer.0)?)));
        let (s3_listener, issuer_listener) = match listeners {
            Ok(listeners) => listeners,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        if ready.send(Ok(())).is_err() {
            return;
        }
        tokio::select! {
            _ = stopped => {}
            () = accept(s3_listener, s3.1) => {}
            () = accept(issuer_listener, issuer.1) => {}
        }
    });
}

/// Serves a port for ever; dropped, it takes its connections along.
async fn accept(listener: tokio::net::TcpListener, handler: impl Handler) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, handler.clone(), handler.cut()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, handler: impl Handler, cut: Option<watch::Receiver<()>>) {
    // Only speed is lost without it.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { handler.handle(request).await }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error is the client's going away, or an `Abort`.
        _ = connection => {}
        () = is_cut(cut) => {}
    }
}

async fn is_cut(cut: Option<watch::Receiver<()>>) {
    if let Some(mut cut) = cut
        && cut.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Accepting fails when the process is out of file descriptors, and would
/// spin without a pause until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
