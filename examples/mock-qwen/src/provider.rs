//! Whom an example calls.

use std::{env, fmt, io};

use crate::config::Config;
use crate::running::RunningMock;
use crate::server::MockQwen;
use crate::stats::Stats;

/// Whom an example calls: the provider that the environment names, else a mock in this process.
pub struct Provider {
    base_url: String,
    key: String,
    mock: Option<RunningMock>,
}

const DASHSCOPE: &str = "https://dashscope.aliyuncs.com/compatible-mode/v1";

impl Provider {
    /// The provider at `DASHSCOPE_BASE_URL` with the key `DASHSCOPE_API_KEY`. Either may be missing; without both it is a
    /// mock with the default settings.
    ///
    /// # Errors
    ///
    /// When no port can be had for the mock.
    pub async fn of_environment() -> io::Result<Self> {
        let variable = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
        match (
            variable("DASHSCOPE_BASE_URL"),
            variable("DASHSCOPE_API_KEY"),
        ) {
            (None, None) => Self::mock(Config::default()).await,
            (base_url, key) => Ok(Self {
                base_url: base_url
                    .as_deref()
                    .unwrap_or(DASHSCOPE)
                    .trim_end_matches('/')
                    .to_owned(),
                key: key.unwrap_or_default(),
                mock: None,
            }),
        }
    }

    /// A mock with these settings.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn mock(config: Config) -> io::Result<Self> {
        let mock = RunningMock::start(MockQwen::new(config)).await?;
        Ok(Self {
            base_url: mock.base_url(),
            key: "sk-mock".to_owned(),
            mock: Some(mock),
        })
    }

    /// The base of the compatible dialect's addresses, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Where chats are completed.
    #[must_use]
    pub fn chat_url(&self) -> String {
        format!("{}/chat/completions", self.base_url)
    }

    /// The key for the bearer header.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the mock has seen so far; `None` of a real provider.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        self.mock.as_ref().map(RunningMock::stats)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}
