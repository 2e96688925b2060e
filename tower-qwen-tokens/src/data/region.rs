use serde::Deserialize;

/// Where the calls are made and billed: the regions of Model Studio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Region {
    /// The international site, in Singapore, billed in US dollars.
    #[default]
    #[serde(alias = "singapore")]
    International,
    /// Mainland China, in Beijing, billed in yuan.
    Beijing,
    /// Hong Kong.
    HongKong,
    /// Germany, in Frankfurt.
    Frankfurt,
    /// The United States, in Virginia.
    Virginia,
}

impl Region {
    /// The region that a host of the provider serves; `None` for any other host.
    ///
    /// ```
    /// use tower_qwen_tokens::data::Region;
    ///
    /// assert_eq!(Region::of_host("dashscope-intl.aliyuncs.com"), Some(Region::International));
    /// assert_eq!(Region::of_host("ws-1.eu-central-1.maas.aliyuncs.com"), Some(Region::Frankfurt));
    /// assert_eq!(Region::of_host("api.example.org"), None);
    /// ```
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        // One name for all workspaces, or one of its own for each.
        let region = match host {
            "dashscope.aliyuncs.com" | "batch.dashscope.aliyuncs.com" => "cn-beijing",
            "dashscope-intl.aliyuncs.com" => "ap-southeast-1",
            "dashscope-us.aliyuncs.com" => "us-east-1",
            "cn-hongkong.dashscope.aliyuncs.com" => "cn-hongkong",
            _ => host.strip_suffix(".maas.aliyuncs.com")?.rsplit_once('.')?.1,
        };
        Some(match region {
            "ap-southeast-1" => Self::International,
            "cn-beijing" => Self::Beijing,
            "cn-hongkong" => Self::HongKong,
            "eu-central-1" => Self::Frankfurt,
            "us-east-1" => Self::Virginia,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Region;

    #[test]
    fn hosts_tell_their_region() {
        for (host, region) in [
            ("dashscope.aliyuncs.com", Some(Region::Beijing)),
            ("batch.dashscope.aliyuncs.com", Some(Region::Beijing)),
            ("ws-1.cn-beijing.maas.aliyuncs.com", Some(Region::Beijing)),
            (
                "ws-1.ap-southeast-1.maas.aliyuncs.com",
                Some(Region::International),
            ),
            ("dashscope-us.aliyuncs.com", Some(Region::Virginia)),
            ("ws-1.us-east-1.maas.aliyuncs.com", Some(Region::Virginia)),
            ("cn-hongkong.dashscope.aliyuncs.com", Some(Region::HongKong)),
            (
                "trial.eu-central-1.maas.aliyuncs.com",
                Some(Region::Frankfurt),
            ),
            ("ws-1.ap-northeast-1.maas.aliyuncs.com", None),
            ("cn-beijing.maas.aliyuncs.com", None),
            ("maas.aliyuncs.com", None),
            ("dashscope.aliyuncs.com.example.org", None),
        ] {
            assert_eq!(Region::of_host(host), region, "{host}");
        }
    }
}
