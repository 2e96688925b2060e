//! Starts everything, kills servers, takes the store away, and counts in the end.

use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

use anyhow::Context;
use futures_util::future::try_join_all;

use super::{
    args::{Outage, ServersArgs},
    client::client,
    figures::{Counted, Figures, Kill},
    ledgers::Sums,
    process::{Launch, ServerProcess},
    provider::Provider,
    server::Served,
    storm::Storm,
};
use crate::redis_server::RedisServer;

/// The servers of a run, and what those have done that were killed.
struct Fleet {
    launch: Launch,
    servers: Vec<ServerProcess>,
    redis: Option<RedisServer>,
    storm: Arc<Storm>,
    served: Served,
    killed: Vec<usize>,
}

pub(crate) async fn run(args: ServersArgs) -> anyhow::Result<()> {
    let ledgers = tempfile::tempdir()?;
    let redis = match args.tenants.memory {
        true => None,
        false => Some(RedisServer::start().await?),
    };
    let zero = Instant::now();
    let provider = Provider::start(zero).await?;
    let launch = Launch {
        tenants: args.tenants.clone(),
        base: provider.base.clone(),
        redis: redis.as_ref().map(|redis| redis.url().to_owned()),
        directory: ledgers.path().to_owned(),
    };
    let servers = (0..args.servers as usize).map(|number| launch.start(number));
    let servers = try_join_all(servers).await?;
    eprintln!(
        "{} calls of {} tenants at {} servers: provider at {}, store at {}",
        args.calls,
        args.tenants.tenants,
        args.servers,
        provider.base,
        launch.redis.as_deref().unwrap_or("none")
    );
    let storm = Storm::new(&args, zero, servers.iter().map(|server| server.address));
    let mut fleet = Fleet {
        launch,
        servers,
        redis,
        storm: storm.clone(),
        served: Served::default(),
        killed: Vec::new(),
    };
    let (time, ()) = tokio::try_join!(storm.run(), fleet.suffer(&args))?;
    let figures = Figures::new(&args, fleet.end(provider, time).await?);
    println!("{figures}\n{}", serde_json::to_string(&figures)?);
    Ok(())
}

impl Fleet {
    /// What goes wrong during the storm: a kill, an outage, another kill.
    async fn suffer(&mut self, args: &ServersArgs) -> anyhow::Result<()> {
        let fifth = args.calls / 5;
        if args.kill {
            self.storm.reaches(fifth).await;
            self.kill(0).await?;
        }
        if let (Some(outage), Some(redis)) = (args.outage, &mut self.redis) {
            self.storm.reaches(2 * fifth).await;
            eprintln!("the store is away for {:?}", args.outage_time);
            match outage {
                Outage::Pause => redis.pause(args.outage_time).await?,
                Outage::Restart => redis.restart(args.outage_time).await?,
            }
        }
        if args.kill {
            self.storm.reaches(3 * fifth).await;
            self.kill(self.servers.len() - 1).await?;
        }
        Ok(())
    }

    /// Kills a server without a word, and starts it again.
    async fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        self.count(number).await?;
        self.servers[number].kill().await?;
        eprintln!("server {number} is killed");
        self.killed.push(number);
        self.servers[number] = self.launch.start(number).await?;
        self.storm.replace(number, self.servers[number].address);
        Ok(())
    }

    /// Adds what a server has done.
    async fn count(&mut self, number: usize) -> anyhow::Result<()> {
        let served = self.servers[number].served(&client()).await?;
        self.served.round_trips += served.round_trips;
        self.served.lost += served.lost;
        self.served.cpu += served.cpu;
        self.served.outages = self.served.outages.max(served.outages);
        Ok(())
    }

    /// Ends everything, and counts.
    async fn end(mut self, provider: Provider, time: Duration) -> anyhow::Result<Counted> {
        let numbers = 0..self.servers.len();
        for number in numbers.clone() {
            self.count(number).await?;
        }
        let store = match &self.redis {
            Some(redis) => Some(redis.work().await.context("what the store has done")?),
            None => None,
        };
        try_join_all(self.servers.drain(..).map(ServerProcess::end)).await?;
        let mut ledgers = Sums::default();
        for number in numbers {
            ledgers.add_file(&self.launch.ledger(number))?;
        }
        let (stats, admitted) = provider.end().await?;
        let kills = self.killed.iter().map(|&server| Kill {
            server,
            under_way: self.storm.cut(server),
        });
        let kills = kills.collect();
        Ok(Counted {
            time,
            outcomes: self.storm.outcomes(),
            kills,
            served: self.served,
            store,
            provider: Sums {
                calls: stats.accepted,
                tokens: stats.tokens.total + stats.unfinished.total,
            },
            ledgers,
            admitted,
        })
    }
}
