//! Budgets at a client: the layer in its stack, and what survives a restart.

#[path = "support/budget_sums.rs"]
mod budget_sums;

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::{advance, sleep, timeout};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AdmissionLayer, BoxError, Budget, BudgetLayer, Budgets, Cost, Limiter, OutputLimit, Pacing,
    Quota, Rejected, Reserve,
    budget::{Amount, BudgetError, BudgetTable, Group, Rates, Unpriced},
    period::Period,
};
use tower_qwen_tokens::{
    AccountId, Ledger, MeterLayer, OnUsage, PriceBook, Report, Usage,
    ledger::{Entry, JsonLines, MemorySink, Tenant},
    price::Price,
};

use budget_sums::sums;

type Body = Full<Bytes>;

const ANSWER: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200}}"#;

/// A token costs a millionth of a dollar, whichever it is.
fn prices() -> PriceBook {
    let million = || "1 USD".parse().expect("money");
    let price = Price::per_million(million(), million()).expect("a price");
    PriceBook::builtin().with("qwen-plus", price)
}

/// For ever: a test that waits must not meet a midnight by chance.
fn once(amount: &str) -> Budget {
    let amount: Amount = amount.parse().expect("an amount");
    Budget::new(amount, Period::total())
}

fn budgets(table: BudgetTable) -> Budgets {
    let budgets = Budgets::builder(prices()).table(table).build();
    budgets.expect("a sound table")
}

fn one_dollar() -> Budgets {
    budgets(BudgetTable::new().default_budget(once("1 USD")))
}

fn call(tenant: &str) -> Request<Body> {
    Request::post("https://host/compatible-mode/v1/chat/completions")
        .extension(Tenant::new(tenant))
        .body(Full::from(
            r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hi!"}],"max_tokens":100}"#,
        ))
        .expect("a request")
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::from(ANSWER)).expect("a response"))
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_settled_by_the_meter() {
    let budgets = one_dollar();
    let client = ServiceBuilder::new()
        .layer(BudgetLayer::new(budgets.clone()))
        .layer(AdmissionLayer::new(Limiter::new(Quota::per_minute(
            800, 800_000,
        ))))
        .layer(MeterLayer::new(Ledger::default()))
        .service(service_fn(answer));
    let response = client.oneshot(call("t")).await.expect("an answer");
    let (spent, reserved) = sums(&budgets, "t");
    assert!(spent == 0 && (103..130).contains(&reserved), "{reserved}");
    response.into_body().collect().await.expect("a body");
    assert_eq!(sums(&budgets, "t"), (1_200, 0));
}

/// Two regions under one cap: each attempt costs what it costs where it goes, whatever the budget's own prices are.
#[tokio::test(start_paused = true)]
async fn an_attempt_has_the_price_of_its_account() {
    let dearer = || "5 USD".parse().expect("money");
    let price = Price::per_million(dearer(), dearer()).expect("a price");
    let abroad = PriceBook::empty().with("qwen-plus", price);
    let table = BudgetTable::new().default_budget(once("1 USD"));
    let builder = Budgets::builder(prices()).table(table);
    let builder = builder.account_prices(AccountId::new("abroad"), abroad);
    let budgets = builder.build().expect("a sound table");
    // These prices replace those of all others.
    budgets.set_prices(prices(), Rates::new());
    let client = ServiceBuilder::new()
        .layer(BudgetLayer::new(budgets.clone()))
        .layer(MeterLayer::new(Ledger::default()))
        .service(service_fn(answer));
    let mut expected = 0;
    for (account, cost) in [("home", 1_200), ("abroad", 6_000)] {
        let mut call = call("t");
        call.extensions_mut().insert(AccountId::new(account));
        let response = client.clone().oneshot(call).await.expect("an answer");
        let (_, reserved) = sums(&budgets, "t");
        let of_cost = reserved * 1_200 / cost;
        assert!((103..130).contains(&of_cost), "{account}: {reserved}");
        response.into_body().collect().await.expect("a body");
        expected += cost;
        assert_eq!(sums(&budgets, "t"), (expected, 0), "{account}");
    }
}

/// One caller's long answers say nothing of another's, once there are some of its own.
#[tokio::test(start_paused = true)]
async fn answers_are_expected_as_the_same_callers_were() {
    let table = BudgetTable::new().default_budget(once("9 USD"));
    let budgets = Budgets::builder(PriceBook::builtin()).table(table).build();
    let budgets = budgets.expect("a sound table");
    let call = || Cost::new(10, OutputLimit::Unlimited);
    let expected = |tenant| {
        budgets
            .reserve(tenant, "qwen-plus", call())
            .expect("room")
            .tokens()
    };
    let answer = |tenant, output| {
        let reservation = budgets.reserve(tenant, "qwen-plus", call()).expect("room");
        reservation.mark_sent();
        reservation.on_usage(&Report::reported(Usage::new(10, output)));
    };
    for _ in 0..8 {
        answer("short", 20);
    }
    assert_eq!(expected("short"), 30);
    for _ in 0..30 {
        answer("long", 30_000);
    }
    assert_eq!(expected("long"), 30_010);
    assert_eq!(expected("short"), 30, "by its own answers");
    assert_eq!(expected("new"), 30_010, "nothing else is known");
    for _ in 0..8 {
        answer("new", 40);
    }
    assert_eq!(expected("new"), 50);
    // Nor does another caller's reasoning, which may cost more.
    let thought = budgets.reserve("long", "qwen-plus", call()).expect("room");
    let mut usage = Usage::new(10, 30_000);
    usage.reasoning_tokens = Some(29_000);
    thought.mark_sent();
    thought.on_usage(&Report::reported(usage));
    let cost = |tenant| {
        let reservation = budgets.reserve(tenant, "qwen-plus", call()).expect("room");
        reservation.cost().map(|cost| cost.to_string())
    };
    assert_eq!(cost("new").as_deref(), Some("0.000052 USD"));
    assert_eq!(cost("long").as_deref(), Some("0.120004 USD"));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_of_admission_pays_nothing() {
    let budgets = one_dollar();
    let quota = Quota::per_minute(1, 800_000).pacing(Pacing::Window);
    let client = ServiceBuilder::new()
        .layer(BudgetLayer::new(budgets.clone()))
        .layer(AdmissionLayer::new(Limiter::new(quota)).max_wait(Duration::from_secs(90)))
        .layer(MeterLayer::new(Ledger::default()))
        .service(service_fn(async |request| {
            sleep(Duration::from_secs(300)).await;
            answer(request).await
        }));
    let hour = Duration::from_secs(5);
    // Sent, and left: the provider works on it.
    assert!(
        timeout(hour, client.clone().oneshot(call("sent")))
            .await
            .is_err()
    );
    let (spent, reserved) = sums(&budgets, "sent");
    assert!((103..130).contains(&spent) && reserved == 0, "{spent}");
    // In the queue, and left.
    assert!(
        timeout(hour, client.clone().oneshot(call("left")))
            .await
            .is_err()
    );
    assert_eq!(sums(&budgets, "left"), (0, 0));
    // In the queue until it gets in: then it costs, also if it is left.
    let minute = Duration::from_secs(80);
    assert!(
        timeout(minute, client.clone().oneshot(call("waited")))
            .await
            .is_err()
    );
    let (spent, reserved) = sums(&budgets, "waited");
    assert!((103..130).contains(&spent) && reserved == 0, "{spent}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sent_costs_nothing() {
    let budgets = one_dollar();
    let layer = BudgetLayer::new(budgets.clone());
    let never = service_fn(async |_: Request<Body>| {
        Err::<Response<Body>, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    assert!(layer.layer(never).oneshot(call("t")).await.is_err());
    assert_eq!(sums(&budgets, "t"), (0, 0));
    let broken = service_fn(async |_: Request<Body>| {
        Err::<Response<Body>, _>(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    assert!(layer.layer(broken).oneshot(call("broken")).await.is_err());
    assert!((103..130).contains(&sums(&budgets, "broken").0));
    // Rejected by Admission inside.
    let quota = Quota::per_minute(1, 800_000).pacing(Pacing::Window);
    let limiter = Limiter::new(quota);
    let inner = AdmissionLayer::new(limiter).max_wait(Duration::ZERO);
    let client = ServiceBuilder::new()
        .layer(&layer)
        .layer(inner)
        .service(service_fn(answer));
    client
        .clone()
        .oneshot(call("first"))
        .await
        .expect("an answer");
    let error = client.oneshot(call("second")).await.map(drop).unwrap_err();
    assert!(error.is::<Rejected>());
    assert_eq!(sums(&budgets, "second"), (0, 0));
    for (status, least, most) in [(400, 0, 0), (429, 0, 0), (503, 3, 30)] {
        let tenant = status.to_string();
        let failing = service_fn(move |_: Request<Body>| async move {
            Response::builder().status(status).body(Body::default())
        });
        layer
            .layer(failing)
            .oneshot(call(&tenant))
            .await
            .expect("an answer");
        let (spent, reserved) = sums(&budgets, &tenant);
        assert!(
            (least..=most).contains(&spent) && reserved == 0,
            "{status}: {spent}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_typed_and_nothing_is_sent() {
    let table = BudgetTable::new()
        .group("team", Group::new(once("0.0001 USD")).tenants(["t"]))
        .tenant("yuan", once("5 CNY"));
    let client = BudgetLayer::new(budgets(table)).layer(service_fn(
        async |_: Request<Body>| -> Result<Response<Body>, BoxError> { panic!("not to be sent") },
    ));
    let error = client
        .clone()
        .oneshot(call("t"))
        .await
        .map(drop)
        .unwrap_err();
    let Ok(BudgetError::Exceeded(exceeded)) = error.downcast::<BudgetError>().map(|error| *error)
    else {
        panic!("another error");
    };
    assert_eq!(exceeded.owner.to_string(), "group team");
    assert_eq!(exceeded.limit.to_string(), "0.0001 USD");
    assert_eq!(exceeded.resets_at, None, "it needs more than the limit");
    let error = client.oneshot(call("yuan")).await.map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the budget of tenant yuan is in CNY, the price of qwen-plus in USD, and there is no rate"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_expected_of_an_answer_is_learned() {
    let budgets = one_dollar();
    let cost = Cost::new(100, OutputLimit::Unlimited);
    let reserve = |budgets: &Budgets| budgets.reserve("t", "qwen-plus", cost).expect("room");
    for _ in 0..8 {
        let reservation = reserve(&budgets);
        assert_eq!(reservation.tokens(), 4_196);
        reservation.mark_sent();
        reservation.on_usage(&Report::reported(Usage::new(100, 50)));
    }
    assert_eq!(reserve(&budgets).tokens(), 150);
    assert_eq!(sums(&budgets, "t"), (1_200, 0));
    let whole = Budgets::builder(prices()).reserve(Reserve::Ceiling);
    let whole = whole.table(budgets.table()).build().expect("a sound table");
    let cost = Cost::new(100, OutputLimit::AtMost(9_000));
    let reservation = whole.reserve("t", "qwen-plus", cost).expect("room");
    reservation.on_usage(&Report::reported(Usage::new(100, 50)));
    let cost = reservation.amount_like("0 USD".parse().expect("an amount"));
    assert_eq!(
        cost.map(|cost| cost.to_string()).as_deref(),
        Some("0.0091 USD")
    );
}

#[tokio::test(start_paused = true)]
async fn the_dearer_price_is_reserved_until_it_is_known_whether_answers_reason() {
    // qwen-plus: a million tokens of an answer are 1.2 USD, or 4 where it reasons.
    let table = BudgetTable::new().default_budget(once("1 USD"));
    let budgets = Budgets::builder(PriceBook::builtin()).table(table).build();
    let budgets = budgets.expect("a sound table");
    let cost = Cost::new(0, OutputLimit::AtMost(1_000));
    let reserved = || {
        let reservation = budgets.reserve("t", "qwen-plus", cost).expect("room");
        reservation.cost().map(|cost| cost.to_string())
    };
    assert_eq!(reserved().as_deref(), Some("0.004 USD"));
    let reservation = budgets.reserve("t", "qwen-plus", cost).expect("room");
    reservation.on_usage(&Report::reported(Usage::new(0, 1_000)));
    assert_eq!(reserved().as_deref(), Some("0.0012 USD"));
}

#[tokio::test(start_paused = true)]
async fn a_budget_survives_a_restart_by_the_ledger() {
    let path =
        std::env::temp_dir().join(format!("tower-qwen-budgets-{}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let sink = JsonLines::open(&path).expect("a file");
    let ledger = Ledger::new(prices()).with_sink(std::sync::Arc::new(sink));
    let entry = |tenant: &str| {
        let entry = Entry::new(
            "qwen-plus",
            Usage::new(1_000, 200),
            tower_qwen_tokens::Basis::Reported,
            tower_qwen_tokens::End::Complete,
        );
        entry.tenant(tenant)
    };
    ledger.record(&entry("a"));
    ledger.record(&entry("a"));
    ledger.record(&entry("b"));
    // Sent two days ago: not of the latest 36 hours.
    let mut old = entry("b");
    old.duration = Some(Duration::from_secs(2 * 86_400));
    ledger.record(&old);
    let mut text = std::fs::read(&path).expect("a file");
    std::fs::remove_file(&path).expect("a file");
    // A line with a member of a later release, and a torn one.
    text.extend_from_slice(
        b"{\"model\":\"m\",\"tenant\":\"a\",\"total_tokens\":5,\"new\":{}}\n{\"at\":\"20",
    );

    let recent = Period::rolling(Duration::from_secs(36 * 3_600));
    let table = BudgetTable::new()
        .default_budget(Budget::new(
            "1 USD".parse::<Amount>().expect("an amount"),
            recent,
        ))
        .group(
            "all",
            Group::new(Budget::new(Amount::Tokens(1_000_000), recent)).everyone(),
        );
    let budgets = Budgets::builder(prices())
        .table(table)
        .unpriced(Unpriced::Admit)
        .build();
    let budgets = budgets.expect("a sound table");
    let restored = budgets.restore_ledger(&text[..]).expect("it is in memory");
    assert_eq!((restored.lines, restored.invalid), (5, 1));
    assert_eq!(sums(&budgets, "a"), (2_400, 0));
    assert_eq!(sums(&budgets, "b"), (1_200, 0));
    assert_eq!(sums(&budgets, "all"), (3_605, 0));
}

/// Whatever an answer says of its usage, a budget charges what the ledger books, and so the same after a restart.
#[tokio::test(start_paused = true)]
async fn a_budget_and_the_ledger_have_one_sum() {
    const EVENTS: &str = "text/event-stream";
    const JSON: &str = "application/json";
    const EMBEDDING: &str =
        r#"{"data":[],"usage":{"prompt_tokens":99999999,"total_tokens":99999999}}"#;
    let chat = || call("t");
    let embedding = || {
        Request::post("https://host/compatible-mode/v1/embeddings")
            .extension(Tenant::new("t"))
            .body(Full::from(r#"{"model":"qwen-plus","input":"Hello!"}"#))
            .expect("a request")
    };
    for (name, request, headers, body) in [
        ("stated", chat(), vec![("content-type", JSON)], ANSWER),
        (
            "compressed",
            chat(),
            vec![("content-type", JSON), ("content-encoding", "gzip")],
            "not to be read",
        ),
        (
            "an empty usage",
            chat(),
            vec![("content-type", JSON)],
            r#"{"choices":[],"usage":{}}"#,
        ),
        (
            "text and an empty usage",
            chat(),
            vec![("content-type", JSON)],
            r#"{"choices":[{"message":{"content":"Hello!"}}],"usage":{}}"#,
        ),
        (
            "no JSON",
            chat(),
            vec![("content-type", JSON)],
            "{\"choices\":[",
        ),
        ("no body", chat(), vec![("content-type", JSON)], ""),
        (
            "a page",
            chat(),
            vec![("content-type", "text/html")],
            "<p>Hello!",
        ),
        (
            "a stream that is cut",
            chat(),
            vec![("content-type", EVENTS)],
            ": wait\n\n",
        ),
        (
            "an empty stream",
            chat(),
            vec![("content-type", EVENTS)],
            "data: [DONE]\n\n",
        ),
        (
            "an embedding without usage",
            embedding(),
            vec![("content-type", JSON)],
            r#"{"data":[]}"#,
        ),
        (
            "an embedding that cannot be",
            embedding(),
            vec![("content-type", JSON)],
            EMBEDDING,
        ),
    ] {
        let sink = std::sync::Arc::new(MemorySink::new(9));
        let ledger = Ledger::new(prices()).with_sink(sink.clone());
        let budgets = one_dollar();
        let answer = service_fn(move |_: Request<Body>| {
            let mut answer = Response::new(Body::from(body));
            for (name, value) in &headers {
                let value = value.parse().expect("a value");
                answer.headers_mut().insert(*name, value);
            }
            async { Ok::<_, Infallible>(answer) }
        });
        let client = ServiceBuilder::new()
            .layer(BudgetLayer::new(budgets.clone()))
            .layer(MeterLayer::new(ledger.clone()))
            .service(answer);
        let answer = client.oneshot(request).await.expect("an answer");
        answer.into_body().collect().await.expect("a body");
        let total = ledger.snapshot().total;
        assert_eq!((total.calls, total.unknown), (1, 0), "{name}");
        // A token costs a millionth of a dollar, so do the sums.
        let booked = i128::from(total.input_tokens + total.output_tokens);
        assert!(booked > 0, "{name}");
        assert_eq!(sums(&budgets, "t"), (booked, 0), "{name}");
        let restored = one_dollar();
        for record in sink.records() {
            restored.restore_record(&record);
        }
        assert_eq!(sums(&restored, "t"), (booked, 0), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_survives_a_restart_by_its_snapshot() {
    let table = BudgetTable::new()
        .tenant("t", once("1 USD").and(Amount::Tokens(5_000), Period::HOUR))
        .group("g", Group::new(once("2 USD")).tenants(["t"]));
    let before = budgets(table.clone());
    let cost = Cost::new(1_000, OutputLimit::NoOutput);
    let settled = before.reserve("t", "qwen-plus", cost).expect("room");
    settled.settle(&Usage::new(1_000, 0));
    advance(Duration::from_secs(600)).await;
    let running = before.reserve("t", "qwen-plus", cost).expect("room");
    let json = serde_json::to_string(&before.snapshot()).expect("it is data");
    drop(running);

    let after = budgets(table);
    // Its clock was set by the machine's, and is as late as the other one's now.
    advance(Duration::from_secs(600)).await;
    let snapshot = serde_json::from_str(&json).expect("as it was written");
    assert_eq!(after.restore(&snapshot), 0);
    let limits = after.snapshot().limits;
    let rolling = limits
        .iter()
        .find(|limit| limit.period == "3600s")
        .expect("a limit");
    assert_eq!(rolling.spent, Amount::Tokens(2_000));
    assert_eq!(rolling.parts.len(), 2);
    assert_eq!(limits.len(), 3);
    assert_eq!(sums(&after, "g"), (2_000, 0));
    let elsewhere = budgets(BudgetTable::new().tenant("t", once("5 EUR")));
    assert!(elsewhere.restore(&snapshot) > 0);
}

/// Nothing is known of its answer: what others' answers are like is no reason to let it never go.
#[tokio::test(start_paused = true)]
async fn a_guess_is_no_larger_than_the_whole_limit() {
    for limit in [
        "1 tokens",
        "900 tokens",
        "1 output tokens",
        "3000 output tokens",
        "0.000102 USD",
        "0.002 USD",
    ] {
        let budgets = budgets(BudgetTable::new().default_budget(once(limit)));
        let reserve = |cost| budgets.reserve("t", "qwen-plus", cost);
        let fits = |limit: &str| !matches!(limit, "1 tokens");
        let guessed = reserve(Cost::new(100, OutputLimit::Unlimited));
        assert_eq!(guessed.is_ok(), fits(limit), "{limit}");
        // One at a time: it holds all there is.
        let second = reserve(Cost::new(100, OutputLimit::Unlimited)).map(drop);
        let Err(BudgetError::Exceeded(exceeded)) = second else {
            panic!("it fits: {limit}");
        };
        assert_eq!(exceeded.is_too_large(), !fits(limit), "{limit}");
        drop(guessed);
        // What it states itself may be too much.
        let stated = reserve(Cost::new(100, OutputLimit::AtMost(4_000))).map(drop);
        let Err(BudgetError::Exceeded(exceeded)) = stated else {
            panic!("it fits: {limit}");
        };
        assert!(exceeded.is_too_large(), "{limit}");
    }
}
