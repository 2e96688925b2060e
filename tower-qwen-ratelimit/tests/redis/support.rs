use std::time::Duration;

use tokio::task::JoinHandle;
use tower_qwen_ratelimit::{
    Cost, Key, Limiter, Output, Quota,
    store::redis::{RedisOptions, RedisStore, Sharing},
};

use crate::server::Server;

/// One process of a fleet: a connection, accounts and a driver of its own.
pub(crate) struct Process {
    pub(crate) store: RedisStore,
    pub(crate) limiter: Limiter,
    pub(crate) driver: JoinHandle<()>,
}

impl Process {
    pub(crate) async fn start(server: &Server, quota: Quota, sharing: Sharing) -> Self {
        let options = RedisOptions::new(&server.url()).unwrap().sharing(sharing);
        Self::with(options, quota).await
    }

    pub(crate) async fn with(options: RedisOptions, quota: Quota) -> Self {
        let options = options.timeout(Duration::from_secs(5));
        let (store, driver) = RedisStore::with_options(options).await.unwrap();
        let limiter = Limiter::builder(quota).store(&store).build().unwrap();
        Self {
            store,
            limiter,
            driver: tokio::spawn(driver),
        }
    }

    /// Dies without a word.
    pub(crate) fn die(self) {
        self.driver.abort();
    }
}

pub(crate) fn key() -> Key {
    Key::new("https://provider", "qwen-plus")
}

pub(crate) fn cost(tokens: u64) -> Cost {
    Cost::new(tokens, Output::Nothing)
}
