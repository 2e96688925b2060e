//! Who may call.

use http::{HeaderMap, header};

use crate::config::Config;
use crate::host::Host;
use crate::wire::{Dialect, Kind};

/// Those agents that name themselves in `User-Agent` as the plan's documents do, in small letters.
const AGENTS: [&str; 10] = [
    "qwen", "claude", "opencode", "openclaw", "cline", "cursor", "codex", "roo", "kilo", "kimi",
];

pub(super) fn check(config: &Config, dialect: Dialect, headers: &HeaderMap) -> Result<(), Kind> {
    let plan = matches!(config.host, Host::CodingPlan | Host::TokenPlan);
    if config.require_key {
        let key = key(dialect, headers).ok_or(Kind::Key)?;
        if plan && !key.starts_with("sk-sp-") {
            return Err(Kind::Key);
        }
    }
    if config.agents_only && config.host == Host::CodingPlan {
        let agent = text(headers, header::USER_AGENT.as_str()).map(str::to_ascii_lowercase);
        let known = |agent: String| AGENTS.iter().any(|known| agent.contains(known));
        if !agent.is_some_and(known) {
            return Err(Kind::Agents);
        }
    }
    Ok(())
}

fn key(dialect: Dialect, headers: &HeaderMap) -> Option<&str> {
    let bearer = text(headers, header::AUTHORIZATION.as_str())
        .and_then(|value| value.strip_prefix("Bearer "));
    let key = match dialect {
        Dialect::Messages => bearer.or_else(|| text(headers, "x-api-key")),
        _ => bearer,
    };
    key.map(str::trim).filter(|key| !key.is_empty())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
