//! Calls that wait at the server for their caller's quota instead of being rejected.

use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use tokio::{
    task::JoinSet,
    time::{Instant, advance, sleep},
};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, limit::ConcurrencyLimitLayer, service_fn};
use tower_qwen_ratelimit::{
    Budget, Budgets, EnforceLayer, KeyOf, Limiter, Priority, Quota,
    budget::{Amount, BudgetTable},
    enforce::CallerQueue,
    period::{Period, TimeZone},
};
use tower_qwen_tokens::{CallReport, Deadline, PriceBook, ledger::Tenant};

use crate::support::{
    Answer, Body, account, answering, chat, embedding, header, layer, limiter, rejection, send,
    server,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A call every half a minute, after two at once.
fn slow() -> Limiter {
    limiter(2, 1_000_000)
}

fn queued(limiter: &Limiter, max_wait: u64) -> EnforceLayer {
    layer(limiter).queue(CallerQueue::new(secs(max_wait)))
}

fn of(key: &str, mut request: Request<Body>) -> Request<Body> {
    let value = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

fn with<T: Clone + Send + Sync + 'static>(value: T, mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(value);
    request
}

/// A call to come, with the status and the time that it takes.
fn timed<S>(
    server: &S,
    request: Request<Body>,
) -> impl Future<Output = (StatusCode, Duration)> + use<S>
where
    S: Service<Request<Body>, Response = Answer, Error = Infallible> + Clone,
{
    let server = server.clone();
    async move {
        let start = Instant::now();
        let answer = send(&server, request).await;
        (answer.status(), start.elapsed())
    }
}

async fn use_up<S>(server: &S, calls: usize)
where
    S: Service<Request<Body>, Response = Answer, Error = Infallible> + Clone,
{
    for _ in 0..calls {
        assert_eq!(send(server, chat()).await.status(), StatusCode::OK);
    }
}

/// What timers add: tokio's are of a millisecond.
fn is_about(elapsed: Duration, expected: u64) -> bool {
    elapsed.abs_diff(secs(expected)) <= Duration::from_millis(5)
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_request_and_is_rejected_where_it_would_be_late() {
    let limiter = slow();
    let layer = queued(&limiter, 40);
    let server = server(&layer);
    use_up(&server, 2).await;
    let mut third = task::spawn(timed(&server, chat()));
    assert_pending!(third.poll());
    assert_eq!(account(&limiter).queued, 1);
    // It would be its turn in 60 s, which is known at once.
    let late = send(&server, chat()).await;
    assert_eq!(late.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&late, "retry-after"), "60");
    assert_eq!(rejection(&late).kind().as_str(), "requests");
    let (status, elapsed) = third.await;
    assert!(
        status == StatusCode::OK && is_about(elapsed, 30),
        "{elapsed:?}"
    );
    let counts = layer.counts();
    assert_eq!((counts.admitted, counts.requests, counts.queued), (3, 1, 1));
    assert_eq!(account(&limiter).queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_tokens_and_goes_when_they_come_back() {
    let limiter = limiter(1_000, 1_000);
    let server = queued(&limiter, 120).layer(service_fn(|_: Request<Body>| async {
        sleep(secs(10)).await;
        let mut response = Response::new(Body::default());
        // Gives the tokens back.
        *response.status_mut() = StatusCode::BAD_REQUEST;
        Ok::<_, Infallible>(response)
    }));
    let two = [(); 2].map(|()| timed(&server, embedding(600)));
    let [first, second] = two;
    let (first, second) = tokio::join!(first, second);
    assert_eq!([first.0, second.0], [StatusCode::BAD_REQUEST; 2]);
    assert!(
        is_about(first.1, 10) && is_about(second.1, 20),
        "{second:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_fits_does_not_wait() {
    let server = server(&queued(&limiter(1_000, 100), 1_000));
    let (status, elapsed) = timed(&server, embedding(600)).await;
    assert_eq!((status, elapsed), (StatusCode::PAYLOAD_TOO_LARGE, secs(0)));
}

#[tokio::test(start_paused = true)]
async fn higher_classes_go_first() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let handler = service_fn({
        let order = order.clone();
        move |request: Request<Body>| {
            let class = request.extensions().get::<Priority>().copied();
            order.lock().unwrap().push(class.unwrap_or_default());
            async { Ok::<_, Infallible>(Response::new(Body::default())) }
        }
    });
    // A call a second.
    let server = queued(&limiter(60, 1_000_000), 20).layer(handler);
    use_up(&server, 60).await;
    order.lock().unwrap().clear();
    let classes = [Priority::Low, Priority::Normal, Priority::High];
    let mut calls = JoinSet::new();
    for class in [classes, classes].concat() {
        calls.spawn(timed(&server, with(class, chat())));
        tokio::task::yield_now().await;
    }
    assert!(
        calls
            .join_all()
            .await
            .iter()
            .all(|end| end.0 == StatusCode::OK)
    );
    let mut expected = [classes, classes].concat();
    expected.sort_by(|a, b| b.cmp(a));
    assert_eq!(*order.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait_of_a_caller_and_of_all() {
    let limiter = slow();
    let queue = CallerQueue::new(secs(1_000))
        .max_queued(2)
        .max_queued_in_all(3);
    let server = server(&layer(&limiter).queue(queue));
    for key in ["a", "b"] {
        for _ in 0..2 {
            let answer = send(&server, of(key, chat())).await;
            assert_eq!(answer.status(), StatusCode::OK);
        }
    }
    let mut waiting: Vec<_> = ["a", "a", "b"]
        .map(|key| task::spawn(timed(&server, of(key, chat()))))
        .into();
    for call in &mut waiting {
        assert_pending!(call.poll());
    }
    for (key, retry_after) in [("a", "90"), ("b", "60")] {
        let rejected = send(&server, of(key, chat())).await;
        assert_eq!(rejected.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(header(&rejected, "retry-after"), retry_after);
    }
    // Who leaves makes room.
    waiting.pop();
    let mut other = task::spawn(timed(&server, of("b", chat())));
    assert_pending!(other.poll());
    let (status, elapsed) = other.await;
    assert!(
        status == StatusCode::OK && is_about(elapsed, 30),
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_leaves_nothing_behind() {
    let limiter = limiter(2, 1_000);
    let queue = CallerQueue::new(secs(200)).max_queued_in_all(3);
    let server = server(&layer(&limiter).queue(queue));
    use_up(&server, 2).await;
    let used = account(&limiter).tokens.used;
    for step in 0..30 {
        let mut calls = [(); 3].map(|()| task::spawn(timed(&server, chat())));
        for call in &mut calls {
            assert_pending!(call.poll());
        }
        advance(Duration::from_millis(step * 20)).await;
        for call in calls.iter_mut().filter(|call| call.is_woken()) {
            assert_pending!(call.poll());
        }
        let [first, second, third] = calls;
        // From any place in the queue.
        drop(second);
        drop((first, third));
        let account = account(&limiter);
        assert_eq!((account.queued, account.in_flight), (0, 0));
        assert_eq!(account.tokens.used, used);
    }
    // 8.7 s have passed, and nobody has taken the request of which they were the price.
    let (status, elapsed) = timed(&server, chat()).await;
    let since = Duration::from_millis((0..30).map(|step| step * 20).sum());
    assert_eq!(status, StatusCode::OK);
    assert!(
        (elapsed + since).abs_diff(secs(30)) <= Duration::from_millis(50),
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_next_takes_the_place_of_one_that_leaves() {
    let limiter = slow();
    let server = server(&queued(&limiter, 100));
    use_up(&server, 2).await;
    let mut first = task::spawn(timed(&server, chat()));
    assert_pending!(first.poll());
    let mut second = task::spawn(timed(&server, chat()));
    assert_pending!(second.poll());
    advance(secs(10)).await;
    drop(first);
    assert!(second.is_woken());
    let (status, elapsed) = second.await;
    assert!(
        status == StatusCode::OK && is_about(elapsed, 30),
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_in_the_report_of_the_call() {
    let limiter = slow();
    let server = queued(&limiter, 30).layer(service_fn(|_: Request<Body>| async {
        sleep(secs(10)).await;
        Ok::<_, Infallible>(Response::new(Body::default()))
    }));
    let [first, waiting, leaving, late] = [(); 4].map(|()| CallReport::new());
    let call = |report: &CallReport| timed(&server, with(report.clone(), chat()));
    // Of the two that go at once none has waited.
    tokio::join!(call(&first), call(&first));
    assert_eq!(first.queued(), secs(0));
    let mut one = task::spawn(call(&leaving));
    assert_pending!(one.poll());
    advance(secs(5)).await;
    assert_eq!(leaving.queued(), secs(5), "it waits still");
    drop(one);
    advance(secs(5)).await;
    assert_eq!(leaving.queued(), secs(5));
    let mut one = task::spawn(call(&waiting));
    assert_pending!(one.poll());
    assert_eq!(call(&late).await.0, StatusCode::TOO_MANY_REQUESTS);
    let (_, elapsed) = one.await;
    // The handler's ten seconds are no wait.
    assert!(is_about(waiting.queued(), 10) && is_about(elapsed, 20));
    assert_eq!(late.queued(), secs(0));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_too() {
    let server = server(&queued(&slow(), 100));
    use_up(&server, 2).await;
    let hasty = with(Deadline::after(secs(20)), chat());
    let (status, elapsed) = timed(&server, hasty).await;
    assert_eq!((status, elapsed), (StatusCode::TOO_MANY_REQUESTS, secs(0)));
    let patient = with(Deadline::after(secs(40)), chat());
    assert_eq!(timed(&server, patient).await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn another_quota_is_heeded_by_whoever_waits() {
    let limiter = slow();
    let server = server(&queued(&limiter, 100));
    use_up(&server, 2).await;
    let mut waiting = task::spawn(timed(&server, chat()));
    assert_pending!(waiting.poll());
    limiter
        .set_quota(Quota::per_minute(1_000, 1_000_000))
        .unwrap();
    assert!(waiting.is_woken());
    assert_eq!(assert_ready!(waiting.poll()).0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_nobody_waits() {
    let layer = queued(&slow(), 100).shadow();
    let server = server(&layer);
    use_up(&server, 5).await;
    let counts = layer.counts();
    assert_eq!((counts.requests, counts.queued), (3, 0));
}

/// A waiting call does not keep what it has made ready: others need it.
#[tokio::test(start_paused = true)]
async fn a_waiting_call_holds_no_permit_of_the_service() {
    let limiter = slow();
    let handler = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let limited = ConcurrencyLimitLayer::new(1).layer(handler);
    let server = queued(&limiter, 100).layer(limited);
    use_up(&server, 2).await;
    let mut waiting = task::spawn(timed(&server, chat()));
    assert_pending!(waiting.poll());
    let (status, elapsed) = timed(&server, of("other", chat())).await;
    assert_eq!((status, elapsed), (StatusCode::OK, secs(0)));
    assert_eq!(waiting.await.0, StatusCode::OK);
}

fn budgets(tokens: &str) -> Budgets {
    let day = Budget::new(
        tokens.parse::<Amount>().unwrap(),
        Period::day(TimeZone::UTC),
    );
    let table = BudgetTable::new().tenant("a", day);
    Budgets::builder(PriceBook::builtin())
        .table(table)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_held_by_calls_that_go_and_not_by_those_that_wait() {
    let limiter = slow();
    let budgets = budgets("400 tokens");
    let layer = EnforceLayer::new(limiter.clone(), KeyOf::api_key())
        .budgets(budgets.clone())
        .queue(CallerQueue::new(secs(100)));
    let server = answering(&layer, StatusCode::OK, "ok");
    let request = || with(Tenant::new("a"), chat());
    let held = || {
        let limit = &budgets.snapshot().limits[0];
        [&limit.reserved, &limit.spent]
            .map(|amount| match amount {
                Amount::Tokens(tokens) => *tokens,
                other => panic!("{other:?}"),
            })
            .iter()
            .sum::<u64>()
    };
    assert_eq!(send(&server, request()).await.status(), StatusCode::OK);
    let one = held();
    assert!((100..200).contains(&one), "{one}");
    // Another caller's two calls use up the requests, not the budget.
    assert_eq!(send(&server, chat()).await.status(), StatusCode::OK);
    let mut waiting: Vec<_> = (0..3)
        .map(|_| task::spawn(timed(&server, request())))
        .collect();
    for call in &mut waiting {
        assert_pending!(call.poll());
    }
    assert_eq!(held(), one, "who waits holds nothing");
    let mut ends = Vec::new();
    for call in waiting {
        ends.push(call.await);
    }
    let statuses: Vec<_> = ends.iter().map(|end| end.0).collect();
    // Three calls fit into the budget, and the last one learns that when it would go.
    let over = StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(statuses, [StatusCode::OK, StatusCode::OK, over]);
    assert_eq!(held(), 3 * one);
    assert_eq!(account(&limiter).queued, 0);
    // From now on nobody waits for a budget that is spent.
    let (status, elapsed) = timed(&server, request()).await;
    assert_eq!((status, elapsed), (over, secs(0)));
    assert_eq!(layer.counts().budget, 2);
}

/// However many come, each goes within its longest wait or is rejected when it comes; and in their order.
#[tokio::test(start_paused = true)]
async fn nobody_waits_in_vain() {
    let limiter = limiter(60, 1_000_000);
    let server = server(&queued(&limiter, 10));
    use_up(&server, 60).await;
    let mut calls = Vec::new();
    for at in 0..90u64 {
        calls.push(tokio::spawn(timed(&server, chat())));
        tokio::task::yield_now().await;
        advance(Duration::from_millis(50 * (at % 7))).await;
    }
    let (mut served, mut rejected) = (0, 0);
    for call in calls {
        let (status, elapsed) = call.await.unwrap();
        match status {
            StatusCode::OK => {
                served += 1;
                assert!(elapsed <= secs(10), "{elapsed:?}");
            }
            _ => {
                rejected += 1;
                assert_eq!(elapsed, secs(0));
            }
        }
    }
    assert!(served >= 20 && rejected >= 50, "{served} {rejected}");
}
