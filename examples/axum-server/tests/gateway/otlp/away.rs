use http::StatusCode;
use tokio::net::TcpListener;

use super::{
    collector::Collector,
    spans::{FLAGS, stopped},
    upstream::Upstream,
};
use crate::{
    program::Program,
    raw::{ask, chat},
    support::TestResult,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_takes_nothing_is_logged_once_until_it_is_back() -> TestResult {
    let collector = Collector::start().await?;
    let (_, flag) = Upstream::start().await?;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.address()),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let program = Program::start_with(variables, &[&FLAGS[..], &[&*flag]].concat())?;
    let request = chat("sk-secret-acme", "qwen-max");
    for status in [400, 400, 400, 200, 200, 400] {
        collector.answer_with(StatusCode::from_u16(status)?);
        let (answer, ()) = tokio::join!(ask(&program, &request), collector.asked_again());
        assert_eq!(answer?.status, 200);
    }
    let log = stopped(program)?;
    let said = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((said("takes nothing"), said("is back")), (2, 1), "{log}");
    assert!(log.contains("400 Bad Request"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_the_end_do_not_wait_for_a_collector() -> TestResult {
    // Connections to it are made, and no more.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let (_, flag) = Upstream::start().await?;
    let flags = [&FLAGS[..], &[&*flag]].concat();
    for (at, why) in [(silent.local_addr()?, "deadline"), (closed, "refused")] {
        let endpoint = format!("http://{at}");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ];
        let program = Program::start_with(variables, &flags)?;
        for _ in 0..20 {
            let answer = ask(&program, &chat("sk-secret-acme", "qwen-max")).await?;
            assert_eq!(answer.status, 200);
        }
        let log = stopped(program)?;
        let mut lines = log.lines().filter(|line| line.contains("takes nothing"));
        // One for each signal.
        let lines = [lines.next(), lines.next(), lines.next()];
        let [Some(one), Some(other), None] = lines else {
            panic!("{log}");
        };
        assert!(one.contains(why) && other.contains(why), "{log}");
        assert!(log.contains("stopped calls=20"), "{log}");
    }
    Ok(())
}
