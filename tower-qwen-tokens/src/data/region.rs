use serde::Deserialize;

/// Where the calls are made and billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Region {
    /// The international site, in Singapore, billed in US dollars.
    #[default]
    International,
    /// Mainland China, in Beijing, billed in yuan.
    Beijing,
}
