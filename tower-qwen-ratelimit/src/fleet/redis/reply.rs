use std::time::Duration;

use redis::{RedisError, Value};

use super::names::FORMAT;
use crate::{
    adapt::{Belief, Beliefs, Since},
    fleet::{BookingReply, HeartbeatReply, Used},
    units::Fraction,
};

/// The reply to a booking; `None` where it makes no sense.
pub(super) fn booking(value: &Value) -> Option<BookingReply> {
    match numbers(value)?[..] {
        [1, wait] => Some(BookingReply::In(micros(wait))),
        [0, wait] if wait >= 0 => Some(BookingReply::TooLate(micros(wait))),
        [2, wait] => Some(BookingReply::RetryAfter(micros(wait))),
        // -1: given back before it arrived. 0 with a negative wait: larger than the quota.
        [0 | -1, _] => Some(BookingReply::Never),
        _ => None,
    }
}

/// The reply to a heartbeat; `None` where it makes no sense.
pub(super) fn heartbeat(value: &Value) -> Option<HeartbeatReply> {
    let fraction = |number: i64| u32::try_from(number).ok().map(Fraction::from_parts);
    let count = |number: i64| u64::try_from(number).ok();
    match numbers(value)?[..] {
        [
            members,
            busy,
            granted,
            closed_for,
            slots,
            ahead,
            largest,
            requests_since,
            requests_steps,
            requests_share,
            tokens_since,
            tokens_steps,
            tokens_share,
            others_requests,
            others_tokens,
            uses_requests,
            uses_tokens,
            is_new,
            other_format,
        ] => Some(HeartbeatReply {
            members: count(members)?,
            busy: count(busy)?,
            granted: fraction(granted)?,
            closed_for: micros(closed_for),
            beliefs: Beliefs {
                requests: belief(requests_since, requests_steps, requests_share)?,
                tokens: belief(tokens_since, tokens_steps, tokens_share)?,
            },
            slots: count(slots)?,
            booked_ahead: micros(ahead),
            largest_call: count(largest)?,
            others: Used {
                requests: count(others_requests)?,
                tokens: count(others_tokens)?,
            },
            is_used: (uses_requests > 0, uses_tokens > 0),
            is_new: is_new > 0,
            formats: u32::try_from(other_format)
                .ok()
                .filter(|other| *other > 0)
                .map(|other| (FORMAT, other)),
        }),
        _ => None,
    }
}

fn belief(since: i64, steps: i64, share: i64) -> Option<Belief> {
    Some(Belief {
        since: Since::Store(u64::try_from(since).ok()?),
        steps: u32::try_from(steps).ok()?,
        share: u64::try_from(share).ok()?,
    })
}

fn numbers(value: &Value) -> Option<Vec<i64>> {
    let Value::Array(values) = value else {
        return None;
    };
    let number = |value: &Value| match value {
        Value::Int(number) => Some(*number),
        _ => None,
    };
    values.iter().map(number).collect()
}

fn micros(number: i64) -> Duration {
    Duration::from_micros(u64::try_from(number).unwrap_or_default())
}

/// The first error among them.
pub(super) fn first_error(values: &[Value]) -> Option<String> {
    values.iter().find_map(|value| match value {
        Value::ServerError(error) => Some(RedisError::from(error.clone()).to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(numbers: &[i64]) -> Value {
        Value::Array(numbers.iter().copied().map(Value::Int).collect())
    }

    #[test]
    fn bookings() {
        let wait = Duration::from_micros(7);
        for (reply, expected) in [
            (&[1, 7][..], Some(BookingReply::In(wait))),
            (&[0, 7], Some(BookingReply::TooLate(wait))),
            (&[0, -1], Some(BookingReply::Never)),
            (&[-1, 0], Some(BookingReply::Never)),
            (&[1], None),
            (&[2, 7], Some(BookingReply::RetryAfter(wait))),
            (&[3, 0], None),
        ] {
            assert_eq!(booking(&value(reply)), expected, "{reply:?}");
        }
        assert_eq!(booking(&Value::Nil), None);
        assert_eq!(booking(&Value::Array(vec![Value::Nil])), None);
    }

    #[test]
    fn heartbeats() {
        let good = [
            3,
            2,
            100,
            5,
            0,
            4,
            7,
            11,
            12,
            1 << 40,
            14,
            15,
            16,
            17,
            18,
            0,
            1,
            1,
            9,
        ];
        let reply = heartbeat(&value(&good)).unwrap();
        assert_eq!((reply.members, reply.busy), (3, 2));
        assert_eq!((reply.granted.parts(), reply.slots), (100, 0));
        let Beliefs { requests, tokens } = reply.beliefs;
        assert_eq!(Some(requests), belief(11, 12, 1 << 40));
        assert_eq!(Some(tokens), belief(14, 15, 16));
        assert_eq!(reply.closed_for, Duration::from_micros(5));
        assert_eq!(reply.booked_ahead, Duration::from_micros(4));
        assert_eq!(reply.largest_call, 7);
        assert_eq!((reply.others.requests, reply.others.tokens), (17, 18));
        assert_eq!((reply.is_used, reply.is_new), ((false, true), true));
        assert_eq!(reply.formats, Some((FORMAT, 9)));
        for at in 0..good.len() - 4 {
            let mut bad = good;
            bad[at] = -1;
            // A pause or a booking of the past is none.
            let is_time = at == 3 || at == 5;
            assert_eq!(heartbeat(&value(&bad)).is_some(), is_time, "{at}");
        }
        assert_eq!(heartbeat(&value(&[3])), None);
    }
}
