//! The most that a tenant got in any window.

use super::provider::Admitted;

/// The largest sum over any stretch of a window. A call was admitted after it was sent and before it reached the provider:
/// it counts where both lie in the stretch, so that no call counts in a window in which it was not admitted.
///
/// The calls are in the order in which they were sent; the window is in microseconds.
pub(crate) fn highest(calls: &[Admitted], window: u64, of: impl Fn(&Admitted) -> u64) -> u64 {
    let sums = calls.iter().enumerate().map(|(at, first)| {
        let end = first.sent + window;
        let sent = calls[at..].iter().take_while(|call| call.sent < end);
        sent.filter(|call| call.reached < end).map(&of).sum()
    });
    sums.max().unwrap_or(0)
}

/// What a call may cost by the formula: at most what was reserved for it, as what it cost beyond that was not known.
pub(crate) fn counted(call: &Admitted) -> u64 {
    call.tokens.min(call.reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(sent: u64, reached: u64, tokens: u64) -> Admitted {
        Admitted {
            tenant: 0,
            sent,
            reached,
            reserved: 50,
            tokens,
        }
    }

    #[test]
    fn a_call_counts_where_it_was_admitted_for_certain() {
        let calls = [
            call(0, 2, 10),
            call(1, 3, 20),
            call(9, 11, 70),
            call(11, 12, 5),
        ];
        assert_eq!(
            highest(&calls, 10, |_| 1),
            2,
            "the third may be of a later window"
        );
        assert_eq!(highest(&calls, 10, |call| call.tokens), 75);
        assert_eq!(highest(&calls, 10, counted), 55);
        assert_eq!(highest(&calls, 12, |_| 1), 3);
        assert_eq!(highest(&calls, 100, |_| 1), 4);
        assert_eq!(highest(&[], 10, |_| 1), 0);
    }
}
