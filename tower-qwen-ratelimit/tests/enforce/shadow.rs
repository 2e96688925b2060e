use std::sync::{Arc, Mutex};

use http::StatusCode;
use tower_qwen_ratelimit::{Key, enforce::RejectionKind};

use crate::support::{account, chat, embedding, layer, limiter, rejection, request, send, server};

#[tokio::test(start_paused = true)]
async fn counts_and_reports_but_rejects_nothing() {
    let limiter = limiter(3, 200);
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    let layer = layer(&limiter)
        .shadow()
        .on_rejection(move |rejection| sink.lock().unwrap().push(rejection.clone()));
    let server = server(&layer);
    for call in 0..5 {
        let answer = send(&server, embedding(1)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        if call < 3 {
            assert!(
                answer
                    .extensions()
                    .get::<tower_qwen_ratelimit::enforce::Rejection>()
                    .is_none()
            );
        } else {
            assert!(rejection(&answer).is_shadow());
            assert_eq!(rejection(&answer).kind(), RejectionKind::Requests);
        }
        assert!(!answer.headers().contains_key("retry-after"));
    }
    let answer = send(&server, embedding(1_000)).await;
    assert_eq!(rejection(&answer).kind(), RejectionKind::TooLarge);
    let counts = layer.counts();
    assert_eq!(
        (
            counts.admitted,
            counts.requests,
            counts.tokens,
            counts.too_large
        ),
        (3, 2, 0, 1)
    );
    assert_eq!(counts.rejected(), 3);
    assert_eq!(events.lock().unwrap().len(), 3);
    assert_eq!(
        account(&limiter).requests.used,
        3,
        "the others are not charged"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_is_rejected_all_the_same() {
    let layer = layer(&limiter(1, 1)).shadow();
    let answer = send(&server(&layer), request(crate::support::CHAT, "{")).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(layer.counts().unread, 1);
}

#[tokio::test(start_paused = true)]
async fn rejections_are_reported_and_counted_without_shadow_mode() {
    let limiter = limiter(1, 1_000_000);
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    let layer =
        layer(&limiter).on_rejection(move |rejection| sink.lock().unwrap().push(rejection.clone()));
    for _ in 0..3 {
        send(&server(&layer.clone()), chat()).await;
    }
    let counts = layer.counts();
    assert_eq!((counts.admitted, counts.requests), (1, 2));
    let events = events.lock().unwrap();
    assert_eq!(events.len(), 2);
    assert!(!events[0].is_shadow());
    assert_ne!(*events[0].key(), Key::tenant("sk-1"));
    assert_eq!(*events[0].key(), account(&limiter).key);
}
