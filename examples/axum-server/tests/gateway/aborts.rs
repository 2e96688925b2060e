use http_body_util::BodyExt;
use mock_qwen::Config;

use crate::support::{CHAT, Harness, NATIVE, TestResult, call};

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_is_booked_once_as_far_as_it_came() -> TestResult {
    for path in [CHAT, NATIVE] {
        for frames in [1, 2, 9, 17] {
            let harness = Harness::new(Config::default(), &[])?;
            let mut body = harness
                .send(call(path, "Tell me of rivers.", true))
                .await
                .into_body();
            for _ in 0..frames {
                body.frame().await.ok_or("too short")??;
            }
            drop(body);
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }

            let stats = harness.mock.stats();
            assert_eq!((stats.aborted, stats.in_flight), (1, 0), "the cut went on");
            let total = harness.total();
            assert_eq!((total.calls, total.cancelled, total.failed), (1, 1, 0));
            assert_eq!(harness.gateway.attempts(), 1);
            let delivered = stats.unfinished.output;
            assert_eq!((total.estimated, total.unknown), (1, 0), "{path} {frames}");
            assert!(total.input_tokens > 0);
            if path == CHAT && frames == 1 {
                // The opening event, without a word of the model. Retry has read the next one, the caller has not.
                assert_eq!(total.output_tokens, 0);
                continue;
            }
            let counted = total.output_tokens;
            let bound = delivered / 2 + 8;
            assert!(
                counted.abs_diff(delivered) <= bound,
                "{path} {frames}: {counted} of {delivered}"
            );
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_before_the_answer_is_booked_too() -> TestResult {
    let harness = Harness::new(Config::default(), &[])?;
    let answer = harness.send(call(CHAT, "Tell me of rivers.", false));
    let patience = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(patience, answer).await.is_err());
    let total = harness.total();
    assert_eq!((total.calls, total.cancelled, total.estimated), (1, 1, 1));
    assert!(total.input_tokens > 0, "the prompt went out");
    assert_eq!(harness.mock.stats().aborted, 1, "the cut went on");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_breaks_behind_is_failed_and_not_left() -> TestResult {
    let mut config = Config::default();
    config.faults.reset = 1.0;
    let harness = Harness::new(config, &[])?;
    let answer = harness.send(call(CHAT, "Tell me of rivers.", true)).await;
    assert!(answer.into_body().collect().await.is_err());
    let total = harness.total();
    assert_eq!((total.calls, total.failed, total.cancelled), (1, 1, 0));
    assert_eq!(total.estimated, 1);
    Ok(())
}
