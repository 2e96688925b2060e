use std::time::Duration;

/// Short: most lost connections were only dropped, and the server is there.
const FIRST: Duration = Duration::from_millis(20);
/// Between attempts at a server that takes no connections: its return is noticed within a second, and a
/// dead one costs one attempt a second.
const LONGEST: Duration = Duration::from_secs(1);
/// Between sessions at a server that takes connections and refuses all work (a replica after a
/// failover, no memory, a script that runs on).
// Each session costs the server a connection and all scripts, 76 KB of them: ten idle processes sent
// 158 MB in six seconds when only the connection counted as success.
const LONGEST_OF_SESSIONS: Duration = Duration::from_secs(10);
/// Doubled so often, the longest pause is reached.
const DOUBLINGS: u32 = 9;

/// How long the driver waits before it connects again.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// Attempts to connect that failed since the last connection.
    attempts: u32,
    /// Sessions in a row in which the server did no work.
    sessions: u32,
}

impl Pauses {
    /// A session has ended.
    pub(super) fn on_session_end(&mut self, has_worked: bool) {
        self.sessions = match has_worked {
            true => 0,
            false => self.sessions.saturating_add(1),
        };
    }

    /// The server took a connection.
    pub(super) fn on_connection(&mut self) {
        self.attempts = 0;
    }

    /// The pause before the next attempt: between half of what is due and all of it, at random, since all
    /// processes of a fleet lose a server at one time.
    pub(super) fn next(&mut self) -> Duration {
        let of_attempts = doubled(self.attempts).min(LONGEST);
        let of_sessions = match self.sessions {
            0 => Duration::ZERO,
            sessions => doubled(sessions).min(LONGEST_OF_SESSIONS),
        };
        self.attempts = self.attempts.saturating_add(1);
        let pause = of_attempts.max(of_sessions);
        pause / 2 + pause.mul_f64(fastrand::f64() / 2.0)
    }
}

fn doubled(times: u32) -> Duration {
    FIRST * (1 << times.min(DOUBLINGS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_there_is_tried_at_once() {
        let mut pauses = Pauses::default();
        pauses.on_session_end(true);
        assert!((FIRST / 2..=FIRST).contains(&pauses.next()));
        pauses.on_connection();
        pauses.on_session_end(true);
        assert!(pauses.next() <= FIRST);
    }

    #[test]
    fn a_dead_server_is_tried_each_second() {
        let mut pauses = Pauses::default();
        let total: Duration = (0..20).map(|_| pauses.next()).sum();
        assert!(total > Duration::from_secs(6), "{total:?}");
        let next = pauses.next();
        assert!((LONGEST / 2..=LONGEST).contains(&next), "{next:?}");
    }

    #[test]
    fn a_server_that_refuses_work_is_left_alone_for_longer_and_longer() {
        let mut pauses = Pauses::default();
        let mut sessions = 0;
        let mut now = Duration::ZERO;
        while now < Duration::from_secs(6) {
            pauses.on_session_end(false);
            now += pauses.next();
            pauses.on_connection();
            sessions += 1;
        }
        assert!(sessions <= 10, "{sessions}");
        for _ in 0..20 {
            pauses.on_session_end(false);
            let next = pauses.next();
            pauses.on_connection();
            assert!(next <= LONGEST_OF_SESSIONS);
        }
        pauses.on_session_end(false);
        assert!(pauses.next() >= LONGEST_OF_SESSIONS / 2);
        pauses.on_connection();
        pauses.on_session_end(true);
        assert!(pauses.next() <= FIRST, "it has worked");
    }
}
