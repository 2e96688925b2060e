//! Which models think unless the request says otherwise.

/// Beginnings of ids, in lower case, of models that think by default.
///
/// Source: <https://www.alibabacloud.com/help/en/model-studio/deep-thinking>, read 2026-11.
const THINKING: &[&str] = &["qwq", "qvq", "qwen3.5", "qwen3.6", "qwen3.7", "qwen3.8"];
/// The open models of this beginning think by default, as far as a size follows and their id does not say `instruct`.
const OPEN: &str = "qwen3-";

/// The beginning of ids of models that get earlier thinking too.
const PRESERVING: &str = "qwen3.8";

/// Whether a model thinks unless `enable_thinking` says otherwise. Then `max_tokens` does not bound its answer.
#[must_use]
pub fn thinks_by_default(model: &str) -> bool {
    // Other hosts write the organisation before the id: `Qwen/Qwen3-32B`.
    let id = model
        .rsplit('/')
        .next()
        .unwrap_or(model)
        .to_ascii_lowercase();
    let is_open = id.strip_prefix(OPEN).is_some_and(|rest| {
        // A size follows in open models alone: `qwen3-32b` thinks, `qwen3-max` does not.
        rest.starts_with(|first: char| first.is_ascii_digit()) && !id.contains("instruct")
    });
    is_open
        || id.contains("-thinking")
        || THINKING.iter().any(|beginning| id.starts_with(beginning))
}

/// Whether a model gets earlier thinking as part of the prompt unless `preserve_thinking` says otherwise.
#[must_use]
pub fn preserves_thinking_by_default(model: &str) -> bool {
    let id = model.rsplit('/').next().unwrap_or(model);
    id.get(..PRESERVING.len())
        .is_some_and(|beginning| beginning.eq_ignore_ascii_case(PRESERVING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commercial_and_open_models() {
        for model in [
            "qwq-plus",
            "qvq-max-latest",
            "qwen3.7-plus",
            "qwen3.8-max-2026-09-01",
            "qwen3-32b",
            "qwen3-235b-a22b",
            "Qwen/Qwen3-0.6B",
            "qwen3-235b-a22b-thinking-2507",
            "qwen3-next-80b-a3b-thinking",
        ] {
            assert!(thinks_by_default(model), "{model}");
        }
        for model in [
            "",
            "qwen-plus",
            "qwen3-max",
            "qwen3-coder-plus",
            "qwen3-embedding-8b",
            "qwen3-235b-a22b-instruct-2507",
            "qwen2.5-72b-instruct",
            "Qwen/Qwen3-30B-A3B-Instruct-2507",
            "qwen-vl-max",
        ] {
            assert!(!thinks_by_default(model), "{model}");
        }
    }

    #[test]
    fn earlier_thinking() {
        assert!(preserves_thinking_by_default("qwen3.8-max"));
        assert!(preserves_thinking_by_default("Qwen/Qwen3.8-32B"));
        for model in ["qwen3.7-plus", "qwen3", "qwen-plus", "", "千问千问"] {
            assert!(!preserves_thinking_by_default(model), "{model}");
        }
    }
}
