//! The answer to a prompt: real text of a known number of tokens.

mod sentences;

use std::borrow::Cow;
use std::sync::LazyLock;

use self::sentences::SENTENCES;
use crate::config::Config;
use crate::request::ToolCall;
use crate::tokens::{count_text, pieces};

/// Each sentence as the texts of its tokens. A sentence ends with a line break, which ends a
/// token in any context, and a part of a token sequence tokenizes to itself; so the first `n`
/// tokens of any row of sentences are `n` tokens.
static POOL: LazyLock<Vec<Vec<String>>> =
    LazyLock::new(|| SENTENCES.iter().filter_map(|text| pieces(text)).collect());

/// What the model answers to one prompt. The same prompt gets the same answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The text of each token. Of a call these are its arguments; the tokens of its frame have no text.
    pub(crate) tokens: Vec<Cow<'static, str>>,
    /// The function that is called, if the answer is a call of one.
    pub(crate) tool: Option<String>,
    /// So many tokens at the beginning are thoughts.
    pub(crate) thoughts: usize,
    pub(crate) finish: Finish,
    /// How much slower or faster than usual this call is.
    pub(crate) pace: f64,
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ToolCalls,
}

impl Finish {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// Loads the vocabulary, so that the first call does not wait for it.
pub(crate) fn load() {
    LazyLock::force(&POOL);
}

impl Answer {
    pub(crate) fn new(config: &Config, contents: &[String], ceiling: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(hash(config.seed, contents));
        let pace = 1.0 + config.jitter * (2.0 * rng.f64() - 1.0);
        let wanted = length(&mut rng, config.output_tokens);
        let (count, finish) = if wanted > ceiling {
            (ceiling, Finish::Length)
        } else {
            (wanted, Finish::Stop)
        };
        Self {
            tokens: write(&mut rng, count as usize),
            tool: None,
            thoughts: (count as f64 * config.thought_share) as usize,
            finish,
            pace: pace.max(0.0),
        }
    }

    /// A call of a function, as the model writes it. It has no thoughts.
    pub(crate) fn calling(mut self, call: &ToolCall, ceiling: u64) -> Self {
        let frame = |text: &str| vec![Cow::Borrowed(""); count_text(text) as usize];
        let before = format!(
            "<tool_call>\n{{\"name\": \"{}\", \"arguments\": ",
            call.name
        );
        self.tokens = frame(&before);
        match pieces(&call.arguments) {
            Some(pieces) => self.tokens.extend(pieces.into_iter().map(Cow::Owned)),
            None => self.tokens.push(Cow::Owned(call.arguments.clone())),
        }
        self.tokens.extend(frame("}\n</tool_call>"));
        self.finish = Finish::ToolCalls;
        if self.len() > ceiling {
            self.tokens.truncate(ceiling as usize);
            self.finish = Finish::Length;
        }
        self.thoughts = 0;
        self.tool = Some(call.name.clone());
        self
    }

    pub(crate) fn len(&self) -> u64 {
        self.tokens.len() as u64
    }

    /// The thoughts, and the text after them.
    pub(crate) fn parts(&self) -> (String, String) {
        let (thoughts, text) = self.tokens.split_at(self.thoughts);
        (thoughts.concat(), text.concat())
    }

    #[cfg(test)]
    fn text(&self) -> String {
        self.tokens.concat()
    }
}

/// From a quarter of the mean to twice the mean. Four of seven are below it (5/8 of it on
/// average) and three above (12/8), which makes the mean.
fn length(rng: &mut fastrand::Rng, mean: u64) -> u64 {
    let share = if rng.u32(..7) < 4 {
        0.25 + 0.75 * rng.f64()
    } else {
        1.0 + rng.f64()
    };
    ((mean as f64 * share).round() as u64).max(1)
}

fn write(rng: &mut fastrand::Rng, count: usize) -> Vec<Cow<'static, str>> {
    let pool: &'static [Vec<String>] = &POOL;
    let mut tokens = Vec::with_capacity(count);
    while tokens.len() < count {
        let sentence = &pool[rng.usize(..pool.len())];
        let room = count - tokens.len();
        tokens.extend(
            sentence
                .iter()
                .take(room)
                .map(|token| Cow::Borrowed(token.as_str())),
        );
    }
    tokens
}

/// FNV-1a.
fn hash(seed: u64, contents: &[String]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for content in contents {
        for byte in content.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_every_pair_of_sentences_has_as_many_tokens_as_pieces() {
        let broken: Vec<_> = SENTENCES
            .iter()
            .filter(|text| pieces(text).is_none())
            .collect();
        assert!(
            broken.is_empty(),
            "a token is part of a character: {broken:?}"
        );
        for first in POOL.iter() {
            for second in POOL.iter() {
                let both: Vec<&str> = first.iter().chain(second).map(String::as_str).collect();
                for cut in [first.len(), first.len() + 1, both.len() - 1, both.len()] {
                    let text = both[..cut].concat();
                    assert_eq!(count_text(&text), cut as u64, "{text:?}");
                }
            }
            for cut in 1..first.len() {
                let text = first[..cut].concat();
                assert_eq!(count_text(&text), cut as u64, "{text:?}");
            }
        }
    }

    #[test]
    fn answers_have_the_length_they_say_and_the_mean_they_should() {
        let config = Config::default();
        let mut sum = 0;
        for number in 0..4_000 {
            let answer = Answer::new(&config, &[format!("question {number}")], u64::MAX);
            assert!((40..=320).contains(&answer.len()), "{}", answer.len());
            assert_eq!(answer.finish, Finish::Stop);
            sum += answer.len();
            if number % 100 == 0 {
                assert_eq!(count_text(&answer.text()), answer.len());
            }
        }
        let mean = sum as f64 / 4_000.0;
        assert!((155.0..165.0).contains(&mean), "{mean}");
    }

    #[test]
    fn the_ceiling_cuts() {
        let contents = ["question".to_owned()];
        let whole = Answer::new(&Config::default(), &contents, u64::MAX);
        let exact = Answer::new(&Config::default(), &contents, whole.len());
        let cut = Answer::new(&Config::default(), &contents, 7);
        assert_eq!(exact.finish, Finish::Stop);
        assert_eq!(exact.text(), whole.text());
        assert_eq!((cut.len(), cut.finish), (7, Finish::Length));
        assert_eq!(cut.tokens, whole.tokens[..7]);
        assert_eq!(count_text(&cut.text()), 7);
    }

    #[test]
    fn a_call_has_the_tokens_of_its_frame_and_its_arguments() {
        let call = ToolCall {
            name: "depth".to_owned(),
            arguments: r#"{"river": "Rhine"}"#.to_owned(),
        };
        let answer =
            |ceiling| Answer::new(&Config::default(), &[], ceiling).calling(&call, ceiling);
        let whole = answer(1_000);
        assert_eq!(
            (whole.text(), whole.finish),
            (call.arguments.clone(), Finish::ToolCalls)
        );
        let written = "<tool_call>\n{\"name\": \"depth\", \"arguments\": {\"river\": \"Rhine\"}}\n</tool_call>";
        // The borders of the frame may cut a token in two.
        assert!(
            whole.len().abs_diff(count_text(written)) <= 2,
            "{}",
            whole.len()
        );
        assert_eq!((answer(3).len(), answer(3).finish), (3, Finish::Length));
    }

    #[test]
    fn jitter_changes_the_pace_only() {
        let jittery = Config {
            jitter: 0.2,
            ..Config::default()
        };
        let contents = ["question".to_owned()];
        let even = Answer::new(&Config::default(), &contents, u64::MAX);
        let uneven = Answer::new(&jittery, &contents, u64::MAX);
        assert_eq!(even.text(), uneven.text());
        assert_eq!(even.pace, 1.0);
        assert!(uneven.pace != 1.0 && (0.8..=1.2).contains(&uneven.pace));
    }
}
