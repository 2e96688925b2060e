//! How the usage objects of one answer make its usage.
//!
//! Hosts state usage of three kinds. Of the answer as a whole: once at the end, or in every event,
//! as it is so far. Beside an answer of several (`n`, or one for each of several prompts): of that
//! answer, at its end or so far. And alone, in an event without answers: at the end of the stream
//! for all of it, or at the end of each answer for that one. The laws:
//!
//! - What is stated later of the same replaces what was stated before: figures are cumulative. A
//!   zero replaces nothing.
//! - What is stated beside several answers adds up. Answers to one prompt share its input.
//! - What is stated of the whole stands for what was stated beside its answers before.
//! - A usage that stands alone is another answer's, and adds up, if an answer has ended before it,
//!   and another one since (llama-server with `n` above 1). Otherwise it is the same usage once more
//!   and replaces that (Moonshot repeats it, gateways do).
//!
//! Of usage beside answers, hence, the order among the answers does not matter.

use crate::{
    Usage,
    protocol::usage_body::{UsageBody, figure, sum, zip},
};

/// The most answers of one call that are told apart, a bound for memory. Calls for more than a
/// handful are rare; the usage of those beyond counts as that of one more.
const MAX_ANSWERS: u32 = 64;

/// Of what an event states its usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum UsagePlace {
    /// The answer so far: the event has no list of answers.
    #[default]
    Whole,
    /// The answer with this number.
    Beside(u32),
    /// The event has no answers in its list of them.
    Alone,
}

/// The answers of one call that have ended, by their numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Answers(u64);

/// The usage objects so far.
#[derive(Default)]
pub(super) struct UsageSum {
    /// How many answers one prompt gets; `None`: there is one prompt.
    answers_per_prompt: Option<u32>,
    /// Stated alone, each at the end of an answer; not the last one.
    closed: Vec<Usage>,
    /// What answers had stated when the whole came.
    covered: Usage,
    whole: Option<UsageBody>,
    /// Stated beside answers since then.
    beside: Vec<(u32, UsageBody)>,
    ended: Answers,
    /// Whether an answer has ended since the last usage that stood alone.
    has_ended: bool,
    /// Whether one had ended when that came: otherwise it is of the answer so far.
    is_closed: bool,
}

impl Answers {
    pub(super) fn insert(&mut self, number: u32) {
        self.0 |= 1 << number.min(MAX_ANSWERS - 1);
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether these are so many, or as many as are told apart.
    pub(super) fn are(self, count: u32) -> bool {
        self.0.count_ones() >= count.clamp(1, MAX_ANSWERS)
    }
}

impl UsageSum {
    /// `answers_per_prompt` is `None` where there is one prompt.
    pub(super) fn new(answers_per_prompt: Option<u32>) -> Self {
        Self {
            answers_per_prompt,
            ..Self::default()
        }
    }

    /// Adds what an event states; returns whether that is a figure at all.
    pub(super) fn state(&mut self, place: UsagePlace, body: &UsageBody) -> bool {
        let is_figure = has_figure(&body.into_usage());
        if !is_figure && !self.is_empty() {
            return false;
        }
        if let UsagePlace::Beside(number) = place {
            let number = number.min(MAX_ANSWERS - 1);
            match self.beside.iter_mut().find(|(known, _)| *known == number) {
                Some((_, known)) => known.update(body),
                None => {
                    // Most calls have one answer; a vector that grows makes room for four, a kilobyte.
                    self.beside.reserve_exact(1);
                    self.beside.push((number, *body));
                }
            }
            return is_figure;
        }
        let ends = place == UsagePlace::Alone && std::mem::take(&mut self.has_ended);
        if ends
            && std::mem::replace(&mut self.is_closed, true)
            && self.closed.len() < MAX_ANSWERS as usize
            && let Some(whole) = self.whole.take()
        {
            let covered = std::mem::take(&mut self.covered);
            self.closed.push(newer(whole.into_usage(), covered));
        }
        self.covered = newer(self.beside(), self.covered);
        self.beside.clear();
        match &mut self.whole {
            Some(known) => known.update(body),
            None => self.whole = Some(*body),
        }
        is_figure
    }

    /// Notes which answers an event has ended. Comes behind what the event states.
    pub(super) fn end(&mut self, answers: Answers) {
        // Some hosts repeat the reason to stop of an answer.
        self.has_ended |= answers.0 & !self.ended.0 != 0;
        self.ended.0 |= answers.0;
    }

    pub(super) fn ended(&self) -> Answers {
        self.ended
    }

    /// The usage of all answers together; `None` if none was stated.
    pub(super) fn total(&self) -> Option<Usage> {
        let whole = self.whole.map(UsageBody::into_usage).unwrap_or_default();
        let last = newer(self.beside(), newer(whole, self.covered));
        let stated = self.closed.iter().copied().chain([last]);
        let total = self.together((0..).zip(stated));
        (!total.is_empty()).then_some(total)
    }

    fn is_empty(&self) -> bool {
        self.whole.is_none() && self.beside.is_empty()
    }

    fn beside(&self) -> Usage {
        let stated = self.beside.iter();
        self.together(stated.map(|(number, body)| (*number, body.into_usage())))
    }

    /// The usage of several answers together.
    fn together(&self, stated: impl Iterator<Item = (u32, Usage)>) -> Usage {
        let Some(answers) = self.answers_per_prompt else {
            let usages = stated.map(|(_, usage)| usage);
            return usages.reduce(of_one_prompt).unwrap_or_default();
        };
        let mut prompts: Vec<(u32, Usage)> = Vec::new();
        for (number, usage) in stated {
            let prompt = number / answers.max(1);
            match prompts.iter_mut().find(|(known, _)| *known == prompt) {
                Some((_, known)) => *known = of_one_prompt(*known, usage),
                None => prompts.push((prompt, usage)),
            }
        }
        let prompts = prompts.into_iter().map(|(_, usage)| usage);
        prompts.reduce(|a, b| zip(a, b, sum)).unwrap_or_default()
    }
}

/// Whether any of input, output and total is above zero.
fn has_figure(usage: &Usage) -> bool {
    let counts = [usage.input_tokens, usage.output_tokens, usage.total_tokens];
    counts.into_iter().flatten().any(|count| count > 0)
}

/// The usage of two answers to one prompt: the input is the same, the output adds up.
fn of_one_prompt(a: Usage, b: Usage) -> Usage {
    Usage {
        output_tokens: sum(a.output_tokens, b.output_tokens),
        reasoning_tokens: sum(a.reasoning_tokens, b.reasoning_tokens),
        // Each is the sum of an input that they share and an output of their own.
        total_tokens: None,
        ..zip(a, b, Option::max)
    }
}

/// What is stated now, and where that has no figure, what was stated before.
fn newer(now: Usage, before: Usage) -> Usage {
    let restates = now.input_tokens.is_some() || now.output_tokens.is_some();
    let before = Usage {
        total_tokens: before.total_tokens.filter(|_| !restates),
        ..before
    };
    zip(now, before, figure)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(input: u64, output: u64) -> UsageBody {
        let json = format!(r#"{{"prompt_tokens":{input},"completion_tokens":{output}}}"#);
        UsageBody::read(json.as_bytes()).expect("JSON")
    }

    /// A step of a stream: it states usage, or ends an answer.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        State(UsagePlace, u64, u64),
        End(u32),
    }
    use Step::{End, State};
    use UsagePlace::{Alone, Beside, Whole};

    fn total(answers_per_prompt: Option<u32>, steps: &[Step]) -> Option<(u64, u64)> {
        let mut usage = UsageSum::new(answers_per_prompt);
        for step in steps {
            match *step {
                State(place, input, output) => {
                    usage.state(place, &body(input, output));
                }
                End(number) => {
                    let mut answers = Answers::default();
                    answers.insert(number);
                    usage.end(answers);
                }
            }
        }
        usage.total()?.input_and_output()
    }

    #[test]
    fn every_kind_of_host() {
        for (name, per_prompt, steps, expected) in [
            (
                "one at the end",
                None,
                &[End(0), State(Alone, 9, 5)][..],
                (9, 5),
            ),
            (
                "the same once more, alone (Moonshot)",
                None,
                &[State(Beside(0), 90, 50), End(0), State(Alone, 90, 50)],
                (90, 50),
            ),
            (
                "the same once more, both alone",
                None,
                &[End(0), State(Alone, 90, 50), State(Alone, 90, 50)],
                (90, 50),
            ),
            (
                "one alone for each answer (llama-server, n = 2)",
                None,
                &[End(1), State(Alone, 10, 3), End(0), State(Alone, 10, 4)],
                (10, 7),
            ),
            (
                "one beside each answer, a prompt each (llama-server)",
                Some(1),
                &[
                    State(Beside(0), 2, 3),
                    End(0),
                    State(Beside(1), 6, 5),
                    End(1),
                ],
                (8, 8),
            ),
            (
                "one beside each answer, two for each of two prompts",
                Some(2),
                &[
                    State(Beside(0), 2, 3),
                    State(Beside(3), 6, 1),
                    State(Beside(1), 2, 5),
                    State(Beside(2), 6, 1),
                ],
                (8, 10),
            ),
            (
                "so far beside each answer, then the whole (vLLM, n = 2)",
                None,
                &[
                    State(Beside(0), 7, 0),
                    State(Beside(1), 7, 1),
                    State(Beside(0), 7, 2),
                    End(0),
                    State(Beside(1), 7, 2),
                    End(1),
                    State(Alone, 7, 4),
                ],
                (7, 4),
            ),
            (
                "the same, cut",
                None,
                &[State(Beside(0), 7, 4), State(Beside(1), 7, 2)],
                (7, 6),
            ),
            (
                "so far in every event (native)",
                None,
                &[
                    State(Whole, 16, 1),
                    State(Whole, 16, 4),
                    End(0),
                    State(Whole, 16, 6),
                ],
                (16, 6),
            ),
            (
                "alone and so far, before any end",
                None,
                &[
                    State(Alone, 9, 0),
                    State(Alone, 9, 4),
                    End(0),
                    State(Alone, 9, 6),
                ],
                (9, 6),
            ),
            (
                "the prompt first, the output beside the answer",
                None,
                &[State(Alone, 9, 0), State(Beside(0), 9, 4)],
                (9, 4),
            ),
            (
                "zeros after figures",
                None,
                &[State(Alone, 9, 1), State(Alone, 0, 0), State(Whole, 0, 0)],
                (9, 1),
            ),
            (
                "zeros alone after figures beside",
                None,
                &[State(Beside(0), 9, 4), End(0), State(Alone, 0, 0)],
                (9, 4),
            ),
            (
                "half a zero after figures beside",
                None,
                &[State(Beside(0), 9, 4), End(0), State(Alone, 9, 0)],
                (9, 4),
            ),
            (
                "zeros only",
                None,
                &[State(Alone, 0, 0), State(Alone, 0, 0)],
                (0, 0),
            ),
            (
                "an end that is repeated is no other answer's",
                None,
                &[End(0), State(Alone, 9, 5), End(0), State(Alone, 9, 5)],
                (9, 5),
            ),
        ] {
            assert_eq!(total(per_prompt, steps), Some(expected), "{name}");
        }
        assert_eq!(total(None, &[End(0)]), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut usage = UsageSum::default();
        for number in 0..10_000 {
            usage.state(Beside(number), &body(1, 1));
            let mut answers = Answers::default();
            answers.insert(number);
            usage.end(answers);
            usage.state(Alone, &body(1, 1));
        }
        assert!(usage.beside.len() <= 64 && usage.closed.len() <= 64);
        assert!(usage.ended().are(1_000));
    }

    fn running() -> impl Strategy<Value = Vec<(u32, u64)>> {
        prop::collection::vec((0_u32..5, 0_u64..100), 0..20)
    }

    proptest! {
        /// Which answer speaks first does not matter, only the order within each answer.
        #[test]
        fn answers_add_up_in_any_order(
            running in running(),
            per_prompt in prop::option::of(1_u32..4),
        ) {
            let steps: Vec<_> = running.iter().map(|&(n, output)| State(Beside(n), 9, output)).collect();
            let mut sorted = running.clone();
            sorted.sort_by_key(|&(number, _)| number);
            let by_answer: Vec<_> = sorted.iter().map(|&(n, output)| State(Beside(n), 9, output)).collect();
            prop_assert_eq!(total(per_prompt, &steps), total(per_prompt, &by_answer));
        }

        /// Adding zeros, or the same again, anywhere changes nothing.
        #[test]
        fn zeros_and_repeats_change_nothing(
            running in running(),
            at in any::<prop::sample::Index>(),
            has_end in any::<bool>(),
        ) {
            let mut steps: Vec<_> = running.iter().map(|&(n, output)| State(Beside(n), 9, output)).collect();
            if has_end {
                steps.push(End(0));
                steps.push(State(Alone, 9, 40));
            }
            let plain = total(None, &steps);
            prop_assume!(!steps.is_empty());
            let at = at.index(steps.len());
            let mut repeated = steps.clone();
            repeated.insert(at, steps[at]);
            prop_assert_eq!(total(None, &repeated), plain);
            for place in [Whole, Alone, Beside(0), Beside(9)] {
                let mut with_zeros = steps.clone();
                with_zeros.insert(at + 1, State(place, 0, 0));
                prop_assert_eq!(total(None, &with_zeros), plain);
            }
        }
    }
}
