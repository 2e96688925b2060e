//! Usage as hosts of the compatible dialects state it.

use serde_json::{Value, json};

use super::profile::UsageForm;

/// What a call used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
    /// Thoughts included.
    pub(crate) output: u64,
    pub(crate) thoughts: u64,
}

impl Usage {
    pub(crate) fn total(self) -> u64 {
        self.prompt + self.output
    }

    /// The three figures alone.
    pub(super) fn plain(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.output,
            "total_tokens": self.total(),
        })
    }

    /// As a host states it, in a stream or not.
    pub(super) fn stated(self, form: UsageForm, streamed: bool) -> Value {
        let mut usage = self.plain();
        let Self {
            cached, thoughts, ..
        } = self;
        if form != UsageForm::Plain && form != UsageForm::Groq {
            usage["prompt_tokens_details"] = json!({ "cached_tokens": cached });
        }
        let details = json!({ "reasoning_tokens": thoughts });
        match form {
            UsageForm::DashScope => {
                if streamed {
                    usage["prompt_tokens_details"]["audio_tokens"] = Value::Null;
                    usage["completion_tokens_details"] = Value::Null;
                }
                if thoughts > 0 {
                    usage["completion_tokens_details"] = details;
                }
            }
            UsageForm::Plain | UsageForm::Cached => {}
            UsageForm::Details => usage["completion_tokens_details"] = details,
            UsageForm::DeepSeek => {
                if thoughts > 0 {
                    usage["completion_tokens_details"] = details;
                }
                usage["prompt_cache_hit_tokens"] = cached.into();
                usage["prompt_cache_miss_tokens"] = (self.prompt - cached).into();
            }
            UsageForm::Kimi => {
                usage["completion_tokens_details"] = details;
                usage["cached_tokens"] = cached.into();
            }
            UsageForm::Groq => {
                if thoughts > 0 {
                    usage["completion_tokens_details"] = details;
                }
                let (before, after) = (self.prompt as f64 / 1e4, self.output as f64 / 500.0);
                usage["queue_time"] = json!(0.041_520_249);
                usage["prompt_time"] = json!(before);
                usage["completion_time"] = json!(after);
                usage["total_time"] = json!(before + after);
            }
            UsageForm::OpenRouter => {
                usage["completion_tokens_details"] = details;
                usage["cost"] = json!(self.total() as f64 / 1e7);
                usage["is_byok"] = false.into();
            }
        }
        usage
    }
}
