//! Whom the server answers like.

use std::fmt;
use std::str::FromStr;

/// Whom the server answers like: the shape of its errors, the place of its usage, the names of its members. The quotas
/// are the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Host {
    /// Alibaba's Model Studio, paid by use.
    #[default]
    DashScope,
    /// Model Studio's Coding Plan; its keys begin with `sk-sp-`.
    CodingPlan,
    /// Model Studio's Token Plan; its keys begin with `sk-sp-`.
    TokenPlan,
    /// vLLM 0.33. A quota stands for its queue, which answers 503 when it is full.
    Vllm,
    /// `SGLang` 0.5.23. As vLLM, but a stream is told so in its first event.
    SgLang,
    /// `llama-server`. Calls beyond a quota are not refused but wait without a byte.
    LlamaCpp,
    /// Ollama, with the usage limits of its cloud.
    Ollama,
    /// `OpenRouter`.
    OpenRouter,
    /// Groq.
    Groq,
    /// The `LiteLLM` proxy, with its own limits per key.
    LiteLlm,
    /// `DeepSeek`. It has no limits of its own; what a plan allows stands for its balance.
    DeepSeek,
    /// Kimi (Moonshot), and the windows of Kimi Code.
    Kimi,
    /// Z.ai (`BigModel`), and the windows of its coding plan.
    Zai,
    /// Volcano Engine's Ark, and the windows of its coding plan.
    Volc,
    /// `ModelScope`; what a plan allows stands for the day of a model.
    ModelScope,
}

/// All hosts and their names on the command line.
const NAMES: [(Host, &str); 15] = [
    (Host::DashScope, "dashscope"),
    (Host::CodingPlan, "coding-plan"),
    (Host::TokenPlan, "token-plan"),
    (Host::Vllm, "vllm"),
    (Host::SgLang, "sglang"),
    (Host::LlamaCpp, "llama-cpp"),
    (Host::Ollama, "ollama"),
    (Host::OpenRouter, "openrouter"),
    (Host::Groq, "groq"),
    (Host::LiteLlm, "litellm"),
    (Host::DeepSeek, "deepseek"),
    (Host::Kimi, "kimi"),
    (Host::Zai, "zai"),
    (Host::Volc, "volc"),
    (Host::ModelScope, "modelscope"),
];

/// The name is of no known host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownHost;

impl Host {
    /// All hosts.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(host, _)| host)
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(host, _)| *host == self);
        found.map_or("", |(_, name)| name)
    }
}

impl FromStr for Host {
    type Err = UnknownHost;

    fn from_str(text: &str) -> Result<Self, UnknownHost> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(host, _)| *host).ok_or(UnknownHost)
    }
}

impl fmt::Display for UnknownHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected one of ")?;
        for (place, (_, name)) in NAMES.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownHost {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_found_by_its_name() {
        for host in Host::all() {
            assert_eq!(host.name().parse(), Ok(host));
        }
        assert_eq!("azure".parse::<Host>(), Err(UnknownHost));
        assert!(
            UnknownHost
                .to_string()
                .contains("one of dashscope, coding-plan")
        );
    }
}
