use super::{
    collector::Collector,
    spans::{FLAGS, stopped},
    upstream::Upstream,
};
use crate::{
    program::Program,
    raw::{Raw, ask, chat, get, stream},
    support::TestResult,
};

/// The model's own attributes.
const MODEL: [(&str, &str); 3] = [
    ("gen_ai.provider.name", "dashscope"),
    ("gen_ai.operation.name", "chat"),
    ("gen_ai.request.model", "qwen-max"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_collector_has_the_figures_of_the_ledger() -> TestResult {
    let collector = Collector::start().await?;
    let (_, flag) = Upstream::start().await?;
    // The end sends them, too; so they come in several exports.
    let variables = [
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            format!("{}/v1/metrics", collector.address()),
        ),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100".to_owned()),
    ];
    let variables = [
        (variables[0].0, &*variables[0].1),
        (variables[1].0, &*variables[1].1),
    ];
    let program = Program::start_with(variables, &[&FLAGS[..], &[&*flag]].concat())?;
    assert_eq!(
        ask(&program, &chat("sk-secret-acme", "qwen-max"))
            .await?
            .status,
        200
    );
    let mut reader = Raw::connect(&program).await?;
    let request = stream("sk-secret-acme", "qwen-max");
    let request = request.replace("host: gateway", "host: gateway\r\nconnection: close");
    reader.write(&request).await?;
    assert!(reader.until_closed().await?.0.contains("[DONE]"));
    let scraped = get(&program, "/metrics", "sk-secret-admin").await?.body;
    stopped(program)?;

    let all = collector.all();
    let with = |name, value| [&MODEL[..], &[(name, value)]].concat();
    let tokens = "gen_ai.client.token.usage";
    for (kind, sum) in [("input", 2_000.0), ("output", 400.0)] {
        let having = with("gen_ai.token.type", kind);
        assert_eq!(all.sum(tokens, &having), (2, sum), "{kind}");
    }
    let (count, sum) = all.sum(
        "tower_qwen.client.cost",
        &with("tower_qwen.currency", "USD"),
    );
    let line = "tower_qwen_client_cost_sum{";
    let line = scraped.lines().find(|it| it.starts_with(line));
    let said: f64 = line
        .and_then(|it| it.split(' ').next_back())
        .ok_or("no cost")?
        .parse()?;
    assert!(
        count == 2 && sum > 0.0 && (sum - said).abs() < 1e-9,
        "{sum} {said}"
    );
    let duration = "gen_ai.client.operation.duration";
    assert_eq!(all.sum(duration, &MODEL).0, 2);
    assert_eq!(
        all.sum("gen_ai.client.operation.time_to_first_chunk", &MODEL)
            .0,
        1
    );
    // Of the conventions, and not the SDK's own.
    for (metric, first, last) in [(tokens, 1.0, 67_108_864.0), (duration, 0.01, 81.92)] {
        for point in &all.points[metric] {
            let bounds = &point.explicit_bounds;
            let ends = (bounds.len(), bounds.first(), bounds.last());
            assert_eq!(ends, (14, Some(&first), Some(&last)));
        }
    }
    // There is no collector of traces.
    assert!(all.spans.is_empty());
    Ok(())
}
