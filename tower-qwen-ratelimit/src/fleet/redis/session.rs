use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{Pipeline, Value};
use tokio::time::{Sleep, sleep, timeout};
use tower_qwen_tokens::internal::clock;

use super::{
    RedisOptions,
    command::{Commands, Job, load},
    connection::Connection,
    heartbeats::{Heartbeats, Trigger},
    presence,
    reply::first_error,
    script::Script,
};
use crate::fleet::{FlushEpoch, Linger, Link, Op, OpBatch, Work};

/// Round trips under way at one time: above that, operations gather for the next one instead of
/// queueing at the server.
// 32 is a choice: the store takes some 3,000 operations a second one by one (docs/performance.md),
// so 32 keep it busy over a round trip of ten milliseconds.
const MAX_ROUND_TRIPS: usize = 32;

/// All that happens over one connection.
pub(super) struct Session<'a> {
    pub(super) link: &'a Link,
    options: &'a RedisOptions,
    commands: &'a Commands,
    connection: Connection,
    flights: FuturesUnordered<Flight>,
    /// What each flight carries.
    pub(super) under_way: HashMap<u64, Parcel>,
    launched: u64,
    pub(super) heartbeats: Heartbeats,
    linger: Option<Pin<Box<Sleep>>>,
    /// Nothing more comes; what is under way is waited for.
    is_ending: bool,
}

/// Jobs, and the epoch of the operations among them.
#[derive(Default)]
pub(super) struct Parcel {
    pub(super) epoch: FlushEpoch,
    pub(super) jobs: Vec<Job>,
}

/// Whether a flight loads the scripts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripts {
    Load,
    Loaded,
}

type Flight = Pin<Box<dyn Future<Output = (u64, Landing)> + Send>>;
pub(super) type Landing = Result<Vec<Value>, String>;

/// How a session ended.
pub(super) enum Ended {
    /// The store and all limiters over it are gone.
    Abandoned,
    /// The connection is lost, or the server refuses.
    Lost {
        reason: String,
        /// Whether the server did any work in this session.
        has_worked: bool,
    },
}

enum SessionEvent {
    Landed(u64, Landing),
    Work(Work),
    HeartbeatsDue,
    Lost,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        link: &'a Link,
        options: &'a RedisOptions,
        commands: &'a Commands,
        connection: Connection,
    ) -> Self {
        Self {
            link,
            options,
            commands,
            connection,
            flights: FuturesUnordered::new(),
            under_way: HashMap::new(),
            launched: 0,
            heartbeats: Heartbeats::new(),
            linger: None,
            is_ending: false,
        }
    }

    /// Goes on until the connection is lost or the store is gone. What was under way comes first
    /// next time.
    pub(super) async fn run(mut self) -> Ended {
        let ended = self.serve().await;
        for parcel in std::mem::take(&mut self.under_way).into_values() {
            self.return_batch(parcel);
        }
        ended
    }

    async fn serve(&mut self) -> Ended {
        // Also shows whether the server answers and takes our scripts.
        let due = self
            .heartbeats
            .due(self.link, self.commands, Trigger::Request);
        self.launch(Parcel::heartbeats(due), Scripts::Load);
        // One flight per node: the store is back when all of them have landed.
        let first = self.launched;
        let mut opening = first;
        let lost = |reason, opening| {
            let has_worked = opening == 0;
            Ended::Lost { reason, has_worked }
        };
        while !self.is_ending || !self.flights.is_empty() {
            let event = poll_fn(|cx| self.poll_next(cx)).await;
            match event {
                SessionEvent::Landed(flight, landing) => {
                    if let Err(reason) = self.land(flight, landing) {
                        return lost(reason, opening);
                    }
                    if flight <= first {
                        opening -= 1;
                        if opening == 0 {
                            self.link.came_back();
                        }
                    }
                }
                SessionEvent::Work(Work::Ops(OpBatch { epoch, ops })) => {
                    self.link.queue_old_usage();
                    let (reported, unreported): (Vec<Op>, Vec<Op>) =
                        ops.into_iter().partition(is_reported);
                    self.link.count_dropped(unreported.len());
                    self.link.done(epoch, unreported.len());
                    if !reported.is_empty() {
                        let jobs = reported.into_iter().map(Job::Op).collect();
                        self.launch(Parcel { epoch, jobs }, Scripts::Loaded);
                    }
                }
                SessionEvent::Work(Work::Heartbeats) => self.send_heartbeats(Trigger::Request),
                SessionEvent::Work(Work::Leases) => self.send_leases(),
                SessionEvent::HeartbeatsDue => {
                    self.send_heartbeats(Trigger::Timer);
                    self.send_leases();
                    self.link.queue_old_usage();
                }
                SessionEvent::Work(Work::End) => self.is_ending = true,
                SessionEvent::Lost => {
                    return lost("the connection is closed".to_owned(), opening);
                }
            }
        }
        self.leave().await;
        Ended::Abandoned
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<SessionEvent> {
        // First: the other futures make progress only while the connections are driven.
        for node in &mut self.connection.nodes {
            if node.pipeline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(SessionEvent::Lost);
            }
        }
        if let Poll::Ready(Some((flight, landing))) = self.flights.poll_next_unpin(cx) {
            return Poll::Ready(SessionEvent::Landed(flight, landing));
        }
        // What is under way wakes this task; nothing new is wanted.
        if self.is_ending {
            return Poll::Pending;
        }
        if self.heartbeats.poll_due(cx).is_ready() {
            return Poll::Ready(SessionEvent::HeartbeatsDue);
        }
        // Heartbeats go even then: without them the server takes this process for dead.
        if self.flights.len() >= MAX_ROUND_TRIPS {
            return Poll::Pending;
        }
        let lingered = |timer: &mut Pin<Box<Sleep>>| timer.as_mut().poll(cx).is_ready();
        let linger = match self.linger.as_mut().is_some_and(lingered) {
            true => Linger::Over,
            false => Linger::Waits,
        };
        if let Poll::Ready(work) = self.link.poll_work(cx, linger) {
            self.linger = None;
            return Poll::Ready(SessionEvent::Work(work));
        }
        if self.linger.is_none() && self.link.has_ops() {
            let mut timer = Box::pin(sleep(self.options.linger));
            // A linger of nothing is over at once.
            if timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
            self.linger = Some(timer);
        }
        Poll::Pending
    }

    fn send_heartbeats(&mut self, trigger: Trigger) {
        let jobs = self.heartbeats.due(self.link, self.commands, trigger);
        if !jobs.is_empty() {
            self.launch(Parcel::heartbeats(jobs), Scripts::Loaded);
        }
    }

    /// Sends what budgets have to report: one report at a time of each.
    fn send_leases(&mut self) {
        let members = self.link.members();
        let budgets = self.link.budgets().into_iter();
        let jobs: Vec<Job> = budgets
            .filter_map(|budgets| {
                let report = budgets.next_report(members)?;
                Some(Job::Lease { budgets, report })
            })
            .collect();
        if !jobs.is_empty() {
            // Of no epoch, like heartbeats.
            self.launch(Parcel { epoch: 0, jobs }, Scripts::Loaded);
        }
    }

    /// Sends each job to the node that has its account. Scripts go to all nodes.
    pub(super) fn launch(&mut self, parcel: Parcel, scripts: Scripts) {
        if let [_] = self.connection.nodes[..] {
            return self.launch_to(0, parcel, scripts);
        }
        let Parcel { epoch, jobs } = parcel;
        let mut of_nodes: Vec<Vec<Job>> = Vec::new();
        of_nodes.resize_with(self.connection.nodes.len(), Vec::new);
        for job in jobs {
            let node = self.connection.node_of(self.commands.slot_of(&job));
            of_nodes[node].push(job);
        }
        for (node, jobs) in of_nodes.into_iter().enumerate() {
            if scripts == Scripts::Load || !jobs.is_empty() {
                self.launch_to(node, Parcel { epoch, jobs }, scripts);
            }
        }
    }

    fn launch_to(&mut self, node: usize, parcel: Parcel, scripts: Scripts) {
        let now = clock::now();
        let jobs = &parcel.jobs;
        let mut pipe = Pipeline::with_capacity(jobs.len());
        if scripts == Scripts::Load {
            for script in Script::ALL {
                pipe.add_command(load(script));
            }
        }
        for job in jobs {
            pipe.add_command(self.commands.of(job, now));
        }
        self.launched += 1;
        let flight = self.launched;
        let skipped = pipe.len() - jobs.len();
        self.link.count_round_trip(jobs.len());
        self.under_way.insert(flight, parcel);
        let mut redis = self.connection.nodes[node].redis.clone();
        let patience = self.options.terms().timeout;
        self.flights.push(Box::pin(async move {
            let count = pipe.len();
            let landing = match timeout(patience, redis.send_packed_commands(&pipe, 0, count)).await
            {
                Ok(Ok(mut values)) => match first_error(&values[..skipped.min(values.len())]) {
                    Some(error) => Err(error),
                    None => Ok(values.split_off(skipped)),
                },
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            };
            (flight, landing)
        }));
    }

    /// Gives up what this process holds, so that the others need not wait for it to expire.
    async fn leave(&mut self) {
        let Commands { process, days, .. } = self.commands;
        let mut leaves = vec![(days.slot, presence::leave(days, process))];
        for (names, quota) in self.heartbeats.joined() {
            leaves.push((names.slot, self.commands.leave(names, quota)));
        }
        let mut pipes = vec![Pipeline::new(); self.connection.nodes.len()];
        for (slot, leave) in leaves {
            pipes[self.connection.node_of(slot)].add_command(leave);
        }
        let leaving = async {
            for (node, pipe) in self.connection.nodes.iter_mut().zip(&pipes) {
                if !pipe.is_empty() && node.request(pipe).await.is_err() {
                    return;
                }
            }
        };
        // Best effort: what is not given up expires.
        let _ = timeout(self.options.terms().timeout, leaving).await;
    }
}

impl Parcel {
    /// Of no epoch: no flush waits for these.
    fn heartbeats(jobs: Vec<Job>) -> Self {
        Self { epoch: 0, jobs }
    }
}

/// What a rejected account admits by its own gates does not count for the processes that share it.
fn is_reported(op: &Op) -> bool {
    match op {
        Op::Send { account, .. } | Op::Settle { account, .. } => !account.is_rejected(),
        _ => true,
    }
}
