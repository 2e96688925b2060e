//! The batch host of Model Studio: the same calls, later and for half the price.

use std::fmt;

use tower_qwen_tokens::data::Region;

use super::Account;
use crate::{account_list::is_model_studio, advice::KeyKind, base_url::BaseUrl};

/// Its address. A call waits there in a queue of the provider, with its connection open, for 3,600 s at most.
// help.aliyun.com/zh/model-studio/openai-compatible-batch-chat, read on 2026-12-01.
pub const BATCH_HOST: &str = "https://batch.dashscope.aliyuncs.com/compatible-mode/v1";

/// The only path that it has, below its address.
pub(crate) const BATCH_PATH: &str = "/chat/completions";

/// The models that it has.
// alibabacloud.com/help/pt-br/model-studio/openai-compatible-batch-chat, as of 2026-10-11. The list grows, so a model that
// is not in it is called all the same.
pub const BATCH_CHAT_MODELS: [&str; 13] = [
    "qwen-flash",
    "qwen-plus",
    "qwen3-vl-plus",
    "qwen3.5-flash",
    "qwen3.5-omni-plus",
    "qwen3.5-plus",
    "qwen3.6-flash",
    "qwen3.6-plus",
    "qwen3.7-flash",
    "qwen3.7-max",
    "qwen3.7-plus",
    "qwen3.8-flash",
    "qwen3.8-max",
];

/// Why an account cannot use the batch host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchHostError {
    /// It is in another region.
    Region,
    /// Its address is one of Model Studio's with a billing of its own, such as a plan's.
    OtherBilling,
    /// Its key is one of a plan.
    PlanKey,
}

/// The account at the batch host. A server that is none of Model Studio's stands for that host: a proxy, or a mock.
///
/// # Errors
///
/// [`BatchHostError`].
///
/// # Panics
///
/// Never: the address is a constant.
pub fn at_batch_host(account: Account) -> Result<Account, BatchHostError> {
    if account.key_kind() == KeyKind::Plan {
        return Err(BatchHostError::PlanKey);
    }
    let address = account.address().clone();
    let stand_in = match Region::of_host(address.host()) {
        Some(Region::Beijing) => None,
        Some(_) => return Err(BatchHostError::Region),
        None if is_model_studio(address.host()) => return Err(BatchHostError::OtherBilling),
        None => Some(address),
    };
    let base: BaseUrl = BATCH_HOST.parse().expect("a constant address");
    Ok(account.at(base).stand_in(stand_in))
}

/// What is to be said of a model before it is called there; `None` where the host has it.
pub(crate) fn doubt(model: &str) -> Option<String> {
    let is_known = BATCH_CHAT_MODELS.contains(&model);
    (!is_known).then(|| {
        format!(
            "{model} was not among the models of the batch host on 2026-10-11 ({}). Its calls are sent all the same; if they \
             are rejected, run again without --batch-host.",
            BATCH_CHAT_MODELS.join(", ")
        )
    })
}

impl fmt::Display for BatchHostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Region => {
                "--batch-host is for keys of Beijing: there is no batch host in another region. Leave it out, or use a key \
                 of Beijing"
            }
            Self::OtherBilling => {
                "--batch-host is for accounts that pay by use: this address has a billing of its own. Leave one of both out"
            }
            Self::PlanKey => {
                "--batch-host is for accounts that pay by use: the key is one of a plan (sk-sp-..)"
            }
        })
    }
}

impl std::error::Error for BatchHostError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(base: &str) -> Result<(String, String), BatchHostError> {
        let account = Account::new("", base.parse().expect("an address"));
        let account = at_batch_host(account)?;
        let of = |base: &BaseUrl| base.origin().to_owned();
        Ok((of(account.base()), of(account.address())))
    }

    #[test]
    fn beijing_goes_to_its_batch_host_and_other_servers_stand_for_it() {
        const HOST: &str = "https://batch.dashscope.aliyuncs.com";
        for (base, expected) in [
            (BaseUrl::DASHSCOPE, Ok(HOST)),
            (BATCH_HOST, Ok(HOST)),
            (
                "https://ws-1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
                Ok(HOST),
            ),
            ("http://127.0.0.1:8080/v1", Ok("http://127.0.0.1:8080")),
            (
                "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
                Err(BatchHostError::Region),
            ),
            (
                "https://coding.dashscope.aliyuncs.com/v1",
                Err(BatchHostError::OtherBilling),
            ),
        ] {
            let expected = expected.map(|address| (HOST.to_owned(), address.to_owned()));
            assert_eq!(moved(base), expected, "{base}");
        }
        let account = Account::new("", BaseUrl::DASHSCOPE.parse().expect("an address"));
        let plan = account.key("sk-sp-1").expect("a key");
        assert_eq!(at_batch_host(plan).err(), Some(BatchHostError::PlanKey));
    }

    #[test]
    fn only_unknown_models_are_doubted() {
        assert_eq!(doubt("qwen-plus"), None);
        let said = doubt("qwen-max").expect("it is not listed");
        assert!(said.starts_with("qwen-max was not among") && said.contains("qwen-plus, "));
    }
}
