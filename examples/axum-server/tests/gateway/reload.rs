//! Another file in the place of the one so far.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::Value;

use crate::{
    config::{Configured, write},
    support::{CHAT, TestResult, call_of},
};

const FIRST: &str = "[[callers]]\nname = \"acme\"\nkey = \"sk-1\"\nrequests_per_minute = 5\ncost_per_day = \"20 USD\"\n";

#[tokio::test(start_paused = true)]
async fn a_good_file_is_taken_whole_and_a_bad_one_not_at_all() -> TestResult {
    let gateway = Configured::new(FIRST, &[])?;
    let inner = &gateway.harness.gateway;
    for _ in 0..2 {
        assert_eq!(gateway.call("sk-1", CHAT).await?.0, 200);
    }
    let spent = || inner.budgets().snapshot().limits[0].spent;
    let before = spent();

    let second = FIRST
        .replace("sk-1", "sk-2")
        .replace("= 5", "= 3")
        .replace("20 USD", "30 USD");
    write(&gateway.folder, &second)?;
    assert!(inner.reload()?.at_next_start.is_empty());
    assert_eq!(gateway.call("sk-1", CHAT).await?.0, 401);
    assert_eq!(spent(), before, "what was spent stays spent");
    let limit = inner.budgets().snapshot().limits[0].limit;
    assert_eq!(limit.to_string(), "30 USD");

    for (bad, line) in [
        (second.replace("[[callers]]", "[[callers]"), ":2:"),
        (second.replace("\"30 USD\"", "\"30\""), ":6:"),
        (format!("{second}nmae = 1\n"), ":7:"),
    ] {
        write(&gateway.folder, &bad)?;
        let problems = inner.reload().expect_err(&bad).to_string();
        assert!(problems.contains(line), "{problems}");
        // Two of three a minute: one is charged anew where the quota is another one.
        assert_eq!(gateway.call("sk-1", CHAT).await?.0, 401);
    }
    assert_eq!(gateway.call("sk-2", CHAT).await?.0, 200);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_changes_at_the_next_start_is_said() -> TestResult {
    let gateway = Configured::new(FIRST, &[])?;
    write(
        &gateway.folder,
        &format!("{FIRST}[server]\nlisten = \"127.0.0.1:7\"\n[limits]\nmax_wait = \"3s\"\n"),
    )?;
    let reloaded = gateway.harness.gateway.reload()?;
    assert_eq!(reloaded.at_next_start, ["listen"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_admin_reloads_too_and_is_answered_with_the_line() -> TestResult {
    let gateway = Configured::new(FIRST, &["--admin-key=sk-admin"])?;
    let reload = || async {
        let request = Request::post("/admin/reload")
            .header("authorization", "Bearer sk-admin")
            .body(Body::empty())?;
        let (status, body) = gateway.harness.text(request).await?;
        Ok::<_, Box<dyn std::error::Error>>((status, serde_json::from_str::<Value>(&body)?))
    };
    write(&gateway.folder, &FIRST.replace("sk-1", "sk-2"))?;
    assert_eq!(reload().await?.0, StatusCode::OK);
    assert_eq!(gateway.call("sk-2", CHAT).await?.0, 200);
    write(&gateway.folder, "[[callers]]\nname = 1\nkey = \"sk-3\"\n")?;
    let (status, body) = reload().await?;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body["error"]["problems"][0]["line"], 3, "{body}");
    assert!(!body.to_string().contains("sk-3"));
    assert_eq!(gateway.call("sk-2", CHAT).await?.0, 200);
    Ok(())
}

/// A stream that began under the old file ends as it would have.
#[tokio::test(start_paused = true)]
async fn a_reload_drops_no_call() -> TestResult {
    use http_body_util::BodyExt;

    let gateway = Configured::new(FIRST, &[])?;
    let answer = gateway
        .harness
        .send(call_of("sk-1", CHAT, "Hi", true))
        .await;
    let mut body = answer.into_body();
    let first = body.frame().await.ok_or("an empty answer")??;
    write(&gateway.folder, &FIRST.replace("sk-1", "sk-2"))?;
    gateway.harness.gateway.reload()?;
    let mut text = first.into_data().map_err(|_| "no data")?.to_vec();
    text.extend(body.collect().await?.to_bytes());
    assert!(String::from_utf8(text)?.ends_with("data: [DONE]\n\n"));
    assert_eq!(gateway.call("sk-1", CHAT).await?.0, 401);
    let total = gateway.harness.total();
    assert_eq!((total.calls, total.estimated), (1, 0));
    Ok(())
}
