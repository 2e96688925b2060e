//! Classes above the discipline: their order, their ageing, and that each keeps its own law.

use super::*;

const AGEING: u64 = 1_000;

fn queue(discipline: Discipline) -> WaitQueue {
    WaitQueue::new(discipline, std::time::Duration::from_nanos(AGEING))
}

fn of_class(class: usize) -> Priority {
    Priority::IN_ORDER[class % Priority::CLASSES]
}

/// A waiter of a class.
#[derive(Debug, Clone, Copy)]
struct Classed {
    known: Known,
    class: Priority,
}

/// A queue beside a list of those that wait in it, in the order of their joining.
#[derive(Debug)]
struct Model {
    queue: WaitQueue,
    waiting: Vec<Classed>,
    now: Nanos,
    /// Admissions since the last one that went by age.
    admissions: usize,
}

impl Model {
    fn new(discipline: Discipline) -> Self {
        let mut model = Self {
            queue: queue(discipline),
            waiting: Vec::new(),
            now: 0,
            admissions: 0,
        };
        model.pass(AGEING * 10);
        model
    }

    fn pass(&mut self, nanos: Nanos) {
        self.now += nanos;
        self.queue.advance(self.now);
    }

    fn join(&mut self, class: Priority, of: u32, arrived: Nanos, tokens: u64) -> Ticket {
        let key = flow(of, 1);
        let position = self.queue.position(arrived, class, &key);
        let (ticket, wakes) = self
            .queue
            .join(position, &key, tokens, Waker::noop().clone());
        wakes.wake();
        assert_eq!(self.queue.is_head(ticket), position.is_first());
        let known = Known {
            flow: of,
            arrived,
            tokens,
            ticket,
        };
        self.waiting.push(Classed { known, class });
        ticket
    }

    fn leave(&mut self, at: usize) {
        let gone = self.waiting.remove(at);
        self.queue.leave(gone.known.ticket).wake();
    }

    fn head(&self) -> usize {
        let is_head = |it: &Classed| self.queue.is_head(it.known.ticket);
        assert_eq!(self.waiting.iter().filter(|it| is_head(it)).count(), 1);
        self.waiting.iter().position(is_head).unwrap()
    }

    fn serve(&mut self) -> Classed {
        let gone = self.waiting.remove(self.head());
        serve(&mut self.queue, gone.known.ticket, gone.known.tokens);
        self.admissions += 1;
        gone
    }

    /// The class that is next by what the documentation says.
    fn next_class(&self) -> Option<Priority> {
        let oldest = self.waiting.iter().min_by_key(|it| {
            // Of equal arrivals the higher class.
            (it.known.arrived, std::cmp::Reverse(it.class))
        })?;
        let by_age = self.admissions % 4 == 3 && self.now - oldest.known.arrived > AGEING;
        let highest = self.waiting.iter().map(|it| it.class).max();
        if by_age { Some(oldest.class) } else { highest }
    }
}

#[test]
fn higher_classes_go_first_and_each_in_its_order() {
    for discipline in DISCIPLINES {
        let mut model = Model::new(discipline);
        for (at, class) in [2, 1, 0, 2, 1, 0].into_iter().enumerate() {
            model.join(of_class(class), 1, model.now + at as u64, 10);
        }
        let order: Vec<_> = (0..6).map(|_| model.serve()).collect();
        let expected = [0, 0, 1, 1, 2, 2].map(of_class);
        assert!(order.iter().map(|it| it.class).eq(expected));
        assert!(
            order
                .chunks(2)
                .all(|two| two[0].known.arrived < two[1].known.arrived)
        );
    }
}

#[test]
fn who_has_not_aged_waits_for_all_of_higher_classes() {
    let mut model = Model::new(Discipline::Fifo);
    let low = model.join(Priority::Low, 1, model.now, 10);
    for _ in 0..100 {
        model.pass(AGEING / 100);
        model.join(Priority::High, 2, model.now, 10);
        assert_ne!(model.serve().known.ticket, low);
    }
}

#[test]
fn classes_share_for_themselves() {
    let mut model = Model::new(Discipline::Fair);
    // What a flow was served in one class does not count in another.
    for _ in 0..20 {
        model.join(Priority::High, 1, model.now, 1_000);
        model.serve();
    }
    for _ in 0..3 {
        model.join(Priority::Low, 1, model.now, 10);
        model.join(Priority::Low, 2, model.now, 10);
    }
    let order: Vec<_> = (0..6).map(|_| model.serve().known.flow).collect();
    assert_eq!(order, [1, 2, 1, 2, 1, 2]);
}

#[test]
fn what_goes_ahead_by_age_is_predicted() {
    let mut model = Model::new(Discipline::Fifo);
    for _ in 0..50 {
        model.join(Priority::Low, 1, model.now, 10);
    }
    model.pass(AGEING + 1);
    for _ in 0..30 {
        model.join(Priority::High, 2, model.now, 10);
    }
    let key = flow(3, 1);
    let position = model.queue.position(model.now, Priority::High, &key);
    let ahead = model.queue.ahead(position, &key);
    // Of the first 40 admissions ten go by age, and the next one is the newcomer.
    let newcomer = model.join(Priority::High, 3, model.now, 10);
    let before = std::iter::from_fn(|| Some(model.serve()))
        .take_while(|it| it.known.ticket != newcomer)
        .count() as u64;
    assert_eq!((ahead.requests, ahead.tokens), (before, 10 * before));
    assert_eq!(before, 40);
}

proptest! {
    /// Whatever comes and goes, the next class is the one that the documentation says, and of its flow the first.
    #[test]
    fn the_next_class_is_as_documented(
        fair: bool,
        steps in prop::collection::vec((0..3usize, 0..4u32, 0..3_000u64, 1..100u64, 0..6usize, any::<usize>()), 1..200),
    ) {
        let mut model = Model::new(if fair { Discipline::Fair } else { Discipline::Fifo });
        for (class, of, nanos, tokens, action, which) in steps {
            match action {
                0 if !model.waiting.is_empty() => model.leave(which % model.waiting.len()),
                1 | 2 if !model.waiting.is_empty() => {
                    model.serve();
                }
                // The head changes when somebody comes or goes, and not by time alone.
                3 => {
                    model.pass(nanos / 4);
                    model.join(of_class(class), of, model.now, tokens);
                }
                _ => {
                    let arrived = model.now - nanos;
                    let key = flow(of, 1);
                    let position = model.queue.position(arrived, of_class(class), &key);
                    let ahead = model.queue.ahead(position, &key);
                    prop_assert!(ahead.requests <= model.waiting.len() as u64);
                    prop_assert!(ahead.tokens <= model.queue.total().tokens);
                    model.join(of_class(class), of, arrived, tokens);
                }
            }
            let waiting = |class| model.waiting.iter().filter(move |it| it.class == class);
            for class in Priority::IN_ORDER {
                let of_class = model.queue.of_class(class);
                prop_assert_eq!(of_class.requests, waiting(class).count() as u64);
                prop_assert_eq!(of_class.tokens, waiting(class).map(|it| it.known.tokens).sum::<u64>());
            }
            let Some(class) = model.next_class() else { continue };
            let head = model.waiting[model.head()];
            prop_assert_eq!(head.class, class);
            let first = waiting(class)
                .filter(|it| !fair || it.known.flow == head.known.flow)
                .map(|it| it.known.arrived)
                .min();
            prop_assert_eq!(Some(head.known.arrived), first);
        }
    }

    /// A call of the lowest class that has aged sees at most four others for each that arrived before it, and four more,
    /// in an endless stream of higher ones.
    #[test]
    fn an_aged_call_goes_within_the_bound(
        older in 0..30usize,
        younger in 0..10usize,
        stream in prop::collection::vec((0..2usize, 0..3usize, 0..200u64), 1..50),
    ) {
        let mut model = Model::new(Discipline::Fifo);
        for _ in 0..older {
            model.join(Priority::Low, 1, model.now, 10);
        }
        model.pass(1);
        let it = model.join(Priority::Low, 1, model.now, 10);
        model.pass(1);
        for _ in 0..younger {
            model.join(Priority::Low, 1, model.now, 10);
        }
        let aged_at = model.now + AGEING;
        let mut since = 0;
        for (class, joins, nanos) in stream.into_iter().cycle() {
            for _ in 0..=joins {
                model.join(of_class(class), 2, model.now, 10);
            }
            let is_aged = model.now >= aged_at;
            if model.serve().known.ticket == it {
                break;
            }
            since += u64::from(is_aged);
            // By then the stream's own calls may have aged too: only those that were there before count.
            prop_assert!(since <= 4 * (older as u64 + 1), "{since}");
            model.pass(1 + nanos);
        }
    }

    /// Two flows of the lowest class that always wait are served alike, as without priorities.
    #[test]
    fn the_law_of_the_counter_holds_within_a_class(
        largest in 1..5_000u64,
        costs in prop::collection::vec(any::<u64>(), 20..400),
    ) {
        let mut model = Model::new(Discipline::Fair);
        let mut served = [0i128; 2];
        let mut differences = vec![0];
        for of in [0, 1, 0, 1] {
            model.join(Priority::Low, of, model.now, largest);
        }
        for cost in costs.into_iter().map(|cost| 1 + cost % largest) {
            model.pass(AGEING / 3);
            if model.waiting.iter().all(|it| it.class == Priority::Low) {
                model.join(Priority::High, 2, model.now, cost);
            }
            let gone = model.serve();
            if let Some(served) = served.get_mut(gone.known.flow as usize) {
                *served += i128::from(gone.known.tokens);
                model.join(Priority::Low, gone.known.flow, model.now, cost);
            }
            differences.push(served[0] - served[1]);
        }
        prop_assert!(served.iter().all(|&served| served > 0), "{served:?}");
        let spread = differences.iter().max().unwrap() - differences.iter().min().unwrap();
        prop_assert!(spread <= 2 * i128::from(largest) + 1, "{spread} {largest}");
    }
}
