use std::time::Duration;

use tokio::{task::JoinHandle, time::timeout};
use tower_qwen_ratelimit::{
    Cost, Key, Limiter, OutputLimit, Quota,
    fleet::redis::{RedisOptions, RedisStore, Sharing},
};

use crate::server::Server;

/// Far longer than anything here takes; nobody may hang.
pub(crate) const LONG: Duration = Duration::from_secs(30);

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

    /// Admits and sends a call, of which no more is heard.
    pub(crate) async fn sends(&self, tokens: u64) {
        let call = self.limiter.acquire(&key(), cost(tokens));
        let call = timeout(LONG, call).await.expect("nobody hangs");
        call.unwrap().mark_sent();
    }

    /// Dies without a word.
    pub(crate) fn die(self) {
        self.driver.abort();
    }
}

/// Tells the server something, as an operator does.
pub(crate) fn tell(server: &Server, words: &[&str]) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let command = redis::cmd(words[0]).arg(&words[1..]).to_owned();
    command.exec(&mut connection).unwrap();
}

pub(crate) fn key() -> Key {
    Key::new("https://provider", "qwen-plus")
}

pub(crate) fn cost(tokens: u64) -> Cost {
    Cost::new(tokens, OutputLimit::NoOutput)
}
