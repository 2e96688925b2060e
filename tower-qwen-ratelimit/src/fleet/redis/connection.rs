use std::{
    future::{Future, poll_fn},
    pin::Pin,
    time::Duration,
};

use futures_util::future::try_join_all;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    RedisError, Value, aio::MultiplexedConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::{
    RedisOptions, StoreError,
    reply::first_error,
    slots::{HashSlot, SlotMap},
};

/// The servers, and which of them has which slots.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) nodes: Vec<Node>,
    /// Where the nodes of a cluster are, each of which names the others.
    pub(super) addresses: Vec<ConnectionInfo>,
    slots: Option<SlotMap>,
}

/// One server, and the future that drives the connection to it: the driver polls it, since nothing
/// is spawned.
pub(super) struct Node {
    pub(super) redis: MultiplexedConnection,
    pub(super) pipeline: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Connection {
    /// Connects to the server, or to all nodes of the cluster that it is in. Takes the timeout
    /// once, or twice in a cluster, however many nodes that has.
    pub(super) async fn open(
        options: &RedisOptions,
        server: &ConnectionInfo,
    ) -> Result<Self, StoreError> {
        if !options.is_cluster {
            return Ok(Self {
                nodes: vec![Node::open(options, server).await?],
                addresses: Vec::new(),
                slots: None,
            });
        }
        let (slots, addresses) = within(options.terms().timeout, topology(options, server)).await?;
        let opening = addresses.iter().map(|address| Node::open(options, address));
        Ok(Self {
            nodes: try_join_all(opening).await?,
            addresses,
            slots: Some(slots),
        })
    }

    /// Whether the servers take commands from us: one that wants a password takes the connection all the
    /// same.
    pub(super) async fn check(&mut self, options: &RedisOptions) -> Result<(), StoreError> {
        let mut ping = Pipeline::new();
        ping.cmd("PING");
        for node in &mut self.nodes {
            let answer = within(options.terms().timeout, node.request(&ping)).await?;
            if let Some(error) = first_error(&answer) {
                return Err(StoreError::rejected_with(error));
            }
        }
        Ok(())
    }

    /// The node that has this slot.
    pub(super) fn node_of(&self, slot: HashSlot) -> usize {
        self.slots.as_ref().map_or(0, |slots| slots.node_of(slot))
    }
}

/// Asks a node of a cluster which node has which slots.
async fn topology(
    options: &RedisOptions,
    server: &ConnectionInfo,
) -> Result<(SlotMap, Vec<ConnectionInfo>), StoreError> {
    let ConnectionAddr::Tcp(host, _) = server.addr() else {
        return Err(StoreError::unsupported("a cluster at such an address"));
    };
    let mut query = Pipeline::new();
    query.cmd("CLUSTER").arg("SLOTS");
    let reply = Node::open(options, server).await?.request(&query).await?;
    let (slots, addresses) = reply
        .first()
        .and_then(|reply| SlotMap::read(reply, host))
        .ok_or_else(|| StoreError::unsupported("a server that is in no cluster"))?;
    let settings = options.server.redis_settings();
    let addresses: Result<Vec<ConnectionInfo>, RedisError> = addresses
        .into_iter()
        .map(|address| {
            let address = address.into_connection_info()?;
            Ok(address.set_redis_settings(settings.clone()))
        })
        .collect();
    Ok((slots, addresses.map_err(StoreError::address)?))
}

async fn within<T>(
    patience: Duration,
    opening: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(patience, opening)
        .await
        .unwrap_or_else(|_| Err(StoreError::too_slow()))
}

impl Node {
    async fn open(options: &RedisOptions, server: &ConnectionInfo) -> Result<Self, StoreError> {
        let opening = async {
            match server.addr() {
                ConnectionAddr::Tcp(host, port) => {
                    let stream = TcpStream::connect((host.as_str(), *port))
                        .await
                        .map_err(StoreError::unreachable)?;
                    // Operations are small and a caller waits for them.
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
        };
        within(options.terms().timeout, opening).await
    }

    async fn over<C>(server: &ConnectionInfo, stream: C) -> Result<Self, StoreError>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // Timeouts are ours: they cover a whole operation, and hold for paused time.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let (redis, pipeline) =
            MultiplexedConnection::new_with_config(server.redis_settings(), stream, config)
                .await
                .map_err(StoreError::rejected)?;
        Ok(Self {
            redis,
            pipeline: Box::pin(pipeline),
        })
    }

    /// Sends and waits, driving the connection meanwhile.
    pub(super) async fn request(&mut self, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let Self { redis, pipeline } = self;
        let mut sending = Box::pin(redis.send_packed_commands(commands, 0, commands.len()));
        let answer = poll_fn(|cx| {
            // Its end is no matter here: where the connection is lost, the answer says so.
            let _ = pipeline.as_mut().poll(cx);
            sending.as_mut().poll(cx)
        })
        .await;
        answer.map_err(StoreError::rejected)
    }
}

opaque_debug!(Node, impl std::fmt::Debug for Node);
