//! Whom the calls go to.

use std::{env, fmt, io};

use mock_qwen::{Config, MockQwen, Stats};
use tower_qwen_tokens::{PriceBook, price::Region};

use crate::{
    args::Args,
    base_url::{BadUrl, BaseUrl},
};

/// What the environment says.
#[derive(Clone, Default)]
pub struct Environment {
    /// `DASHSCOPE_API_KEY`.
    pub key: Option<String>,
    /// `DASHSCOPE_BASE_URL`.
    pub base_url: Option<String>,
}

/// Whom the calls go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// A server, with or without a key.
    Remote(BaseUrl),
    /// The mock inside this process.
    Mock,
}

/// Why no provider can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoProvider {
    /// There is a file of calls, and neither a key nor an address for them.
    Unnamed,
    /// The address is of no use.
    Address(BadUrl),
}

/// The mock, while it runs. Stops when dropped.
#[derive(Debug)]
pub struct RunningMock {
    running: mock_qwen::RunningMock,
    base: BaseUrl,
}

impl Environment {
    /// Reads the environment. Empty variables count as missing.
    #[must_use]
    pub fn read() -> Self {
        let variable = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
        Self {
            key: variable("DASHSCOPE_API_KEY"),
            base_url: variable("DASHSCOPE_BASE_URL"),
        }
    }
}

impl Provider {
    /// The mock where `--mock` is given, else the server that arguments and environment name.
    ///
    /// With neither an address nor a key, the mock answers the bundled prompts only. A file of the user's own is
    /// refused: invented answers in its output would count as real in the next run.
    ///
    /// # Errors
    ///
    /// See [`NoProvider`].
    pub fn choose(args: &Args, environment: &Environment) -> Result<Self, NoProvider> {
        if args.mock {
            return Ok(Self::Mock);
        }
        let address = args.base_url.as_deref().or(environment.base_url.as_deref());
        match (address, &environment.key) {
            (Some(address), _) => Ok(Self::Remote(address.parse()?)),
            (None, Some(_)) => Ok(Self::Remote(BaseUrl::DASHSCOPE.parse()?)),
            // A forecast sends nothing, so nothing is invented.
            (None, None) if args.input.is_none() || args.dry_run => Ok(Self::Mock),
            (None, None) => Err(NoProvider::Unnamed),
        }
    }

    /// The key that its calls carry. The mock needs none.
    #[must_use]
    pub fn key<'a>(&self, environment: &'a Environment) -> Option<&'a str> {
        match self {
            Self::Remote(_) => environment.key.as_deref(),
            Self::Mock => None,
        }
    }

    /// Whether it is the mock.
    #[must_use]
    pub fn is_mock(&self) -> bool {
        matches!(self, Self::Mock)
    }

    /// Its prices: those of the region that its host serves, the international ones (USD) elsewhere.
    #[must_use]
    pub fn prices(&self) -> PriceBook {
        let region = match self {
            Self::Remote(base) => region(base.origin()),
            Self::Mock => None,
        };
        PriceBook::builtin().region(region.unwrap_or_default())
    }
}

impl RunningMock {
    /// Starts the mock on a free port of this machine. Its quotas are those that the run keeps to.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start(args: &Args) -> io::Result<Self> {
        let quota = args.told_quota();
        let mock = MockQwen::new(Config {
            rpm: quota.requests(),
            tpm: quota.tokens(),
            window: quota.window_length(),
            ..Config::default()
        });
        let running = mock_qwen::RunningMock::start(mock).await?;
        let base = running.base_url().parse().map_err(io::Error::other)?;
        Ok(Self { running, base })
    }

    /// Where it listens.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// What it has seen.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.running.stats()
    }
}

/// Why the calls go to the mock, for people to read.
#[must_use]
pub fn why_mock(args: &Args, environment: &Environment) -> &'static str {
    if !args.mock {
        return "Neither DASHSCOPE_API_KEY nor an address is set";
    }
    match (&environment.key, &environment.base_url) {
        (None, None) => "--mock",
        (Some(_), None) => "--mock ignores DASHSCOPE_API_KEY",
        (None, Some(_)) => "--mock ignores DASHSCOPE_BASE_URL",
        (Some(_), Some(_)) => "--mock ignores DASHSCOPE_API_KEY and DASHSCOPE_BASE_URL",
    }
}

fn region(origin: &str) -> Option<Region> {
    let host = origin.rsplit_once("://").map_or(origin, |(_, host)| host);
    Region::of_host(host.split_once(':').map_or(host, |(host, _)| host))
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

impl From<BadUrl> for NoProvider {
    fn from(bad: BadUrl) -> Self {
        Self::Address(bad)
    }
}

impl fmt::Display for NoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str(
                "--input needs a provider: set DASHSCOPE_API_KEY, give an address with --base-url, \
                 or add --mock for invented answers",
            ),
            Self::Address(bad) => write!(f, "--base-url: {bad}"),
        }
    }
}

impl std::error::Error for NoProvider {}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn chosen(
        line: &[&str],
        key: Option<&str>,
        base_url: Option<&str>,
    ) -> Result<String, NoProvider> {
        let args = Args::try_parse_from(std::iter::once(&"batch").chain(line)).expect("good usage");
        let environment = Environment {
            key: key.map(str::to_owned),
            base_url: base_url.map(str::to_owned),
        };
        assert!(!format!("{environment:?}").contains("secret"));
        let provider = Provider::choose(&args, &environment)?;
        let sent = provider.key(&environment);
        assert_eq!(sent, key.filter(|_| !provider.is_mock()));
        Ok(match provider {
            Provider::Remote(base) => base.origin().to_owned(),
            Provider::Mock => "mock".to_owned(),
        })
    }

    #[test]
    fn a_file_without_a_provider_is_refused_unless_nothing_is_sent() {
        let file = &["--input", "calls.jsonl"][..];
        assert_eq!(chosen(file, None, None), Err(NoProvider::Unnamed));
        let forecast = &["--input", "calls.jsonl", "--dry-run"];
        assert_eq!(chosen(forecast, None, None).as_deref(), Ok("mock"));
        let dashscope = Ok("https://dashscope.aliyuncs.com");
        assert_eq!(chosen(file, Some("sk-secret"), None).as_deref(), dashscope);
        let address = "http://env";
        assert_eq!(chosen(file, None, Some(address)).as_deref(), Ok(address));
    }

    #[test]
    fn the_mock_by_name_ignores_the_environment() {
        for line in [&["--mock"][..], &["--mock", "--input", "calls.jsonl"]] {
            for (key, base_url) in [
                (None, None),
                (Some("sk-secret"), None),
                (None, Some("http://env")),
                (Some("sk-secret"), Some("not an address")),
            ] {
                assert_eq!(chosen(line, key, base_url).as_deref(), Ok("mock"));
            }
        }
    }

    #[test]
    fn the_bundled_prompts_go_to_the_mock_only_where_nothing_is_named() {
        let flag = &["--base-url", "http://flag"][..];
        assert_eq!(chosen(&[], None, None).as_deref(), Ok("mock"));
        let dashscope = Ok("https://dashscope.aliyuncs.com");
        assert_eq!(chosen(&[], Some("sk-secret"), None).as_deref(), dashscope);
        assert_eq!(
            chosen(&[], None, Some("http://env")).as_deref(),
            Ok("http://env")
        );
        assert_eq!(
            chosen(flag, None, Some("http://env")).as_deref(),
            Ok("http://flag")
        );
        assert_eq!(
            chosen(flag, Some("sk-secret"), None).as_deref(),
            Ok("http://flag")
        );
        assert_eq!(
            chosen(&["--base-url", "h"], None, None),
            Err(NoProvider::Address(BadUrl::Scheme))
        );
    }

    #[test]
    fn prices_go_by_the_host() {
        for (origin, expected) in [
            ("https://dashscope.aliyuncs.com", Some(Region::Beijing)),
            ("https://dashscope.aliyuncs.com:443", Some(Region::Beijing)),
            (
                "https://w.eu-central-1.maas.aliyuncs.com",
                Some(Region::Frankfurt),
            ),
            ("http://127.0.0.1:80", None),
        ] {
            assert_eq!(region(origin), expected, "{origin}");
        }
    }
}
