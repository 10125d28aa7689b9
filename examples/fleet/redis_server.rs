//! [`RedisServer`]: a redis-server on loopback.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use token_cache_core::BoxError;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

pub(crate) struct RedisServer {
    pub(crate) port: u16,
    directory: PathBuf,
    child: Child,
}

impl RedisServer {
    pub(crate) async fn start(directory: &Path) -> Result<Self, BoxError> {
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let child = spawn(port, directory)?;
        let server = Self { port, directory: directory.to_owned(), child };
        server.ready().await?;
        Ok(server)
    }

    async fn ready(&self) -> Result<(), BoxError> {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err("redis-server does not accept connections".into())
    }

    /// Kills the server, which loses its records, and starts it again after `pause`.
    pub(crate) async fn restart(&mut self, pause: Duration) -> Result<(), BoxError> {
        self.child.kill().await?;
        sleep(pause).await;
        self.child = spawn(self.port, &self.directory)?;
        self.ready().await
    }

    pub(crate) async fn command(&self, command: &str) -> Result<(), BoxError> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd(command).query_async::<()>(&mut connection).await?;
        Ok(())
    }

    /// All keys and values.
    pub(crate) async fn dump(&self) -> Result<Vec<u8>, BoxError> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await?;
        let mut dump = Vec::new();
        for key in keys {
            let value: Option<Vec<u8>> = redis::cmd("GET").arg(&key).query_async(&mut connection).await?;
            dump.extend(key.into_bytes());
            dump.extend(value.unwrap_or_default());
        }
        Ok(dump)
    }
}

fn spawn(port: u16, directory: &Path) -> Result<Child, BoxError> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxclients", "4000", "--port"]);
    command.arg(port.to_string()).arg("--dir").arg(directory).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().map_err(|error| format!("redis-server cannot be started: {error}: install it").into())
}
