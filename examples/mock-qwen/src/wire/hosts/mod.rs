//! The hosts, one table each. Above each body stands where it was seen and when; `*` where the report does not show the
//! status. Ids, keys and organisations are made up.

mod clouds;
mod local;
mod model_studio;
mod routers;
mod studio_plans;
mod subscriptions;

use super::profile::{
    EarlyUsage, Profile, Range, Row, StreamError, Thoughts, UsageForm, UsagePlace,
};
use crate::config::RateLimitHeaders;
use crate::host::Host;

/// What most hosts do.
const COMMON: Profile = Profile {
    base: "/v1",
    errors: &[],
    native: &[],
    stream_error: StreamError::Data { done: false },
    refuses_in_stream: false,
    queues: false,
    wraps_messages: true,
    range: Range::AtLeastOne,
    // As Model Studio's documents have it for those models that write more than one.
    most_choices: 4,
    thoughts: Thoughts::ReasoningContent,
    usage: UsageForm::Details,
    place: UsagePlace::OwnEvent,
    early_usage: EarlyUsage::Never,
    null_usage: false,
    comment: None,
    rate_limit_headers: RateLimitHeaders::None,
    owner: "system",
};

impl Host {
    pub(crate) fn profile(self) -> &'static Profile {
        match self {
            Self::DashScope => &model_studio::DASHSCOPE,
            Self::CodingPlan => &studio_plans::CODING_PLAN,
            Self::TokenPlan => &studio_plans::TOKEN_PLAN,
            Self::Vllm => &local::VLLM,
            Self::SgLang => &local::SGLANG,
            Self::LlamaCpp => &local::LLAMA_CPP,
            Self::Ollama => &local::OLLAMA,
            Self::OpenRouter => &routers::OPENROUTER,
            Self::LiteLlm => &routers::LITELLM,
            Self::Groq => &clouds::GROQ,
            Self::DeepSeek => &clouds::DEEPSEEK,
            Self::Kimi => &subscriptions::KIMI,
            Self::Zai => &subscriptions::ZAI,
            Self::Volc => &subscriptions::VOLC,
            Self::ModelScope => &clouds::MODELSCOPE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::problem::Kind;

    #[test]
    fn every_host_has_an_answer_to_every_problem() {
        for host in Host::all() {
            let profile = host.profile();
            for kind in [
                Kind::Invalid,
                Kind::Key,
                Kind::Requests,
                Kind::Tokens,
                Kind::Capacity,
            ] {
                assert!(profile.row(false, kind).is_some(), "{host:?} {kind:?}");
                assert_eq!(
                    profile.row(true, kind).is_some(),
                    !profile.native.is_empty(),
                    "{host:?} {kind:?}"
                );
            }
        }
    }

    fn has_gap(text: &str) -> bool {
        let mut pairs = text.bytes().zip(text.bytes().skip(1));
        pairs.any(|(first, second)| first == b'{' && second.is_ascii_lowercase())
    }

    #[test]
    fn every_body_is_json_and_no_gap_is_misspelt() {
        use crate::wire::template::{Facts, fill};
        let facts = Facts {
            id: "i",
            model: "m",
            message: "text",
            created: 1,
            limit: 2,
            used: 2,
            asked: 1,
            wait: std::time::Duration::from_secs(1),
            wall: std::time::SystemTime::UNIX_EPOCH,
        };
        for host in Host::all() {
            let profile = host.profile();
            for row in profile.errors.iter().chain(profile.native) {
                let body = fill(row.body, &facts);
                let value: serde_json::Value = serde_json::from_str(&body)
                    .unwrap_or_else(|error| panic!("{host:?} {:?}: {error}: {body}", row.kind));
                let mut texts = vec![value];
                while let Some(value) = texts.pop() {
                    match value {
                        serde_json::Value::String(text) => {
                            assert!(!has_gap(&text), "{host:?}: {text}");
                        }
                        serde_json::Value::Array(values) => texts.extend(values),
                        serde_json::Value::Object(values) => texts.extend(values.into_values()),
                        _ => {}
                    }
                }
                for (_, value) in row.headers {
                    assert!(!has_gap(&fill(value, &facts)), "{host:?}: {value}");
                }
            }
        }
    }
}
