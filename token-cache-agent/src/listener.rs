//! [`Listener`]: where an agent listens.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// A socket that only this host reaches.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: Socket,
    /// `Host` headers of requests that mean this agent.
    pub(crate) hosts: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Listener {
    /// Listens on a loopback address. Port 0 chooses a free one.
    ///
    /// # Errors
    ///
    /// The address is not one of loopback ([`InvalidInput`](io::ErrorKind::InvalidInput)), or is in use.
    ///
    /// ```
    /// # use token_cache_agent::Listener;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let problem = format!("{address} is not a loopback address: other hosts would reach the agent");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
        Ok(Self { socket: Socket::Tcp(listener), hosts })
    }

    /// Listens on a Unix socket, which is created with mode 600. A socket that nobody listens on is replaced. SDKs do not speak to
    /// Unix sockets, but `curl --unix-socket` and programs of your own do. Their `Host` is `localhost`.
    ///
    /// # Errors
    ///
    /// Somebody listens on the socket ([`AddrInUse`](io::ErrorKind::AddrInUse)), or those of the file system.
    ///
    /// ```no_run
    /// # use token_cache_agent::Listener;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = Listener::unix("/run/my-service/agent.sock").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    pub async fn unix(path: impl AsRef<Path>) -> io::Result<Self> {
        use std::fs;
        use std::os::unix::fs::PermissionsExt;

        let path = path.as_ref();
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{}: in use", path.display())));
        }
        // Of a process that was killed. What is no socket stays, and binding fails.
        if fs::symlink_metadata(path).is_ok_and(|metadata| is_socket(&metadata)) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { socket: Socket::Unix(listener), hosts: vec!["localhost".to_owned()] })
    }

    /// The address, if it is one of TCP.
    ///
    /// ```
    /// # use token_cache_agent::Listener;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
    /// assert!(listener.address().is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Socket::Unix(_) => None,
        }
    }

    /// The value of `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    ///
    /// ```
    /// # use token_cache_agent::Listener;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
    /// println!("AWS_CONTAINER_CREDENTIALS_FULL_URI={}", listener.aws_url());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn aws_url(&self) -> String {
        format!("http://{}{}", self.hosts[0], crate::aws::PATH)
    }

    /// The value of `IDENTITY_ENDPOINT`.
    ///
    /// ```
    /// # use token_cache_agent::Listener;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
    /// println!("IDENTITY_ENDPOINT={}", listener.azure_url());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn azure_url(&self) -> String {
        format!("http://{}{}", self.hosts[0], crate::azure::PATH)
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Socket::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

#[cfg(unix)]
fn is_socket(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type())
}
