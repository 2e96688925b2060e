use std::time::Duration;

use redis::Value;

use crate::{
    fleet::{BookingReply, HeartbeatReply, Shares},
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
    match numbers(value)?[..] {
        [
            members,
            busy,
            granted,
            closed_for,
            requests,
            tokens,
            slots,
            ahead,
            largest,
        ] => Some(HeartbeatReply {
            members: u64::try_from(members).ok()?,
            busy: u64::try_from(busy).ok()?,
            granted: fraction(granted)?,
            closed_for: micros(closed_for),
            shares: Shares {
                requests: fraction(requests)?,
                tokens: fraction(tokens)?,
            },
            slots: u64::try_from(slots).ok()?,
            booked_ahead: micros(ahead),
            largest_call: u64::try_from(largest).ok()?,
        }),
        _ => None,
    }
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
        let reply = heartbeat(&value(&[3, 2, 100, 5, 9, 8, 0, 4, 7])).unwrap();
        assert_eq!((reply.members, reply.busy), (3, 2));
        assert_eq!((reply.granted.parts(), reply.slots), (100, 0));
        let Shares { requests, tokens } = reply.shares;
        assert_eq!((requests.parts(), tokens.parts()), (9, 8));
        assert_eq!(reply.closed_for, Duration::from_micros(5));
        assert_eq!(reply.booked_ahead, Duration::from_micros(4));
        assert_eq!(reply.largest_call, 7);
        assert_eq!(heartbeat(&value(&[-1, 2, 100, 5, 9, 8, 0, 4, 7])), None);
        assert_eq!(heartbeat(&value(&[3])), None);
    }
}
