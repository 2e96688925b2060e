use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{Pipeline, RedisError, Value};
use tokio::time::{Sleep, sleep, timeout};
use tower_qwen_tokens::internal::clock;

use super::{
    RedisOptions,
    command::{Commands, Job, load, term},
    connection::Connection,
    heartbeats::Beats,
    ledger, presence, reply,
    script::Script,
};
use crate::fleet::{Era, Link, Op, Sharing, Taken, Work};

/// Round trips under way at one time.
const FLIGHTS: usize = 32;

/// All that happens over one connection.
pub(super) struct Session<'a> {
    link: &'a Link,
    options: &'a RedisOptions,
    commands: &'a Commands,
    connection: Connection,
    flights: FuturesUnordered<Flight>,
    /// What each flight carries.
    under_way: HashMap<u64, Parcel>,
    launched: u64,
    beats: Beats,
    linger: Option<Pin<Box<Sleep>>>,
    /// Nothing more comes; what is under way is waited for.
    is_ending: bool,
}

/// Jobs, and the era of the operations among them.
#[derive(Default)]
struct Parcel {
    era: Era,
    jobs: Vec<Job>,
}

type Flight = Pin<Box<dyn Future<Output = (u64, Landing)> + Send>>;
type Landing = Result<Vec<Value>, String>;

/// How a session ended.
pub(super) enum Ended {
    /// Nobody needs it any more.
    Abandoned,
    Lost(String),
}

enum Event {
    Landed(u64, Landing),
    Work(Work),
    Beat,
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
            beats: Beats::new(),
            linger: None,
            is_ending: false,
        }
    }

    /// Goes on until the connection is lost or nobody needs it any more. What was under way comes first next time.
    pub(super) async fn run(mut self) -> Ended {
        let ended = self.serve().await;
        for parcel in std::mem::take(&mut self.under_way).into_values() {
            self.put_back(parcel);
        }
        ended
    }

    async fn serve(&mut self) -> Ended {
        // Also finds out whether the server answers and takes our scripts.
        let due = self.beats.due(self.link, self.commands, true);
        self.launch(Parcel::beats(due), true);
        let first = self.launched;
        let mut opening = first;
        while !self.is_ending || !self.flights.is_empty() {
            let event = poll_fn(|cx| self.poll_event(cx)).await;
            match event {
                Event::Landed(flight, landing) => {
                    if let Err(reason) = self.land(flight, landing) {
                        return Ended::Lost(reason);
                    }
                    if flight <= first {
                        opening -= 1;
                        if opening == 0 {
                            self.link.came_back();
                        }
                    }
                }
                Event::Work(Work::Ops(Taken { era, ops })) => {
                    self.link.queue_usage(false);
                    let (told, untold): (Vec<Op>, Vec<Op>) = ops.into_iter().partition(is_told);
                    self.link.count_dropped(untold.len());
                    self.link.done(era, untold.len());
                    if !told.is_empty() {
                        let jobs = told.into_iter().map(Job::Op).collect();
                        self.launch(Parcel { era, jobs }, false);
                    }
                }
                Event::Work(Work::Accounts) => self.beat(true),
                Event::Beat => {
                    self.beat(false);
                    self.link.queue_usage(false);
                }
                Event::Work(Work::End) => self.is_ending = true,
                Event::Lost => return Ended::Lost("the connection is closed".to_owned()),
            }
        }
        self.leave().await;
        Ended::Abandoned
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for node in &mut self.connection.nodes {
            if node.pipeline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Lost);
            }
        }
        if let Poll::Ready(Some((flight, landing))) = self.flights.poll_next_unpin(cx) {
            return Poll::Ready(Event::Landed(flight, landing));
        }
        if self.is_ending {
            return Poll::Pending;
        }
        if self.beats.poll_due(cx).is_ready() {
            return Poll::Ready(Event::Beat);
        }
        if self.flights.len() >= FLIGHTS {
            return Poll::Pending;
        }
        let is_linger_over = match &mut self.linger {
            Some(timer) => timer.as_mut().poll(cx).is_ready(),
            None => false,
        };
        if let Poll::Ready(work) = self.link.poll_work(cx, is_linger_over) {
            self.linger = None;
            return Poll::Ready(Event::Work(work));
        }
        if self.linger.is_none() && self.link.has_ops() {
            let mut timer = Box::pin(sleep(self.options.linger));
            if timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
            self.linger = Some(timer);
        }
        Poll::Pending
    }

    fn beat(&mut self, also_new: bool) {
        let jobs = self.beats.due(self.link, self.commands, also_new);
        if !jobs.is_empty() {
            self.launch(Parcel::beats(jobs), false);
        }
    }

    /// Sends each job to the node that has its account. Scripts go to all nodes.
    fn launch(&mut self, parcel: Parcel, with_scripts: bool) {
        if let [_] = self.connection.nodes[..] {
            return self.launch_to(0, parcel, with_scripts);
        }
        let Parcel { era, jobs } = parcel;
        let mut of_nodes: Vec<Vec<Job>> = Vec::new();
        of_nodes.resize_with(self.connection.nodes.len(), Vec::new);
        for job in jobs {
            let node = self.connection.node_of(self.commands.slot_of(&job));
            of_nodes[node].push(job);
        }
        for (node, jobs) in of_nodes.into_iter().enumerate() {
            if with_scripts || !jobs.is_empty() {
                self.launch_to(node, Parcel { era, jobs }, with_scripts);
            }
        }
    }

    fn launch_to(&mut self, node: usize, parcel: Parcel, with_scripts: bool) {
        let now = clock::now();
        let jobs = &parcel.jobs;
        let mut pipe = Pipeline::with_capacity(jobs.len());
        if with_scripts {
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

    /// Hands out the replies. What the server did not know a script for goes again, with the scripts.
    fn land(&mut self, flight: u64, landing: Landing) -> Result<(), String> {
        let parcel = self.under_way.remove(&flight).unwrap_or_default();
        let values = match landing {
            Ok(values) if values.len() == parcel.jobs.len() => values,
            Ok(_) => {
                self.put_back(parcel);
                return Err("an answer that makes no sense".to_owned());
            }
            Err(reason) => {
                self.put_back(parcel);
                return Err(reason);
            }
        };
        let Parcel { era, jobs } = parcel;
        let (mut again, mut failed, mut done) = (Vec::new(), None, 0);
        let mut lost = Vec::new();
        for (job, value) in jobs.into_iter().zip(values) {
            match value {
                Value::ServerError(error) if error.code() == "NOSCRIPT" => again.push(job),
                Value::ServerError(error) if REFUSALS.contains(&error.code()) => {
                    done += usize::from(matches!(job, Job::Op(_)));
                    self.refused(job, &RedisError::from(error).to_string());
                }
                Value::ServerError(error) => {
                    failed = Some(RedisError::from(error).to_string());
                    lost.push(job);
                }
                value => {
                    done += usize::from(matches!(job, Job::Op(_)));
                    self.hand_out(job, &value);
                }
            }
        }
        self.link.done(era, done);
        if let Some(reason) = failed {
            lost.extend(again);
            self.put_back(Parcel { era, jobs: lost });
            return Err(reason);
        }
        if !again.is_empty() {
            self.launch(Parcel { era, jobs: again }, true);
        }
        Ok(())
    }

    /// Others share the account under other terms: that is no fault of the server's.
    fn refused(&mut self, job: Job, reason: &str) {
        if let Job::Beat { account, .. } = &job {
            self.beats.landed(account);
        }
        self.link
            .count_dropped(usize::from(matches!(job, Job::Op(Op::Settle { .. }))));
        if let Some(account) = job.account() {
            account.store_refused(reason);
        }
    }

    fn hand_out(&mut self, job: Job, value: &Value) {
        match job {
            Job::Op(Op::Book { account, id, .. }) => {
                if let Some(reply) = reply::booked(value) {
                    account.store_accepted();
                    account.booked(id, reply);
                }
            }
            Job::Op(Op::ReadUsage { question, .. }) => question.answer(ledger::usage(value)),
            Job::Op(_) => {}
            Job::Presence => {
                if let Some(counted) = presence::counted(value) {
                    let known = self.link.members();
                    let members = self.beats.presence.count(known, counted, clock::now());
                    self.link.set_members(members);
                }
            }
            Job::Beat { account, asked, .. } => {
                self.beats.landed(&account);
                if let Some(heard) = reply::heard(value) {
                    if self.link.terms().sharing == Sharing::Lease {
                        account.store_accepted();
                    }
                    account.heard(heard, asked, term(&account.quota()));
                }
            }
        }
    }

    /// What may not have arrived goes again; but whoever waited for a booking or an answer has given up.
    fn put_back(&self, parcel: Parcel) {
        let ops: Vec<Op> = parcel
            .jobs
            .into_iter()
            .filter_map(|job| match job {
                Job::Op(op) => Some(op),
                Job::Beat { .. } | Job::Presence => None,
            })
            .collect();
        let count = ops.len();
        let ops: Vec<Op> = ops
            .into_iter()
            .filter(|op| !matches!(op, Op::Book { .. } | Op::ReadUsage { .. }))
            .collect();
        let era = parcel.era;
        self.link.done(era, count - ops.len());
        self.link.put_back(Taken { era, ops });
    }

    /// Gives up what this process holds, so that the others need not wait for it to expire.
    async fn leave(&mut self) {
        let Commands { member, days, .. } = self.commands;
        let mut leaves = vec![(days.slot, presence::leave(days, member))];
        for (names, quota) in self.beats.joined() {
            leaves.push((names.slot, self.commands.leave(names, quota)));
        }
        let mut pipes = vec![Pipeline::new(); self.connection.nodes.len()];
        for (slot, leave) in leaves {
            pipes[self.connection.node_of(slot)].add_command(leave);
        }
        let leaving = async {
            for (node, pipe) in self.connection.nodes.iter_mut().zip(&pipes) {
                if !pipe.is_empty() && node.ask(pipe).await.is_err() {
                    return;
                }
            }
        };
        // Nobody waits for it, and what is not given up expires.
        let _ = timeout(self.options.terms().timeout, leaving).await;
    }
}

impl Parcel {
    /// Nobody waits for these.
    fn beats(jobs: Vec<Job>) -> Self {
        Self { era: 0, jobs }
    }
}

/// With these words a script begins that refuses an account.
const REFUSALS: [&str; 2] = ["WINDOW", "SHARING"];

/// What becomes of calls that a refused account let go by itself is no business of those who share it.
fn is_told(op: &Op) -> bool {
    match op {
        Op::Send { account, .. } | Op::Settle { account, .. } => !account.is_refused(),
        _ => true,
    }
}

fn first_error(values: &[Value]) -> Option<String> {
    values.iter().find_map(|value| match value {
        Value::ServerError(error) => Some(RedisError::from(error.clone()).to_string()),
        _ => None,
    })
}
