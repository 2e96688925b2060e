//! Which models stream new text alone unless the request says otherwise.

/// Beginnings of ids, in lower case, of models whose native streams have `incremental_output` by default.
///
/// Source: the reference of `incremental_output` in the native API of Model Studio, read 2026-11.
const INCREMENTAL: &[&str] = &["qwen3-max", "qwen3-vl", "qwq", "qvq"];
/// The open models of this beginning have it too, as far as a size follows.
const OPEN: &str = "qwen3-";

/// Whether each event of a native stream of this model has new text alone, unless `incremental_output` says otherwise.
pub(crate) fn is_incremental_by_default(model: &str) -> bool {
    let id = model
        .rsplit('/')
        .next()
        .unwrap_or(model)
        .to_ascii_lowercase();
    let is_open = id
        .strip_prefix(OPEN)
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    is_open
        || INCREMENTAL
            .iter()
            .any(|beginning| id.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commercial_and_open_models() {
        for model in [
            "qwen3-max",
            "qwen3-max-2026-01-23",
            "qwen3-vl-plus",
            "qwq-plus",
            "qvq-max",
            "Qwen/Qwen3-32B",
        ] {
            assert!(is_incremental_by_default(model), "{model}");
        }
        for model in [
            "",
            "qwen-plus",
            "qwen-max",
            "qwen3-coder-plus",
            "qwen2.5-7b",
        ] {
            assert!(!is_incremental_by_default(model), "{model}");
        }
    }
}
