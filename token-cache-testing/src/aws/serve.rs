//! The listeners, the connections, and the thread that serves them.

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

/// Answers the requests on one port.
pub(crate) trait Handler: Clone + Send + 'static {
    /// # Errors
    ///
    /// [`Abort`] closes the connection without an answer.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Result<Response<Body>, Abort>> + Send;

    /// A change of this value closes all open connections.
    fn close_signal(&self) -> Option<watch::Receiver<()>> {
        None
    }
}

/// Closes the connection without an answer.
#[derive(Debug)]
pub(crate) struct Abort;

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed without an answer")
    }
}

impl std::error::Error for Abort {}

/// Binds a port of the loopback interface; 0 takes any free port.
pub(crate) fn bind(port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|error: io::Error| {
        // The kind reads better than the error, which is "Address already in use (os error 98)".
        io::Error::new(error.kind(), format!("cannot listen on {address}: {}", error.kind()))
    })
}

/// Both services, on a separate thread and runtime.
///
/// A test may block, pause or shut down its runtime without stopping the servers. Dropping joins the thread, so that the ports
/// are closed and no request is using the directory afterwards; dropping a task would not wait for that.
pub(crate) struct Server {
    /// Nothing is sent; dropping it is the signal.
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
        let thread = thread::Builder::new().name("fake-aws".into()).spawn(move || run(s3, issuer, stopped, ready))?;
        let server = Self { stop: Some(stop), thread: Some(thread) };
        match is_ready.await {
            Ok(result) => result.map(|()| server),
            Err(_) => Err(io::Error::other("the server thread has terminated")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // An error is a panic of the thread, which the panic hook has reported.
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

/// Serves a port until the future is dropped, which closes the connections.
async fn accept(listener: tokio::net::TcpListener, handler: impl Handler) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, handler.clone(), handler.close_signal()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, handler: impl Handler, close: Option<watch::Receiver<()>>) {
    // Failing to set it only costs latency.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { handler.handle(request).await }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error means that the client disconnected, or is an `Abort`.
        _ = connection => {}
        () = signalled(close) => {}
    }
}

async fn signalled(close: Option<watch::Receiver<()>>) {
    if let Some(mut close) = close
        && close.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Accepting fails while the process is out of file descriptors. Without a pause the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
