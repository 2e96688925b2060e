use std::time::Duration;

use redis::Value;

use crate::fleet::{Booked, Heard};

/// What an account's booking came to; `None` where the reply makes no sense.
pub(super) fn booked(value: &Value) -> Option<Booked> {
    match numbers(value)?[..] {
        [1, wait] => Some(Booked::In(micros(wait))),
        [0, wait] if wait >= 0 => Some(Booked::TooLate(micros(wait))),
        [2, wait] => Some(Booked::Later(micros(wait))),
        [0 | -1, _] => Some(Booked::Never),
        _ => None,
    }
}

/// What a heartbeat was answered.
pub(super) fn heard(value: &Value) -> Option<Heard> {
    let share = |number: i64| u32::try_from(number).ok();
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
        ] => Some(Heard {
            members: u64::try_from(members).ok()?,
            busy: u64::try_from(busy).ok()?,
            granted: share(granted)?,
            closed_for: micros(closed_for),
            shares: (share(requests)?, share(tokens)?),
            slots: u64::try_from(slots).ok()?,
            booked_ahead: micros(ahead),
            largest: u64::try_from(largest).ok()?,
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
            (&[1, 7][..], Some(Booked::In(wait))),
            (&[0, 7], Some(Booked::TooLate(wait))),
            (&[0, -1], Some(Booked::Never)),
            (&[-1, 0], Some(Booked::Never)),
            (&[1], None),
            (&[2, 7], Some(Booked::Later(wait))),
            (&[3, 0], None),
        ] {
            assert_eq!(booked(&value(reply)), expected, "{reply:?}");
        }
        assert_eq!(booked(&Value::Nil), None);
        assert_eq!(booked(&Value::Array(vec![Value::Nil])), None);
    }

    #[test]
    fn heartbeats() {
        let heard = heard(&value(&[3, 2, 100, 5, 9, 8, 0, 4, 7])).unwrap();
        assert_eq!((heard.members, heard.busy, heard.granted), (3, 2, 100));
        assert_eq!((heard.shares, heard.slots), ((9, 8), 0));
        assert_eq!(heard.closed_for, Duration::from_micros(5));
        assert_eq!(heard.booked_ahead, Duration::from_micros(4));
        assert_eq!(heard.largest, 7);
        assert_eq!(super::heard(&value(&[-1, 2, 100, 5, 9, 8, 0, 4, 7])), None);
        assert_eq!(super::heard(&value(&[3])), None);
    }
}
