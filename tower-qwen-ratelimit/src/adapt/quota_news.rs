use crate::units::Nanos;

/// A belief that has changed by this part is news.
// A sixteenth: finer than any change that matters, coarser than the steps of growth.
const CHANGED: u64 = 16;
/// For so many windows a quota is used up without a throttle before more may be had.
const FULL_WINDOWS: u64 = 10;

/// What is news of an account's quota: said once per change, and once for ever.
#[derive(Debug, Default)]
pub(crate) struct QuotaNews {
    /// What was said last of requests and tokens.
    said: Option<(u64, u64)>,
    /// Since when all of the quota is used and nothing is throttled.
    full_since: Option<Nanos>,
    has_said_more: bool,
}

/// One piece of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The provider is believed to grant so many requests and tokens a window.
    Believed { requests: u64, tokens: u64 },
    /// All of the quota was used for ten windows, and nothing was throttled.
    MoreMayBeHad,
}

impl QuotaNews {
    /// The provider throttled a call.
    pub(crate) fn on_throttle(&mut self) {
        self.full_since = None;
    }

    /// What is news now of these beliefs about a quota that `is_full`. A quota whose figures are a
    /// start looks for more by itself.
    #[inline]
    pub(crate) fn of(
        &mut self,
        believed: (u64, u64),
        is_full: bool,
        is_start: bool,
        now: Nanos,
        window: u64,
    ) -> Option<News> {
        let said = *self.said.get_or_insert(believed);
        if believed != said && (differs(believed.0, said.0) || differs(believed.1, said.1)) {
            self.said = Some(believed);
            let (requests, tokens) = believed;
            return Some(News::Believed { requests, tokens });
        }
        if self.has_said_more || is_start || !is_full {
            self.full_since = None;
            return None;
        }
        let since = *self.full_since.get_or_insert(now);
        if now.saturating_sub(since) < window.saturating_mul(FULL_WINDOWS) {
            return None;
        }
        self.has_said_more = true;
        Some(News::MoreMayBeHad)
    }
}

fn differs(believed: u64, said: u64) -> bool {
    believed.abs_diff(said) > said / CHANGED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_belief_is_said_once_per_change() {
        let mut news = QuotaNews::default();
        let mut of = |believed| news.of(believed, false, false, 0, 1);
        assert_eq!(of((1_600, 160)), None, "what was given is no news");
        assert_eq!(of((1_500, 150)), None);
        let (requests, tokens) = (1_499, 160);
        assert_eq!(of((1_499, 160)), Some(News::Believed { requests, tokens }));
        assert_eq!(of((1_499, 160)), None);
        assert_eq!(
            of((1_600, 160)),
            Some(News::Believed {
                requests: 1_600,
                tokens
            })
        );
    }

    #[test]
    fn that_more_may_be_had_is_said_once_after_ten_full_windows_in_a_row() {
        let mut news = QuotaNews::default();
        let of = |news: &mut QuotaNews, is_full, now| news.of((1, 1), is_full, false, now, 10);
        assert_eq!(of(&mut news, true, 0), None);
        assert_eq!(of(&mut news, true, 99), None);
        assert_eq!(of(&mut news, false, 100), None);
        assert_eq!(of(&mut news, true, 101), None);
        news.on_throttle();
        assert_eq!(of(&mut news, true, 201), None);
        assert_eq!(of(&mut news, true, 301), Some(News::MoreMayBeHad));
        assert_eq!(of(&mut news, true, 401), None);
        let mut start = QuotaNews::default();
        for now in 0..1_000 {
            assert_eq!(start.of((1, 1), true, true, now, 10), None);
        }
    }
}
