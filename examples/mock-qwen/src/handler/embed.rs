//! Embeddings.

use axum::body::Body;
use http::{Response, StatusCode};

use super::{Job, response};
use crate::account::End;
use crate::request::{Call, Prompt};
use crate::wire::embeddings;

pub(super) async fn respond(mut job: Job, call: &Call) -> Response<Body> {
    let inner = job.mock.inner();
    inner.clock.sleep_until(job.written_at(0)).await;
    let seed = inner.config.seed;
    let vectors: Vec<Vec<f64>> = call
        .prompts
        .iter()
        .map(|prompt| vector(seed, prompt, call.dimensions))
        .collect();
    let reply = &job.reply;
    let body = embeddings(
        reply.dialect,
        &reply.id,
        &reply.model,
        &vectors,
        job.usage.prompt,
    );
    job.ticket.end(End::Completed);
    response(
        StatusCode::OK,
        "application/json",
        Body::from(body.to_string()),
    )
}

/// Numbers of length 1 that the text alone decides.
fn vector(seed: u64, prompt: &Prompt, dimensions: usize) -> Vec<f64> {
    let text = match prompt {
        Prompt::Text(text) => text.as_str(),
        Prompt::Chat(_) => "",
    };
    // FNV-1a.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    let mut rng = fastrand::Rng::with_seed(hash);
    let mut vector: Vec<f64> = (0..dimensions).map(|_| rng.f64() - 0.5).collect();
    let length = vector
        .iter()
        .map(|number| number * number)
        .sum::<f64>()
        .sqrt();
    for number in &mut vector {
        *number /= length;
    }
    vector
}
