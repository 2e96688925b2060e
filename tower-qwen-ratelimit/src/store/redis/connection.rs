use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
};

use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, Value,
    aio::MultiplexedConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    RedisOptions, StoreError,
    slots::{Slot, Slots},
};

/// The servers, and who of them has what.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) nodes: Vec<Node>,
    slots: Option<Slots>,
}

/// One server, and the future that keeps the connection to it going, which nobody has spawned.
pub(super) struct Node {
    pub(super) redis: MultiplexedConnection,
    pub(super) pipeline: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Connection {
    /// Connects to the server, or to all nodes of its cluster.
    pub(super) async fn open(options: &RedisOptions) -> Result<Self, StoreError> {
        let mut seed = Node::open(options, &options.server).await?;
        if !options.is_cluster {
            return Ok(Self {
                nodes: vec![seed],
                slots: None,
            });
        }
        let mut ask = Pipeline::new();
        ask.cmd("CLUSTER").arg("SLOTS");
        let reply = seed.ask(&ask).await?;
        let host = match options.server.addr() {
            ConnectionAddr::Tcp(host, _) => host.as_str(),
            _ => return Err(StoreError::unsupported("a cluster at such an address")),
        };
        let (slots, addresses) = reply
            .first()
            .and_then(|reply| Slots::read(reply, host))
            .ok_or_else(|| StoreError::unsupported("a server that is in no cluster"))?;
        let mut nodes = Vec::with_capacity(addresses.len());
        for address in addresses {
            let server = address
                .into_connection_info()
                .map_err(StoreError::address)?
                .set_redis_settings(options.server.redis_settings().clone());
            nodes.push(Node::open(options, &server).await?);
        }
        Ok(Self {
            nodes,
            slots: Some(slots),
        })
    }

    /// The node that has this slot.
    pub(super) fn node_of(&self, slot: Slot) -> usize {
        self.slots.as_ref().map_or(0, |slots| slots.node_of(slot))
    }
}

impl Node {
    #[cfg_attr(not(feature = "redis-tls"), allow(unused_variables))]
    async fn open(options: &RedisOptions, server: &ConnectionInfo) -> Result<Self, StoreError> {
        match server.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(StoreError::unreachable)?;
                stream.set_nodelay(true).map_err(StoreError::unreachable)?;
                #[cfg(feature = "redis-tls")]
                if let Some(tls) = &options.tls {
                    return Self::over(server, tls.over(host, stream).await?).await;
                }
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
        let (redis, pipeline) =
            MultiplexedConnection::new_with_config(server.redis_settings(), stream, config)
                .await
                .map_err(StoreError::refused)?;
        Ok(Self {
            redis,
            pipeline: Box::pin(pipeline),
        })
    }

    /// Sends and waits, driving the connection meanwhile.
    pub(super) async fn ask(&mut self, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let Self { redis, pipeline } = self;
        let mut asking = Box::pin(redis.send_packed_commands(commands, 0, commands.len()));
        let answer = poll_fn(|cx| {
            // Where the connection is over, the answer says so.
            let _ = pipeline.as_mut().poll(cx);
            asking.as_mut().poll(cx)
        })
        .await;
        answer.map_err(StoreError::refused)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}
