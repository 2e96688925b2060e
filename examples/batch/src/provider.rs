//! Whom the calls go to.

use std::{env, fmt, io, sync::LazyLock};

use mock_qwen::{Config, MockQwen, Models, Stats};
use tower_qwen_tokens::{PriceBook, price::Region};

use crate::{
    args::Args,
    base_url::{BadUrl, BaseUrl},
};

/// The name of the mock in the lines of the output.
pub const MOCK: &str = "mock-qwen";

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
    /// The bundled prompts are to go to a real provider, and there is neither a key nor an address.
    UnnamedBundled,
    /// An argument is for a real provider, and the bundled prompts do not go to one unless they are asked for.
    NotBundled(&'static str),
    /// The address cannot be used. It comes from here.
    Address(&'static str, BadUrl),
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
        Self {
            key: Self::variable("DASHSCOPE_API_KEY"),
            base_url: Self::variable("DASHSCOPE_BASE_URL"),
        }
    }

    /// A variable; `None` where it is missing or empty.
    #[must_use]
    pub fn variable(name: &str) -> Option<String> {
        env::var(name).ok().filter(|value| !value.trim().is_empty())
    }
}

impl Provider {
    /// The mock where `--mock` is given, and for the bundled prompts without `--bundled`; else the server that arguments
    /// and environment name.
    ///
    /// A file of the user's own without a server is an error: invented answers in its output would count as real in the
    /// next run. The bundled prompts go to the mock even where a key is set: it is set for other programs, and nobody
    /// asked for 240 calls to be paid.
    ///
    /// # Errors
    ///
    /// See [`NoProvider`].
    pub fn choose(args: &Args, environment: &Environment) -> Result<Self, NoProvider> {
        if args.mock {
            return Ok(Self::Mock);
        }
        if args.input.is_none() && !args.bundled {
            return match (&args.base_url, &args.redis) {
                (Some(_), _) => Err(NoProvider::NotBundled("--base-url")),
                (None, Some(_)) => Err(NoProvider::NotBundled("--redis")),
                (None, None) => Ok(Self::Mock),
            };
        }
        if let Some(address) = &args.base_url {
            return Self::at(address, "--base-url");
        }
        match (&environment.base_url, &environment.key) {
            (Some(address), _) => Self::at(address, "DASHSCOPE_BASE_URL"),
            (None, Some(_)) => Self::at(BaseUrl::DASHSCOPE, "the default address"),
            // A forecast sends nothing, so nothing is invented.
            (None, None) if args.dry_run => Ok(Self::Mock),
            (None, None) if args.bundled => Err(NoProvider::UnnamedBundled),
            (None, None) => Err(NoProvider::Unnamed),
        }
    }

    fn at(address: &str, from: &'static str) -> Result<Self, NoProvider> {
        match address.parse() {
            Ok(base) => Ok(Self::Remote(base)),
            Err(bad) => Err(NoProvider::Address(from, bad)),
        }
    }

    /// Its name in the lines of the output: what one provider answered is never taken for the answer of another.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Remote(base) => without_default_port(&base.origin().to_ascii_lowercase()),
            // Not its address, which has another port in each run.
            Self::Mock => MOCK.to_owned(),
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
    /// Starts the mock on a free port of this machine. Its quotas are those that the run keeps to, and its models those of
    /// the provider: a name that is spelt wrong is to be found here, and not where it costs money.
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
            models: Models::Those(is_known),
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
pub fn why_mock(args: &Args, environment: &Environment) -> String {
    let why = match args.mock {
        true => "--mock",
        false => "Without --input",
    };
    let ignored = match (&environment.key, &environment.base_url) {
        (None, None) => return why.to_owned(),
        (Some(_), None) => "DASHSCOPE_API_KEY",
        (None, Some(_)) => "DASHSCOPE_BASE_URL",
        (Some(_), Some(_)) => "DASHSCOPE_API_KEY and DASHSCOPE_BASE_URL",
    };
    match args.mock {
        true => format!("{why} ignores {ignored}"),
        false => format!("{why} or --bundled this program ignores {ignored}"),
    }
}

/// The same address may be written with its port or without.
fn without_default_port(origin: &str) -> String {
    let port = match origin.starts_with("https://") {
        true => ":443",
        false => ":80",
    };
    origin.strip_suffix(port).unwrap_or(origin).to_owned()
}

/// Whether the provider has a model, as far as its prices show: in any region.
fn is_known(model: &str) -> bool {
    const REGIONS: [Region; 5] = [
        Region::International,
        Region::Beijing,
        Region::HongKong,
        Region::Frankfurt,
        Region::Virginia,
    ];
    // Reading the prices takes longer than an answer of the mock.
    static PRICES: LazyLock<Vec<PriceBook>> = LazyLock::new(|| {
        let book = PriceBook::builtin();
        REGIONS.map(|region| book.clone().region(region)).to_vec()
    });
    PRICES.iter().any(|prices| prices.price(model).is_some())
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

impl fmt::Display for NoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str(
                "--input needs a provider: set DASHSCOPE_API_KEY, give an address with --base-url, \
                 or add --mock for invented answers",
            ),
            Self::UnnamedBundled => f.write_str(
                "--bundled needs a provider: set DASHSCOPE_API_KEY, or give an address with --base-url",
            ),
            Self::NotBundled(argument) => write!(
                f,
                "{argument} needs a file of calls (--input FILE), or --bundled to send the bundled prompts: without both \
                 these go to the built-in provider"
            ),
            Self::Address(from, bad) => write!(f, "{from}: {bad}"),
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
    fn the_bundled_prompts_go_to_the_mock_whatever_the_environment_says() {
        for (key, base_url) in [
            (None, None),
            (Some("sk-secret"), None),
            (None, Some("http://env")),
            (Some("sk-secret"), Some("not an address")),
        ] {
            for line in [&[][..], &["--mock", "--bundled"]] {
                assert_eq!(chosen(line, key, base_url).as_deref(), Ok("mock"));
            }
        }
        for (line, argument) in [
            (&["--base-url", "http://flag"][..], "--base-url"),
            (&["--redis", "redis://h"], "--redis"),
        ] {
            let none = Err(NoProvider::NotBundled(argument));
            assert_eq!(chosen(line, Some("sk-secret"), None), none);
        }
    }

    #[test]
    fn the_bundled_prompts_go_to_a_real_provider_where_that_is_asked_for() {
        let bundled = &["--bundled"][..];
        let flag = &["--bundled", "--base-url", "http://flag"][..];
        assert_eq!(chosen(bundled, None, None), Err(NoProvider::UnnamedBundled));
        let forecast = &["--bundled", "--dry-run"];
        assert_eq!(chosen(forecast, None, None).as_deref(), Ok("mock"));
        let dashscope = Ok("https://dashscope.aliyuncs.com");
        assert_eq!(
            chosen(bundled, Some("sk-secret"), None).as_deref(),
            dashscope
        );
        assert_eq!(
            chosen(bundled, None, Some("http://env")).as_deref(),
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
            chosen(&["--bundled", "--base-url", "h"], None, None),
            Err(NoProvider::Address("--base-url", BadUrl::Scheme))
        );
        assert_eq!(
            chosen(bundled, None, Some("ftp://h")),
            Err(NoProvider::Address("DASHSCOPE_BASE_URL", BadUrl::Scheme))
        );
    }

    #[test]
    fn one_provider_has_one_name() -> Result<(), BadUrl> {
        for (address, expected) in [
            (
                "https://Dashscope.aliyuncs.com:443/v1",
                "https://dashscope.aliyuncs.com",
            ),
            ("http://h:80", "http://h"),
            ("http://h:443", "http://h:443"),
            ("https://h:8443/v1", "https://h:8443"),
        ] {
            assert_eq!(Provider::Remote(address.parse()?).name(), expected);
        }
        assert_eq!(Provider::Mock.name(), "mock-qwen");
        Ok(())
    }

    #[test]
    fn the_mock_has_the_models_of_the_provider() {
        for (model, expected) in [
            ("qwen-plus", true),
            ("qwen-plus-2025-07-28", true),
            ("text-embedding-v4", true),
            ("qwen-nope", false),
            ("", false),
        ] {
            assert_eq!(is_known(model), expected, "{model}");
        }
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
