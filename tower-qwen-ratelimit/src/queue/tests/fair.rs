use std::collections::{BTreeMap, VecDeque};

use super::*;

fn queue() -> WaitQueue {
    WaitQueue::new(Discipline::Fair, DEFAULT_AGEING)
}

/// Flows that always have somebody waiting; serves whoever is next.
#[derive(Debug)]
struct Backlog {
    queue: WaitQueue,
    waiting: Vec<Known>,
    weights: BTreeMap<u32, u32>,
    served: BTreeMap<u32, u64>,
    arrived: Nanos,
}

impl Backlog {
    fn new(weights: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self {
            queue: queue(),
            waiting: Vec::new(),
            weights: weights.into_iter().collect(),
            served: BTreeMap::new(),
            arrived: 0,
        }
    }

    fn join(&mut self, of: u32, tokens: u64) {
        self.arrived += 1;
        let key = flow(of, self.weights.get(&of).copied().unwrap_or(1));
        let ticket = join(&mut self.queue, &key, self.arrived, tokens);
        self.waiting.push(Known {
            flow: of,
            arrived: self.arrived,
            tokens,
            ticket,
        });
    }

    fn serve(&mut self) -> Known {
        let head = head(&self.queue, &self.waiting).expect("somebody waits");
        let known = self.waiting.remove(head);
        serve(&mut self.queue, known.ticket, known.tokens);
        *self.served.entry(known.flow).or_default() += known.tokens;
        known
    }

    fn served(&self, of: u32) -> u64 {
        self.served.get(&of).copied().unwrap_or_default()
    }
}

#[test]
fn who_offers_more_gets_no_more() {
    let mut backlog = Backlog::new([]);
    for _ in 0..100 {
        backlog.join(1, 10);
    }
    for _ in 0..10 {
        backlog.join(2, 10);
    }
    for _ in 0..20 {
        backlog.serve();
    }
    assert_eq!((backlog.served(1), backlog.served(2)), (100, 100));
}

#[test]
fn twice_the_weight_gets_twice_the_tokens() {
    let mut backlog = Backlog::new([(1, 1), (2, 2)]);
    for _ in 0..90 {
        backlog.join(1, 10);
        backlog.join(2, 10);
    }
    for _ in 0..90 {
        backlog.serve();
    }
    assert_eq!((backlog.served(1), backlog.served(2)), (300, 600));
}

#[test]
fn one_tenant_at_two_weights_is_two_flows() {
    let mut queue = queue();
    let batch = [1, 2].map(|at| join(&mut queue, &flow(1, 1), at, 100));
    serve(&mut queue, batch[0], 100);
    let urgent = [3, 4].map(|at| join(&mut queue, &flow(1, 9), at, 100));
    serve(&mut queue, batch[1], 100);
    serve(&mut queue, urgent[0], 100);
    serve(&mut queue, urgent[1], 100);
}

#[test]
fn who_has_no_tenant_is_one_flow() {
    let mut queue = queue();
    let nobody = FlowKey::default();
    let first = [1, 2, 3].map(|at| join(&mut queue, &nobody, at, 10));
    let other = join(&mut queue, &flow(1, 1), 4, 10);
    for ticket in [first[0], other, first[1], first[2]] {
        serve(&mut queue, ticket, 10);
    }
}

#[test]
fn idle_time_is_not_banked() {
    let mut backlog = Backlog::new([]);
    backlog.join(2, 10);
    backlog.serve();
    for _ in 0..1_000 {
        backlog.join(1, 10);
        backlog.serve();
    }
    for _ in 0..10 {
        backlog.join(1, 10);
        backlog.join(2, 10);
    }
    backlog.served.clear();
    for _ in 0..10 {
        backlog.serve();
    }
    assert_eq!((backlog.served(1), backlog.served(2)), (50, 50));
}

#[test]
fn who_comes_anew_starts_among_those_who_wait() {
    let mut backlog = Backlog::new([]);
    backlog.join(1, 1_000);
    backlog.join(1, 1_000);
    for _ in 0..1_000 {
        backlog.join(2, 10);
    }
    assert_eq!(backlog.serve().flow, 1);
    for _ in 0..20 {
        assert_eq!(backlog.serve().flow, 2);
    }
    // 1 is at 1,000, 2 at 200; both together were served 1,200.
    backlog.join(3, 10);
    while backlog.serve().flow == 2 {}
    assert_eq!(backlog.served(3), 10);
    // It started at half of what both were served, and who has waited for longer went first.
    assert_eq!(backlog.served(2), 610);
}

#[test]
fn who_leaves_and_comes_back_has_lost_nothing_and_won_nothing() {
    let mut backlog = Backlog::new([]);
    for _ in 0..10 {
        backlog.join(1, 10);
        backlog.join(2, 1_000);
    }
    assert_eq!(backlog.serve().flow, 1);
    assert_eq!(backlog.serve().flow, 2);
    while let Some(at) = backlog.waiting.iter().position(|known| known.flow == 2) {
        let known = backlog.waiting.remove(at);
        backlog.queue.leave(known.ticket).wake();
    }
    backlog.join(2, 1_000);
    for _ in 0..9 {
        assert_eq!(backlog.serve().flow, 1, "2 is still ahead by its call");
    }
    assert_eq!(backlog.serve().flow, 2);
}

#[test]
fn what_was_really_used_counts() {
    let mut queue = queue();
    let (over, exact) = (flow(1, 1), flow(2, 1));
    let mut arrived = 0;
    let mut next = |queue: &mut WaitQueue, key: &FlowKey| {
        arrived += 1;
        join(queue, key, arrived, 100)
    };
    let mut first = next(&mut queue, &over);
    let mut second = next(&mut queue, &exact);
    let mut used = (0u64, 0u64);
    for _ in 0..300 {
        if queue.is_head(first) {
            let ticket = first;
            first = next(&mut queue, &over);
            let (served, wakes) = queue.admit(ticket, 100);
            wakes.wake();
            queue.settle(served, 10).wake();
            used.0 += 10;
        } else {
            let ticket = second;
            second = next(&mut queue, &exact);
            let (served, wakes) = queue.admit(ticket, 100);
            wakes.wake();
            queue.settle(served, 100).wake();
            used.1 += 100;
        }
    }
    assert!(used.0.abs_diff(used.1) <= 200, "{used:?}");
}

#[test]
fn a_correction_that_moves_the_head_wakes_both() {
    let mut queue = queue();
    let (one, other) = (flow(1, 1), flow(2, 1));
    let woken = [(); 2].map(|()| Arc::new(Count::default()));
    let position = queue.position(0, Priority::Normal, &one);
    let (served, wakes) = queue.admit_at_once(position, &one, 1_000);
    wakes.wake();
    let [first, second] = [(&one, &woken[0]), (&other, &woken[1])].map(|(key, woken)| {
        let position = queue.position(1, Priority::Normal, key);
        let (ticket, wakes) = queue.join(position, key, 10, woken.clone().into());
        wakes.wake();
        ticket
    });
    assert!(queue.is_head(second), "what is under way counts");
    queue.settle(served, 0).wake();
    assert!(queue.is_head(first), "level, and first come");
    assert_eq!((woken[0].of(), woken[1].of()), (1, 1));
}

/// Flows that always have somebody waiting, whose calls are estimated at much more than they cost, and cost it some admissions later.
#[derive(Debug)]
struct Overestimated {
    queue: WaitQueue,
    waiting: Vec<(u32, Ticket)>,
    under_way: VecDeque<Served>,
    estimate: u64,
    cost: u64,
    delay: usize,
    arrived: Nanos,
}

impl Overestimated {
    fn join(&mut self, of: u32) {
        self.arrived += 1;
        let ticket = join(&mut self.queue, &flow(of, 1), self.arrived, self.estimate);
        self.waiting.push((of, ticket));
    }

    /// Admits the head, whose flow asks anew, and settles what has been under way for long enough.
    fn admit(&mut self) -> u32 {
        let head = self
            .waiting
            .iter()
            .position(|&(_, ticket)| self.queue.is_head(ticket));
        let (of, ticket) = self.waiting.remove(head.expect("somebody waits"));
        let (served, wakes) = self.queue.admit(ticket, self.estimate);
        wakes.wake();
        self.under_way.push_back(served);
        self.join(of);
        while self.under_way.len() > self.delay {
            let served = self.under_way.pop_front().unwrap();
            self.queue.settle(served, self.cost).wake();
        }
        of
    }
}

proptest! {
    /// Who begins to wait while calls of others are under way has its turn after one call of each of them, and gets its
    /// share from then on: however much those calls are estimated at.
    #[test]
    fn what_is_estimated_too_high_keeps_no_newcomer_waiting(
        flows in 1..6u32,
        at_once in 1..4u32,
        estimate in 100..10_000u64,
        cost in 1..50u64,
        delay in 0..20usize,
        before in 0..50usize,
    ) {
        let mut calls = Overestimated {
            queue: queue(),
            waiting: Vec::new(),
            under_way: VecDeque::new(),
            estimate,
            cost,
            delay,
            arrived: 0,
        };
        for of in 0..flows {
            for _ in 0..at_once {
                calls.join(of);
            }
        }
        for _ in 0..before {
            calls.admit();
        }
        calls.join(flows);
        let waited = (0..).find(|_| calls.admit() == flows).unwrap();
        prop_assert!(waited <= flows, "{waited}");
        let mut served = vec![0; flows as usize + 1];
        for _ in 0..60 * (flows + 1) {
            served[calls.admit() as usize] += 1;
        }
        prop_assert!(served.iter().all(|&calls| calls >= 30), "{served:?}");
    }
}

#[test]
fn who_has_a_long_queue_waits_behind_it_and_others_do_not() {
    let mut backlog = Backlog::new([]);
    for _ in 0..1_000 {
        backlog.join(1, 100);
    }
    let ahead = |backlog: &Backlog, of| {
        let key = flow(of, 1);
        let position = backlog.queue.position(2_000, Priority::Normal, &key);
        backlog.queue.ahead(position, &key)
    };
    assert_eq!(ahead(&backlog, 1).tokens, 100_000);
    assert_eq!(
        ahead(&backlog, 2).tokens,
        100,
        "the one that waited for longer"
    );
    assert_eq!(ahead(&backlog, 2).requests, 1);
}

/// As many flows as a prediction cannot look at all of.
#[test]
fn of_many_flows_some_are_looked_at() {
    let mut backlog = Backlog::new([]);
    for of in 0..1_000 {
        for _ in 0..=(of % 3) {
            backlog.join(of, 100);
        }
    }
    let key = flow(5_000, 1);
    for _ in 0..5 {
        backlog.join(5_000, 100);
    }
    let position = backlog.queue.position(Nanos::MAX, Priority::Normal, &key);
    let ahead = backlog.queue.ahead(position, &key);
    backlog.join(5_000, 100);
    let mut before = 0;
    loop {
        let known = backlog.serve();
        if known.flow == 5_000 && !backlog.waiting.iter().any(|other| other.flow == 5_000) {
            break;
        }
        before += known.tokens;
    }
    assert_eq!(before, 200_400, "all of the others' and five of its own");
    assert!(
        ahead.tokens.abs_diff(before) < before / 20,
        "{ahead:?} {before}"
    );
}

fn weight() -> impl Strategy<Value = u32> {
    (0..4u32).prop_map(|power| 1 << power)
}

proptest! {
    /// The paper's bound, and half of it: two flows that always wait differ by one call each at
    /// most.
    #[test]
    fn two_backlogged_flows_are_served_alike(
        weights in (weight(), weight(), weight()),
        largest in 1..5_000u64,
        costs in prop::collection::vec(any::<u64>(), 20..400),
        others in prop::collection::vec(any::<Option<u8>>(), 20..400),
    ) {
        let mut backlog = Backlog::new([(0, weights.0), (1, weights.1)]);
        let weights = [u64::from(weights.0), u64::from(weights.1)];
        let mut costs = costs.into_iter().map(|cost| 1 + cost % largest).cycle();
        let mut cost = || costs.next().unwrap();
        for of in [0, 1] {
            backlog.join(of, cost());
            backlog.join(of, cost());
        }
        // By the differences of what both were served at any two instants.
        let mut differences = vec![0i128];
        for other in others {
            if let Some(other) = other {
                backlog.join(2 + u32::from(other), cost());
            }
            let known = backlog.serve();
            if known.flow < 2 {
                backlog.join(known.flow, cost());
                let scaled = |of: usize| i128::from(backlog.served(of as u32)) * i128::from(weights[1 - of]);
                differences.push(scaled(0) - scaled(1));
            }
        }
        let spread = differences.iter().max().unwrap() - differences.iter().min().unwrap();
        let bound = i128::from(largest) * i128::from(weights[0] + weights[1]);
        // In tokens per weight: at most largest / w0 + largest / w1, no more than twice the
        // largest.
        prop_assert!(spread <= bound + 1, "{spread} {bound}");
    }

    /// An endless stream of tenants who were never served before, each with one call, does not keep
    /// anybody waiting for longer than a bound that depends on how many wait at a time.
    #[test]
    fn nobody_starves(
        crowd in 1..20usize,
        largest in 1..1_000u64,
        before in 0..20usize,
        costs in prop::collection::vec(any::<u64>(), 1..50),
        weights in prop::collection::vec(1..5u32, 1..20),
    ) {
        let mut backlog = Backlog::new([]);
        let mut costs = costs.into_iter().map(|cost| 1 + cost % largest).cycle();
        let mut cost = || costs.next().unwrap();
        let mut weights = weights.into_iter().cycle();
        let mut newcomer = 1;
        let mut fill = |backlog: &mut Backlog, tokens: u64| {
            let others = backlog.waiting.iter().filter(|known| known.flow != 0).count();
            for _ in others..crowd {
                newcomer += 1;
                backlog.weights.insert(newcomer, weights.next().unwrap());
                backlog.join(newcomer, tokens);
            }
        };
        let all_weights = 1 + 4 * crowd as u64;
        let bound = 2 * all_weights * largest + (crowd as u64 + 1) * largest;
        // Who might starve is first served as much as may be.
        for tokens in std::iter::repeat_n(largest, before).chain([1]) {
            backlog.join(0, tokens);
            let mut waited = 0;
            loop {
                fill(&mut backlog, cost());
                let known = backlog.serve();
                if known.flow == 0 {
                    break;
                }
                waited += known.tokens;
                prop_assert!(waited <= bound, "{waited} {bound}");
            }
        }
    }

    /// What is said to go ahead of a newcomer is what goes ahead of it, to the call, where a flow's
    /// calls are alike.
    #[test]
    fn the_prediction_comes_true(
        flows in prop::collection::vec((weight(), 1..500u64, 1..8usize), 1..30),
        served in 0..40usize,
        newcomer in (0..31usize, weight(), 1..500u64),
    ) {
        let weights = flows.iter().enumerate().map(|(of, flow)| (of as u32, flow.0));
        let mut backlog = Backlog::new(weights);
        for (of, &(_, tokens, calls)) in flows.iter().enumerate() {
            for _ in 0..calls {
                backlog.join(of as u32, tokens);
            }
        }
        for _ in 0..served.min(backlog.waiting.len()) {
            backlog.serve();
        }
        let (of, weight, tokens) = newcomer;
        let (weight, tokens) = flows.get(of).map_or((weight, tokens), |flow| (flow.0, flow.1));
        backlog.weights.insert(of as u32, weight);
        let key = flow(of as u32, weight);
        let position = backlog.queue.position(Nanos::MAX, Priority::Normal, &key);
        let ahead = backlog.queue.ahead(position, &key);
        backlog.join(of as u32, tokens);
        let last = backlog.waiting.last().unwrap().ticket;
        let (mut requests, mut sum) = (0, 0);
        loop {
            let known = backlog.serve();
            if known.ticket == last {
                break;
            }
            (requests, sum) = (requests + 1, sum + known.tokens);
        }
        prop_assert_eq!((ahead.requests, ahead.tokens), (requests, sum));
    }

    /// Where they are not alike, it is off by the largest call of each other flow at most.
    #[test]
    fn the_prediction_is_off_by_a_call_per_flow_at_most(
        flows in prop::collection::vec(prop::collection::vec(1..500u64, 1..8), 1..30),
        served in 0..40usize,
        newcomer in 0..31usize,
    ) {
        let mut backlog = Backlog::new([]);
        let mut off = 0;
        for (of, calls) in flows.iter().enumerate() {
            for &tokens in calls {
                backlog.join(of as u32, tokens);
            }
            off += calls.iter().max().unwrap();
        }
        for _ in 0..served.min(backlog.waiting.len()) {
            backlog.serve();
        }
        let key = flow(newcomer as u32, 1);
        let position = backlog.queue.position(Nanos::MAX, Priority::Normal, &key);
        let ahead = backlog.queue.ahead(position, &key);
        backlog.join(newcomer as u32, 1);
        let last = backlog.waiting.last().unwrap().ticket;
        let mut sum = 0;
        loop {
            let known = backlog.serve();
            if known.ticket == last {
                break;
            }
            sum += known.tokens;
        }
        prop_assert!(ahead.tokens.abs_diff(sum) <= off, "{ahead:?} {sum} {off}");
    }

    #[test]
    fn no_cost_overflows(
        steps in prop::collection::vec((0..4u32, prop_oneof![Just(u64::MAX), any::<u64>(), Just(0)], 0..4u8), 1..200)
    ) {
        let mut queue = queue();
        let mut waiting = VecDeque::new();
        let mut under_way = Vec::new();
        for (at, (of, tokens, action)) in steps.into_iter().enumerate() {
            match action {
                0 => {
                    if let Some(head) = waiting.iter().position(|&ticket| queue.is_head(ticket)) {
                        let (served, wakes) = queue.admit(waiting.remove(head).unwrap(), tokens);
                        wakes.wake();
                        under_way.push(served);
                    }
                }
                1 => {
                    if let Some(served) = under_way.pop() {
                        queue.settle(served, tokens).wake();
                    }
                }
                _ => {
                    let key = flow(of, [1, u32::MAX, 7, 2][of as usize]);
                    let position = queue.position(at as u64, Priority::Normal, &key);
                    let ahead = queue.ahead(position, &key);
                    prop_assert!(ahead.requests <= queue.len() as u64);
                    waiting.push_back(join(&mut queue, &key, at as u64, tokens));
                }
            }
            prop_assert_eq!(waiting.iter().filter(|&&ticket| queue.is_head(ticket)).count(), waiting.len().min(1));
        }
    }
}
