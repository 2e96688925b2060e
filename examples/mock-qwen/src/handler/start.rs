//! A call is read and let in, or not.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;

use super::{Caller, Job, key};
use crate::account::{Admitted, Cost, Figures, Refused};
use crate::answer::Answer;
use crate::fault::Fault;
use crate::quota::Scope;
use crate::request::{Call, Delivery};
use crate::server::{Inner, MockQwen};
use crate::ticket::Ticket;
use crate::wire::{Dialect, Kind, Problem, Reply, Usage};

/// Why a call that makes sense is not answered.
#[derive(Debug)]
pub(super) enum Failed {
    Refused(Refused),
    /// Told inside a 200, which may be called a stream of events.
    Disguised {
        events: bool,
    },
}

impl<R: Into<Refused>> From<R> for Failed {
    fn from(refused: R) -> Self {
        Self::Refused(refused.into())
    }
}

/// Reads a call, and refuses one that makes no sense.
pub(super) fn read(
    mock: &MockQwen,
    dialect: Dialect,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Call, Refused> {
    let inner = mock.inner();
    let config = &inner.config;
    key::check(config, dialect, headers)?;
    let call = Call::read(inner.profile(), dialect, headers, body, config.max_output)?;
    let asked = call.tokens.iter().sum();
    if asked > config.tpm {
        let message = format!("Range of input length should be [1, {}]", config.tpm);
        return Err(Refused {
            problem: Problem {
                kind: Kind::TooLong,
                message,
            },
            wait: None,
            figures: Figures {
                limit: config.tpm,
                used: 0,
                asked,
            },
            scope: Scope::Window,
        });
    }
    Ok(call)
}

/// Lets a call in.
pub(super) async fn start(
    mock: &MockQwen,
    caller: &Caller,
    call: &Call,
    fault: Fault,
) -> Result<Job, Failed> {
    let inner = mock.inner();
    let config = &inner.config;
    if !config.models.has(&call.model) {
        inner.account().reject();
        return Err(Kind::Model.into());
    }
    let refused = match fault {
        Fault::Unavailable => Some(Kind::Capacity.into()),
        Fault::Throttle500 => Some(Kind::HiddenCapacity.into()),
        Fault::Error200 => Some(Failed::Disguised { events: false }),
        Fault::BareJson if call.delivery != Delivery::Whole => {
            Some(Failed::Disguised { events: true })
        }
        _ => None,
    };
    if let Some(failed) = refused {
        inner.account().fail(fault);
        return Err(failed);
    }
    let embeds = matches!(
        caller.dialect,
        Dialect::Embeddings | Dialect::NativeEmbeddings
    );
    let ceiling = call.ceiling.unwrap_or(config.max_output);
    let mut answers = Vec::new();
    let choices = if embeds { 0 } else { call.choices };
    for (asked, &tokens) in call.prompts.iter().zip(&call.tokens) {
        for choice in 0..choices {
            let answer = Answer::new(config, &asked.contents(choice), ceiling);
            let answer = match &call.tool_call {
                Some(call) => answer.calling(call, ceiling),
                None => answer,
            };
            answers.push((answer, tokens));
        }
    }
    let prompt = call.tokens.iter().sum();
    let cost = Cost {
        prompt,
        output: answers.iter().map(|(answer, _)| answer.len()).sum(),
        ceiling: ceiling * answers.len() as u64,
    };
    let admitted = admit(inner, cost).await?;
    let at = admitted.at;
    let created = inner.clock.wall(at).duration_since(UNIX_EPOCH);
    Ok(Job {
        mock: mock.clone(),
        ticket: Ticket::new(mock.clone(), admitted),
        reply: Reply {
            profile: inner.profile(),
            dialect: caller.dialect,
            delivery: call.delivery,
            format: call.format,
            id: caller.id.clone(),
            model: call.model.clone(),
            created: created.unwrap_or_default().as_secs(),
            tells_usage: fault != Fault::NoUsage,
            choices: answers.len(),
            prompts: call.prompts.len(),
            events: AtomicU64::new(0),
        },
        answers,
        usage: Usage {
            prompt,
            cached: inner.cached(prompt),
            ..Usage::default()
        },
        fault,
        at,
    })
}

/// The least pause of a call in a queue: others' ends cannot be foreseen.
const LOOK: Duration = Duration::from_millis(10);

/// Admits a call, at once or not at all; a host that queues makes it wait.
async fn admit(inner: &Inner, cost: Cost) -> Result<Admitted, Refused> {
    loop {
        let refused = {
            let mut account = inner.account();
            match account.admit(&inner.config, inner.clock.now(), cost) {
                Ok(admitted) => return Ok(admitted),
                Err(refused) => {
                    let never = refused.wait.is_none();
                    if never || !inner.profile().queues {
                        account.throttle(&refused);
                        return Err(refused);
                    }
                    refused
                }
            }
        };
        let wait = match refused.problem.kind {
            Kind::Concurrency => LOOK,
            _ => refused.wait.unwrap_or_default().max(LOOK),
        };
        let at = inner.clock.now() + wait;
        inner.clock.sleep_until(at).await;
    }
}
