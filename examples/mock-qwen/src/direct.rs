//! Calls without HTTP, whose tokens the caller states.

use axum::body::Body;
use http::{HeaderMap, Response};

use crate::account::{Cost, End, Refused};
use crate::fault::Fault;
use crate::handler::{Caller, refuse};
use crate::server::MockQwen;
use crate::ticket::Ticket;
use crate::wire::{Dialect, Kind};

/// The tokens of a call, prompt and answer apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTokens {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens that the answer will have.
    pub output: u64,
    /// Tokens that the answer may have at most, which [`Charge::Estimate`](crate::Charge::Estimate) charges.
    pub ceiling: u64,
}

/// A call that the quotas let in. Dropped before [`end`](Self::end), it counts as left by its client, without an answer.
#[derive(Debug)]
#[must_use = "a dropped call counts as left by its client"]
pub struct RunningCall {
    ticket: Ticket,
    output: u64,
}

impl MockQwen {
    /// Starts a call now, under the same quotas, faults and statistics as calls over HTTP. Nothing is read or counted, so that
    /// a study of many calls takes little time; waits are the caller's own.
    ///
    /// ```
    /// use mock_qwen::{CallTokens, Config, MockQwen};
    ///
    /// let mock = MockQwen::new(Config { rpm: 1, ..Config::default() });
    /// let tokens = CallTokens { prompt: 300, output: 150, ceiling: 400 };
    /// mock.start_call(tokens).unwrap().end();
    /// assert_eq!(mock.stats().tokens.total, 450);
    /// assert_eq!(mock.start_call(tokens).unwrap_err().status(), 429);
    /// ```
    ///
    /// # Errors
    ///
    /// The answer that refuses the call, as a chat completion of the compatible dialect gets it: by a quota, or by a fault
    /// that refuses (`unavailable`, `throttle_500`). Other faults do not happen here.
    pub fn start_call(&self, tokens: CallTokens) -> Result<RunningCall, Box<Response<Body>>> {
        let inner = self.inner();
        let (id, fault) = inner.account().arrive(&inner.config);
        let started = match fault {
            Fault::Unavailable => Err(Kind::Capacity),
            Fault::Throttle500 => Err(Kind::HiddenCapacity),
            _ => Ok(()),
        };
        let refused = match started {
            Err(kind) => {
                inner.account().fail(fault);
                Refused::from(kind)
            }
            Ok(()) => {
                let cost = Cost {
                    prompt: tokens.prompt,
                    output: tokens.output,
                    ceiling: tokens.ceiling,
                };
                let mut account = inner.account();
                match account.admit(&inner.config, inner.clock.now(), cost) {
                    Ok(admitted) => {
                        drop(account);
                        return Ok(RunningCall {
                            ticket: Ticket::new(self.clone(), admitted),
                            output: tokens.output,
                        });
                    }
                    Err(refused) => {
                        account.throttle(&refused);
                        refused
                    }
                }
            }
        };
        let caller = Caller::new(Dialect::Compatible, &HeaderMap::new(), id);
        Err(Box::new(refuse(self, &caller, &refused)))
    }
}

impl RunningCall {
    /// The answer is complete now.
    pub fn end(mut self) {
        self.ticket.deliver(self.output);
        self.ticket.end(End::Completed);
    }
}
