//! What is told of attempts and retries.

use std::sync::{Arc, Mutex};

use tower_qwen_retry::{Budget, Event, RetryPolicy};
use tower_qwen_tokens::{Deadline, Paced, clock::now};

use crate::support::{answer, broken, ms, ok, request, run, throttled, with_header};

/// What was heard, in short.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn by(&self, policy: RetryPolicy) -> RetryPolicy {
        let heard = self.clone();
        policy.observe(move |event: &Event<'_>| {
            let line = match *event {
                Event::Attempt {
                    model,
                    number,
                    status,
                    cause,
                    took,
                    ..
                } => {
                    assert!(took.is_some());
                    let status =
                        status.map_or("no answer".to_owned(), |status| status.as_str().to_owned());
                    let cause = cause.map_or("", |cause| cause.as_str());
                    format!("{model} {number}: {status} {cause}")
                }
                Event::Retry {
                    number,
                    cause,
                    paced,
                    wait,
                    ..
                } => {
                    assert!(wait > ms(0));
                    format!(
                        "again after {number}, {cause}{}",
                        if paced { ", paced" } else { "" }
                    )
                }
                Event::GaveUp {
                    number, cause, why, ..
                } => format!("no more after {number}, {cause}: {why}"),
                _ => "something else".to_owned(),
            };
            heard.0.lock().expect("unbroken").push(line);
        })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("unbroken"))
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_and_every_retry_is_told() {
    let heard = Heard::default();
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let mut paced = throttled();
    paced.extensions_mut().insert(Paced::until(now()));
    let script = vec![Ok(broken()), Err(reset.into()), Ok(paced), Ok(ok())];
    run(heard.by(RetryPolicy::default()), request(), script).await;
    assert_eq!(
        heard.take(),
        [
            "qwen-plus 1: 500 server_error",
            "again after 1, server_error",
            "qwen-plus 2: no answer transport",
            "again after 2, transport",
            "qwen-plus 3: 429 request_rate",
            "again after 3, request_rate, paced",
            "qwen-plus 4: 200 ",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn why_a_call_is_given_up_is_told() {
    let heard = Heard::default();
    let policy = || heard.by(RetryPolicy::default());
    run(policy().max_attempts(1), request(), vec![Ok(broken())]).await;
    assert_eq!(
        heard.take().len(),
        1,
        "where nothing was to be repeated, nothing is given up"
    );

    run(
        policy().max_attempts(2),
        request(),
        vec![Ok(broken()), Ok(broken())],
    )
    .await;
    assert_eq!(heard.take()[3], "no more after 2, server_error: attempts");

    let poor = policy().budget(Budget::new(0, 0));
    run(poor, request(), vec![Ok(broken())]).await;
    assert_eq!(heard.take()[1], "no more after 1, server_error: budget");

    let late = with_header(throttled(), "retry-after", "121");
    run(policy(), request(), vec![Ok(late)]).await;
    assert_eq!(
        heard.take()[1],
        "no more after 1, request_rate: retry_after"
    );

    let mut hurried = request();
    hurried.extensions_mut().insert(Deadline::after(ms(10)));
    run(policy(), hurried, vec![Ok(throttled())]).await;
    assert_eq!(heard.take()[1], "no more after 1, request_rate: deadline");

    let mut away = answer(503, "");
    away.extensions_mut()
        .insert(Paced::until(now() + ms(200_000)).for_all(true));
    run(policy(), request(), vec![Ok(away)]).await;
    assert_eq!(heard.take()[1], "no more after 1, unavailable: patience");

    run(policy(), request(), vec![Err("unknown".into())]).await;
    assert_eq!(heard.take(), ["qwen-plus 1: no answer "]);
}
