use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;
use tokio::{
    task::coop::has_budget_remaining,
    time::{Sleep, sleep_until},
};

use super::clock::Instant;

pin_project! {
    /// A timer that is polled often and whose instant moves often, but is seldom reached.
    ///
    /// Polls and moves to a later instant cost next to nothing: tokio's timer stays where it is, and
    /// is set anew once its instant is over.
    #[derive(Debug, Default)]
    pub struct MovingTimer {
        #[pin]
        sleep: Option<Sleep>,
        woken: Registered,
    }
}

/// Which task is woken by what was polled last: to poll that again for the same task changes nothing
/// until it is ready.
#[derive(Debug, Default)]
pub struct Registered(Option<Waker>);

impl MovingTimer {
    /// Ready once this instant is over.
    pub fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let mut this = self.project();
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until(until)));
        }
        let Some(mut sleep) = this.sleep.as_pin_mut() else {
            unreachable!("it has just been set");
        };
        let (set, is_over) = (sleep.deadline(), sleep.is_elapsed());
        if until < set || (is_over && until > set) {
            sleep.as_mut().reset(until);
        } else if !is_over && this.woken.is_of(cx) {
            return Poll::Pending;
        }
        let poll = sleep.poll(cx);
        this.woken.note(cx, &poll);
        poll
    }
}

impl Registered {
    /// Whether this task is woken.
    #[must_use]
    pub fn is_of(&self, cx: &Context<'_>) -> bool {
        let woken = self.0.as_ref();
        woken.is_some_and(|woken| woken.will_wake(cx.waker()))
    }

    /// What was polled for this task has answered so.
    pub fn note<T>(&mut self, cx: &Context<'_>, poll: &Poll<T>) {
        // A task that has used up its budget is woken at once, and nothing else wakes it.
        let is_registered = poll.is_pending() && has_budget_remaining();
        self.0 = is_registered.then(|| cx.waker().clone());
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use futures::future::poll_fn;
    use tokio::task::{consume_budget, yield_now};
    use tokio_test::task::spawn;

    use super::*;
    use crate::shared::clock::now;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_the_instant_it_was_given_last() {
        let begun = now();
        for moves in [&[3][..], &[3, 5], &[5, 3], &[1, 2, 9, 4, 6]] {
            let begin = now();
            let mut timer = pin!(MovingTimer::default());
            let mut until = begin;
            for seconds in moves {
                until = begin + SECOND * *seconds;
                let poll = poll_fn(|cx| Poll::Ready(timer.as_mut().poll(cx, until))).await;
                assert!(poll.is_pending());
            }
            poll_fn(|cx| timer.as_mut().poll(cx, until)).await;
            assert_eq!(now(), until);
        }
        assert!(now() > begun);
    }

    #[tokio::test(start_paused = true)]
    async fn it_wakes_the_task_that_polled_it_last() {
        let until = now() + SECOND;
        let mut timer = Box::pin(MovingTimer::default());
        let mut first = spawn(poll_fn(|cx| timer.as_mut().poll(cx, until)));
        assert!(first.poll().is_pending());
        assert!(first.poll().is_pending());
        drop(first);
        let mut second = spawn(poll_fn(|cx| timer.as_mut().poll(cx, until)));
        assert!(second.poll().is_pending());
        tokio::time::advance(SECOND).await;
        yield_now().await;
        assert!(second.is_woken());
        assert!(second.poll().is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn it_wakes_a_task_that_polled_it_without_budget() {
        let until = now() + SECOND;
        let mut timer = pin!(MovingTimer::default());
        let mut used_up = false;
        poll_fn(|cx| {
            if !used_up {
                used_up = true;
                while pin!(consume_budget()).poll(cx).is_ready() {}
                assert!(!has_budget_remaining());
            }
            timer.as_mut().poll(cx, until)
        })
        .await;
        assert_eq!(now(), until);
    }
}
