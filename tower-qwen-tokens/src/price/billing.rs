use std::time::SystemTime;

/// What a price depends on beside the tokens.
///
/// ```
/// use tower_qwen_tokens::price::Billing;
///
/// let billing = Billing::new().batch(true).service_tier("flex");
/// assert_eq!(billing.service_tier, Some("flex"));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Billing<'a> {
    /// Whether the call went through the batch interface. Default: no.
    pub batch: bool,
    /// When the call was sent, for prices that depend on the clock. Default: unknown, which costs the price of the day.
    pub at: Option<SystemTime>,
    /// The service tier that served the call, as the answer names it. Default: the usual one.
    pub service_tier: Option<&'a str>,
}

impl<'a> Billing<'a> {
    /// A call at the usual price.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the call went through the batch interface. Default: no.
    #[must_use]
    pub fn batch(mut self, batch: bool) -> Self {
        self.batch = batch;
        self
    }

    /// When the call was sent. Default: unknown.
    #[must_use]
    pub fn at(mut self, at: SystemTime) -> Self {
        self.at = Some(at);
        self
    }

    /// The service tier that served the call. Default: the usual one.
    #[must_use]
    pub fn service_tier(mut self, name: &'a str) -> Self {
        self.service_tier = Some(name);
        self
    }
}

/// Whether calls to this host are billed as batch: `batch.dashscope.aliyuncs.com`, which answers each call like the usual
/// host, only later and for half the price.
#[must_use]
pub fn is_batch_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("batch.dashscope.aliyuncs.com")
}

#[cfg(test)]
mod tests {
    use super::is_batch_host;

    #[test]
    fn only_one_host_is_for_batches() {
        assert!(is_batch_host("batch.dashscope.aliyuncs.com"));
        assert!(is_batch_host("Batch.DashScope.aliyuncs.com"));
        for other in [
            "dashscope.aliyuncs.com",
            "dashscope-intl.aliyuncs.com",
            "batch.dashscope.aliyuncs.com.example.org",
            "",
        ] {
            assert!(!is_batch_host(other), "{other}");
        }
    }
}
