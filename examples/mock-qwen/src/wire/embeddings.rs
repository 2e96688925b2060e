//! Embeddings, and the list of models.

use serde_json::{Value, json};

use super::Dialect;
use super::profile::Profile;

/// The embeddings of some texts. The same text has the same numbers, which mean nothing.
pub(crate) fn embeddings(
    dialect: Dialect,
    id: &str,
    model: &str,
    vectors: &[Vec<f64>],
    tokens: u64,
) -> Value {
    let items = |member: &str, object: bool| -> Vec<Value> {
        let item = |(place, vector): (usize, &Vec<f64>)| {
            let mut item = json!({ member: place, "embedding": vector });
            if object {
                item["object"] = "embedding".into();
            }
            item
        };
        vectors.iter().enumerate().map(item).collect()
    };
    if dialect.is_native() {
        return json!({
            "output": { "embeddings": items("text_index", false) },
            "usage": { "total_tokens": tokens },
            "request_id": id,
        });
    }
    json!({
        "object": "list",
        "data": items("index", true),
        "model": model,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
        "id": id,
    })
}

/// The list of models.
pub(crate) fn models(profile: &Profile, models: &[String], created: u64) -> Value {
    let data: Vec<Value> = models
        .iter()
        .map(|model| {
            json!({
                "id": model,
                "object": "model",
                "created": created,
                "owned_by": profile.owner,
            })
        })
        .collect();
    json!({ "object": "list", "data": data })
}
