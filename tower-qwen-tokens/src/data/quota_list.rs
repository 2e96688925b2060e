//! The limits that the provider's control interface lists for an account.

use std::time::Duration;

use serde::Deserialize;

use super::{Book, InvalidData, ModelQuota, QuotaBook, section::Section};

/// The answer as it is sent: the rows in `output`, or bare.
#[derive(Deserialize)]
#[serde(untagged)]
enum QuotaAnswer {
    Enveloped { output: Page },
    Page(Page),
    Rows(Vec<QuotaEntry>),
}

#[derive(Deserialize)]
struct Page {
    quotas: Vec<QuotaEntry>,
}

#[derive(Deserialize)]
struct QuotaEntry {
    model: String,
    model_limit: Option<Limits>,
    /// The workspace's own share of the account's.
    workspace_limit: Option<Limits>,
}

#[derive(Deserialize, Clone, Copy)]
struct Limits {
    request_limit: Option<u64>,
    /// In seconds, as the other. Default: 60.
    request_limit_period: Option<u64>,
    usage_limit: Option<u64>,
    usage_limit_period: Option<u64>,
}

impl QuotaBook {
    /// The limits of the account whose key was used: the answer to `GET /api/v1/quotas`, one page
    /// of it.
    ///
    /// This is the only place where the provider states an account's real limits. A workspace's own limits count where they
    /// are lower. Limits of different periods are brought to the longer one; a limit that is null is none (`u64::MAX`).
    /// Models of other pages are added with [`Book::merge`].
    ///
    /// # Errors
    ///
    /// When the text is no such answer.
    ///
    /// ```
    /// use tower_qwen_tokens::data::{ModelQuota, QuotaBook};
    ///
    /// let answer = r#"{"output": {"total": 1, "page_no": 1, "page_size": 20, "quotas": [{
    ///     "model": "qwen-plus", "workspace_id": "ws-1",
    ///     "model_limit": {"request_limit": 1200, "request_limit_period": 60,
    ///         "usage_limit": 1000000, "usage_limit_field": "total_tokens", "usage_limit_period": 60},
    ///     "workspace_limit": null
    /// }]}, "request_id": "x"}"#;
    /// let mine = QuotaBook::builtin().merge(QuotaBook::from_account(answer)?);
    /// assert_eq!(mine.quota("qwen-plus"), Some(&ModelQuota::per_minute(1_200, 1_000_000)));
    /// # Ok::<(), tower_qwen_tokens::data::InvalidData>(())
    /// ```
    pub fn from_account(answer: &str) -> Result<Self, InvalidData> {
        let rows = match serde_json::from_str(answer) {
            Ok(QuotaAnswer::Enveloped { output: page } | QuotaAnswer::Page(page)) => page.quotas,
            Ok(QuotaAnswer::Rows(rows)) => rows,
            Err(error) => return Err(InvalidData::syntax(ModelQuota::NAME, error)),
        };
        let mut book = Book::empty();
        for row in rows {
            let limits = [row.model_limit, row.workspace_limit].into_iter().flatten();
            if let Some(quota) = limits.map(Limits::quota).reduce(least) {
                book.insert(row.model, quota);
            }
        }
        Ok(book)
    }
}

impl Limits {
    fn quota(self) -> ModelQuota {
        // A period of 0 would divide by zero, and cannot be meant.
        let requests = self.request_limit_period.unwrap_or(60).max(1);
        let tokens = self.usage_limit_period.unwrap_or(60).max(1);
        let period = requests.max(tokens);
        ModelQuota {
            requests: scaled(self.request_limit, requests, period),
            tokens: scaled(self.usage_limit, tokens, period),
            period: Duration::from_secs(period),
            is_dynamic: false,
        }
    }
}

/// The lower of both in each dimension, over the longer period.
fn least(one: ModelQuota, other: ModelQuota) -> ModelQuota {
    // Over the longer period nothing is allowed that either limit forbids on the whole.
    let period = one.period.max(other.period);
    let to =
        |quota: ModelQuota, amount| scaled(Some(amount), quota.period.as_secs(), period.as_secs());
    ModelQuota {
        requests: to(one, one.requests).min(to(other, other.requests)),
        tokens: to(one, one.tokens).min(to(other, other.tokens)),
        period,
        is_dynamic: false,
    }
}

/// A limit of one period as the same rate makes it over another, rounded down; no limit stays none.
fn scaled(limit: Option<u64>, period: u64, to: u64) -> u64 {
    match limit {
        None | Some(u64::MAX) => u64::MAX,
        Some(limit) => {
            // In 128 bits a product of two 64-bit figures cannot overflow.
            let scaled = u128::from(limit) * u128::from(to) / u128::from(period.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::InvalidDataKind;

    fn quota(row: &str) -> Option<ModelQuota> {
        let book = QuotaBook::from_account(&format!("[{row}]")).expect("rows");
        book.quota("m").copied()
    }

    fn of(requests: u64, tokens: u64, seconds: u64) -> Option<ModelQuota> {
        Some(ModelQuota {
            requests,
            tokens,
            period: Duration::from_secs(seconds),
            is_dynamic: false,
        })
    }

    #[test]
    fn periods_and_workspaces() {
        for (row, expected) in [
            (
                r#"{"model":"m","model_limit":{"request_limit":10,"request_limit_period":1,"usage_limit":6000,"usage_limit_period":60}}"#,
                of(600, 6_000, 60),
            ),
            (
                r#"{"model":"m","model_limit":{"request_limit":600,"request_limit_period":60,"usage_limit":83333,"usage_limit_period":6}}"#,
                of(600, 833_330, 60),
            ),
            (
                r#"{"model":"m","model_limit":{"request_limit":60,"usage_limit":null}}"#,
                of(60, u64::MAX, 60),
            ),
            (
                r#"{"model":"m","model_limit":{"request_limit":60,"usage_limit":9000,"usage_limit_period":null},
                    "workspace_limit":{"request_limit":100,"usage_limit":100,"request_limit_period":1,"usage_limit_period":1}}"#,
                of(60, 6_000, 60),
            ),
            (
                r#"{"model":"m","model_limit":null,"workspace_limit":{"request_limit":5,"usage_limit":7,"new":[]}}"#,
                of(5, 7, 60),
            ),
            (r#"{"model":"m"}"#, None),
            (
                r#"{"model":"m","model_limit":{"request_limit":18446744073709551615,"request_limit_period":0,"usage_limit":18446744073709551614}}"#,
                of(u64::MAX, u64::MAX - 1, 60),
            ),
        ] {
            assert_eq!(quota(row), expected, "{row}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for text in [
            "",
            "{}",
            "null",
            r#"{"code":"InvalidApiKey"}"#,
            r#"[{"id":1}]"#,
        ] {
            let error = QuotaBook::from_account(text).expect_err(text);
            assert_eq!(error.kind(), InvalidDataKind::Syntax);
        }
        for empty in ["[]", r#"{"quotas":[]}"#, r#"{"output":{"quotas":[]}}"#] {
            assert!(QuotaBook::from_account(empty).is_ok(), "{empty}");
        }
    }
}
