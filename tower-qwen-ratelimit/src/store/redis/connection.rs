use std::{fmt, future::Future, pin::Pin};

use redis::{AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, aio::MultiplexedConnection};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::StoreError;

/// A connection and the future that keeps it going, which nobody has spawned.
pub(super) struct Connection {
    pub(super) commands: MultiplexedConnection,
    pub(super) pipeline: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Connection {
    pub(super) async fn open(server: &ConnectionInfo) -> Result<Self, StoreError> {
        match server.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(StoreError::unreachable)?;
                stream.set_nodelay(true).map_err(StoreError::unreachable)?;
                Self::over(server, stream).await
            }
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path)
                    .await
                    .map_err(StoreError::unreachable)?;
                Self::over(server, stream).await
            }
            _ => Err(StoreError::unsupported("this kind of address")),
        }
    }

    async fn over<C>(server: &ConnectionInfo, stream: C) -> Result<Self, StoreError>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // Timeouts are ours.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let (commands, pipeline) =
            MultiplexedConnection::new_with_config(server.redis_settings(), stream, config).await?;
        Ok(Self {
            commands,
            pipeline: Box::pin(pipeline),
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
