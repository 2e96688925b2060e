//! The windows of plans.

use mock_qwen::{Config, Host, MockQwen, Plan, PlanWindow, RetryAfter};
use serde_json::Value;

use crate::support::{COMPATIBLE, ask, chat, of, pass, post, seconds, told};

const WINDOWS: [PlanWindow; 4] = [
    PlanWindow::FiveHours,
    PlanWindow::Day,
    PlanWindow::Week,
    PlanWindow::Month,
];

fn plan(host: Host, window: PlanWindow, states_reset: bool) -> Config {
    let plan = Plan {
        window,
        tokens: Some(10),
        states_reset,
        ..Plan::default()
    };
    Config {
        plan: Some(plan),
        ..of(host)
    }
}

/// Status and message once the window is used up.
async fn used_up(host: Host, window: PlanWindow, states_reset: bool) -> (u16, String) {
    let mock = MockQwen::new(plan(host, window, states_reset));
    assert_eq!(ask(&mock, "hello").await, 200);
    let (status, headers, body) = told(&mock, COMPATIBLE, &chat("hello")).await;
    assert!(
        !headers.contains_key("retry-after") || host == Host::Groq,
        "{host:?}"
    );
    assert_eq!(mock.stats().throttled.plan, 1);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let message = body["error"]["message"]
        .as_str()
        .or(body["errors"]["message"].as_str());
    (status, message.expect("a message").to_owned())
}

/// A text with every digit as 0.
fn digits(text: &str) -> String {
    let zero = |letter: char| if letter.is_ascii_digit() { '0' } else { letter };
    text.chars().map(zero).collect()
}

#[tokio::test(start_paused = true)]
async fn five_hours_end_five_hours_after_their_first_call() {
    let mock = MockQwen::new(plan(Host::TokenPlan, PlanWindow::FiveHours, true));
    pass(seconds(1_000)).await;
    assert_eq!(ask(&mock, "hello").await, 200);
    for wait in [0, 60, 4 * 3_600] {
        pass(seconds(wait)).await;
        assert_eq!(ask(&mock, "hello").await, 429);
    }
    pass(seconds(3_600 - 60)).await;
    assert_eq!(ask(&mock, "hello").await, 200);
    let stats = mock.stats();
    assert_eq!(
        (
            stats.throttled.plan,
            stats.throttled.total(),
            stats.accepted
        ),
        (3, 3, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_too_and_the_header_tells_the_end() {
    let mut config = plan(Host::CodingPlan, PlanWindow::FiveHours, true);
    config.plan = Some(Plan {
        requests: Some(2),
        ..Plan::default()
    });
    config.retry_after = RetryAfter::Seconds;
    let mock = MockQwen::new(config);
    for expected in [200, 200, 429] {
        assert_eq!(ask(&mock, "hello").await, expected);
    }
    pass(seconds(3_600)).await;
    let (_, headers, _) = told(&mock, COMPATIBLE, &chat("hello")).await;
    assert_eq!(headers["retry-after"], (4 * 3_600).to_string());
}

#[tokio::test(start_paused = true)]
async fn a_used_up_window_may_let_calls_in() {
    let mut config = plan(Host::TokenPlan, PlanWindow::Week, true);
    if let Some(plan) = &mut config.plan {
        plan.flap = 0.3;
    }
    let mock = MockQwen::new(config);
    let mut let_in = 0;
    for _ in 0..100 {
        let_in += u64::from(ask(&mock, "hello").await == 200);
    }
    assert!((15..50).contains(&let_in), "{let_in}");
    assert_eq!(mock.stats().throttled.plan, 100 - let_in);
}

// help.aliyun.com coding-plan-faq, 2026.
#[tokio::test(start_paused = true)]
async fn the_coding_plan_never_states_an_end() {
    for states_reset in [false, true] {
        for (window, word) in [
            (PlanWindow::FiveHours, "hour"),
            (PlanWindow::Week, "week"),
            (PlanWindow::Month, "month"),
        ] {
            let told = used_up(Host::CodingPlan, window, states_reset).await;
            assert_eq!(told, (429, format!("{word} allocated quota exceeded")));
        }
    }
}

// Wei-Shaw/sub2api, 2026-08-12 (the week); a client's test, 2026-08-05 (five hours).
#[tokio::test(start_paused = true)]
async fn the_token_plan_states_an_end_without_a_year() {
    let (status, message) = used_up(Host::TokenPlan, PlanWindow::Week, true).await;
    assert_eq!(
        (status, digits(&message).as_str()),
        (
            429,
            "Your token-plan 0-week quota has been exhausted. The quota will reset at 00-00 00:00:00 UTC."
        )
    );
    assert!(message.contains("1-week"));
    let told = used_up(Host::TokenPlan, PlanWindow::FiveHours, false).await;
    assert_eq!(
        told,
        (
            429,
            "Your token-plan 5-hour quota has been exhausted.".to_owned()
        )
    );
    let told = used_up(Host::TokenPlan, PlanWindow::Month, true).await;
    assert_eq!(
        told,
        (429, "Your token-plan quota has been exhausted.".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn other_hosts_have_windows_too() {
    for (host, window, status, expected) in [
        // A client's test with the real body, 2026-09-13.
        (
            Host::Volc,
            PlanWindow::FiveHours,
            429,
            "You have exceeded the 0-hour usage quota. It will reset at 0000-00-00 00:00:00 +0000 CST. We recommend upgrading your plan for more quota, or waiting for the reset. Request id: ",
        ),
        // A client's incident, 2026-09-03; a client's test, 2026-08-24; zai-org/GLM-5#148, 2026-09-11.
        (
            Host::Zai,
            PlanWindow::FiveHours,
            429,
            "Usage limit reached for 0 hour. Your limit will reset at 0000-00-00 00:00:00",
        ),
        (
            Host::Zai,
            PlanWindow::Week,
            429,
            "Weekly/Monthly Limit Exhausted. Your limit will reset at 0000-00-00 00:00:00",
        ),
        (
            Host::Zai,
            PlanWindow::Month,
            429,
            "Insufficient balance or no resource package. Please recharge.",
        ),
        // MoonshotAI/kimi-cli#1599, 2026-03-27; Kimi Code's documents and a client's test, 2026.
        (
            Host::Kimi,
            PlanWindow::Day,
            429,
            "request reached organization TPD rate limit, current: 00, limit: 00",
        ),
        (
            Host::Kimi,
            PlanWindow::FiveHours,
            429,
            "You've reached your usage limit for this period.",
        ),
        (
            Host::Kimi,
            PlanWindow::Week,
            403,
            "You've reached your usage limit for this billing cycle.",
        ),
        (
            Host::Kimi,
            PlanWindow::Month,
            429,
            "You've reached kimi monthly usage limit for this billing cycle.",
        ),
        // continuedev/continue#4766.
        (
            Host::DeepSeek,
            PlanWindow::Month,
            402,
            "Insufficient Balance",
        ),
        // musistudio/claude-code-router#462.
        (
            Host::ModelScope,
            PlanWindow::Day,
            429,
            "You have exceeded today's quota for model qwen-plus, please try again tomorrow, or consider using other models",
        ),
        // Gitlawb/openclaude#936, 2026-04-28; astrio-labs/forall#76, 2025-11-23.
        (
            Host::OpenRouter,
            PlanWindow::Day,
            429,
            "Rate limit exceeded: free-models-per-day. Add 00 credits to unlock 0000 free model requests per day",
        ),
        (
            Host::OpenRouter,
            PlanWindow::Month,
            402,
            "This request requires more credits, or fewer max_tokens.",
        ),
        // BerriAI/litellm#37000.
        (
            Host::LiteLlm,
            PlanWindow::Month,
            429,
            "Budget has been exceeded! Current cost: 00.00, Max budget: 00.0",
        ),
        // Clients' tests, 2026.
        (
            Host::Ollama,
            PlanWindow::FiveHours,
            429,
            "you (mock) have reached your session usage limit, upgrade for higher limits: https://ollama.com/upgrade",
        ),
        (
            Host::Groq,
            PlanWindow::Day,
            429,
            "on tokens per day (TPD): Limit 00, Used 00, Requested 0. Please try again in",
        ),
    ] {
        let told = used_up(host, window, true).await;
        assert_eq!(told.0, status, "{host:?} {window:?}");
        let message = digits(&told.1);
        assert!(message.contains(expected), "{host:?} {window:?}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_host_refuses_every_window_as_a_plan_or_as_its_nearest() {
    for host in Host::all().filter(|host| *host != Host::LlamaCpp) {
        for window in WINDOWS {
            let status = used_up_any(host, window).await;
            assert!(
                [402, 403, 429, 503].contains(&status),
                "{host:?} {window:?} {status}"
            );
        }
    }
}

async fn used_up_any(host: Host, window: PlanWindow) -> u16 {
    let mock = MockQwen::new(plan(host, window, true));
    assert_eq!(ask(&mock, "hello").await, 200);
    ask(&mock, "hello").await
}

// Open-Less/openless#947, aaif-goose/goose#8005, 2026-08-12.
#[tokio::test(start_paused = true)]
async fn the_coding_plan_is_for_coding_agents_and_has_keys_of_its_own() {
    let mock = MockQwen::new(Config {
        require_key: true,
        agents_only: true,
        ..of(Host::CodingPlan)
    });
    let agent = ("user-agent", "QwenCode/0.21.5 (linux; x64)");
    let plan_key = ("authorization", "Bearer sk-sp-1");
    for (headers, expected) in [
        (vec![agent], 401),
        (vec![agent, ("authorization", "Bearer sk-1")], 401),
        (vec![plan_key], 405),
        (vec![plan_key, ("user-agent", "python-httpx/0.28")], 405),
        (vec![plan_key, agent], 200),
    ] {
        let response = post(&mock, COMPATIBLE, &headers, &chat("hello")).await;
        assert_eq!(response.status(), expected, "{headers:?}");
        if expected == 405 {
            assert_eq!(
                crate::support::read(response).await,
                "{\n  \"error\": \"Coding Plan is currently only available for Coding Agents\"\n}"
            );
        }
    }
    assert_eq!(mock.stats().rejected, 4);
}
