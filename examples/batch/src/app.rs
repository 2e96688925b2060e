//! The program: arguments in, exit status out.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::time::Instant;

use serde::Serialize;
use tokio::{
    fs::File,
    io::{AsyncBufRead, AsyncBufReadExt, BufReader},
};
use tower::Layer;
use tower_qwen_retry::RetryPolicy;
use tower_qwen_tokens::Ledger;

use crate::{
    args::Args,
    base_url::BaseUrl,
    concurrency::Concurrency,
    dry_run::forecast,
    fleet::Admission,
    input::{Reader, bundled, count_calls},
    model_quotas::ModelQuotas,
    news::News,
    output::{self, Existing, OpenError, scan},
    progress::Progress,
    provider::{Environment, Provider, RunningMock, why_mock},
    quota_source::QuotaSource,
    request::Requests,
    run::Run,
    stack::{Stack, transport},
    stop::Stop,
    summary::{Facts, Summary},
    tally::Tally,
};

type Input = Box<dyn AsyncBufRead + Unpin + Send>;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All calls are answered.
    Done,
    /// Some calls failed, or some lines were no calls.
    SomeFailed,
    /// It was stopped.
    Stopped,
}

/// Why the program could not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The arguments cannot be followed. Nothing was sent.
    Usage(String),
    /// Reading or writing failed on the way. What was written is valid, and the run can be repeated.
    Io {
        /// What was tried.
        doing: &'static str,
        /// What came of it.
        error: io::Error,
    },
}

/// Does what the arguments say.
///
/// # Errors
///
/// See [`Failure`].
pub async fn execute(args: &Args, environment: &Environment, stop: Stop) -> Result<Exit, Failure> {
    let provider =
        Provider::choose(args, environment).map_err(|why| Failure::Usage(why.to_string()))?;
    let path = args.output(provider.is_mock());
    refuse_same_file(args, &path)?;
    if args.dry_run {
        return predict(args, environment, &provider, &path).await;
    }
    let (mut input, total) = open_input(args).await?;
    let (mut writer, existing) = output::open(&path).map_err(|error| unusable(&path, &error))?;
    tell_existing(&path, &existing);

    let mock = match provider {
        Provider::Mock => Some(
            RunningMock::start(args)
                .await
                .map_err(io_failure("starting the mock"))?,
        ),
        Provider::Remote(_) => None,
    };
    let base = match (&provider, &mock) {
        (Provider::Remote(base), _) => base.clone(),
        (Provider::Mock, Some(mock)) => {
            say(format_args!(
                "{}: calls go to mock-qwen inside this process, at {}.",
                why_mock(args, environment),
                mock.base().origin()
            ));
            mock.base().clone()
        }
        (Provider::Mock, None) => return Err(Failure::Usage("no provider".to_owned())),
    };
    say(format_args!("Answers go to {}.", path.display()));

    if args.redis.is_some() && mock.is_some() {
        let why = "the mock inside this process has nobody to share with: name an address";
        return Err(usage("--redis", why));
    }
    let requests = requests(args, provider.key(environment), base.clone())?;
    let source = QuotaSource::choose(args, &provider, &base, requests.authorization()).await;
    let news = News::default();
    let admission = Admission::of(args, source.default_quota(), &news)
        .await
        .map_err(|why| usage("--redis", why))?;
    let concurrency = Concurrency::new(args.concurrency);
    let quotas = ModelQuotas::new(source, admission.limiter.clone(), concurrency, news);
    match &args.model {
        Some(model) => quotas.add(model),
        // What is in the buffer is read again by the run, so this takes nothing from a pipe.
        None => {
            let first = input.fill_buf().await;
            quotas.add_lines(first.map_err(io_failure("reading the input"))?);
        }
    }
    for sentence in quotas.news().take() {
        say(format_args!("{sentence}"));
    }
    let stack = Stack {
        limiter: admission.limiter.clone(),
        ledger: Ledger::new(provider.prices()),
        tally: Tally::default(),
        policy: RetryPolicy::default().max_attempts(args.max_attempts),
    };
    let run = Run {
        requests,
        concurrency: quotas.concurrency().clone(),
        deadline: args.deadline,
    };
    let mut reader = Reader::new(input, base.clone());
    let mut progress = Progress::stderr(stack.clone(), total).quotas(quotas.clone());
    let started = Instant::now();
    let client = quotas.layer(stack.client(transport(run.concurrency.most())));
    let outcome = run
        .run(
            client,
            &mut reader,
            &existing.answered,
            &mut writer,
            stop,
            &mut progress,
        )
        .await;
    let makespan = Instant::now().duration_since(started);
    progress.finish();
    let accounts = stack.limiter.snapshot();
    let (quota, found) = (stack.limiter.quota(), quotas.found());
    for sentence in quotas.news().take() {
        say(format_args!("{sentence}"));
    }
    drop((progress, quotas, stack.limiter));
    admission.end().await;
    writer.sync().map_err(io_failure("writing the output"))?;
    let counts = outcome.map_err(io_failure("running"))?;

    let summary = Summary::new(Facts {
        provider: match &mock {
            Some(_) => "mock-qwen, built in".to_owned(),
            None => base.origin().to_owned(),
        },
        counts: &counts,
        attempts: stack.tally.attempts(),
        totals: stack.ledger.snapshot().total,
        quota,
        quotas: &found,
        accounts: &accounts,
        makespan,
        stats: mock.as_ref().map(RunningMock::stats),
    });
    report(args, &summary)?;
    Ok(match summary {
        Summary { stopped: true, .. } => Exit::Stopped,
        summary if summary.has_failures() => Exit::SomeFailed,
        _ => Exit::Done,
    })
}

async fn predict(
    args: &Args,
    environment: &Environment,
    provider: &Provider,
    path: &Path,
) -> Result<Exit, Failure> {
    let (input, _) = open_input(args).await?;
    let existing = match fs::File::open(path) {
        Ok(file) => scan(io::BufReader::new(file), |_| Ok(()))
            .map_err(|error| unusable(path, &error.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Existing::default(),
        Err(error) => return Err(unusable(path, &error.into())),
    };
    let base = match provider {
        Provider::Remote(base) => base.clone(),
        Provider::Mock => BaseUrl::DASHSCOPE
            .parse()
            .map_err(|bad| usage("--base-url", bad))?,
    };
    let requests = requests(args, provider.key(environment), base.clone())?;
    let quotas = QuotaSource::choose(args, provider, &base, requests.authorization()).await;
    let mut reader = Reader::new(input, base);
    let forecast = forecast(
        &mut reader,
        &existing.answered,
        &requests,
        &quotas,
        &provider.prices(),
        |line| say(format_args!("{line}")),
    )
    .await
    .map_err(io_failure("reading the input"))?;
    for sentence in quotas.sentences(forecast.models.keys()) {
        say(format_args!("{sentence}"));
    }
    say(format_args!("No call was sent."));
    report(args, &forecast)?;
    Ok(match forecast.bad_lines + forecast.unread {
        0 => Exit::Done,
        _ => Exit::SomeFailed,
    })
}

/// The input, and how many lines it has where that can be told.
async fn open_input(args: &Args) -> Result<(Input, Option<u64>), Failure> {
    let Some(path) = &args.input else {
        let total = count_calls(bundled())
            .await
            .map_err(io_failure("reading the input"))?;
        return Ok((Box::new(bundled()), Some(total)));
    };
    let unreadable = |error: io::Error| usage(&path.display().to_string(), error);
    let open = async || {
        let file = File::open(path).await.map_err(unreadable)?;
        let kind = file.metadata().await.map_err(unreadable)?;
        if kind.is_dir() {
            return Err(usage(&path.display().to_string(), "it is a directory"));
        }
        Ok((BufReader::with_capacity(1 << 16, file), kind.is_file()))
    };
    let (input, is_file) = open().await?;
    // What is no file can be read once only.
    let total = match is_file {
        true => Some(count_calls(open().await?.0).await.map_err(unreadable)?),
        false => None,
    };
    Ok((Box::new(input), total))
}

fn requests(args: &Args, key: Option<&str>, base: BaseUrl) -> Result<Requests, Failure> {
    let requests = Requests::new(base)
        .model(args.model.as_deref())
        .stream(args.stream);
    match key {
        Some(key) => requests
            .key(key)
            .map_err(|bad| usage("DASHSCOPE_API_KEY", bad)),
        None => Ok(requests),
    }
}

fn refuse_same_file(args: &Args, output: &Path) -> Result<(), Failure> {
    let same = |one: &Path, other: &Path| {
        one == other
            || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
    };
    for (name, other) in [("--input", &args.input), ("--summary", &args.summary)] {
        if other.as_deref().is_some_and(|other| same(other, output)) {
            return Err(Failure::Usage(format!(
                "{name} and --output are the same file"
            )));
        }
    }
    Ok(())
}

fn tell_existing(path: &Path, existing: &Existing) {
    let path = path.display();
    if !existing.answered.is_empty() {
        let answered = existing.answered.len();
        say(format_args!(
            "{path} holds {answered} answers already; these calls are not made again."
        ));
    }
    if existing.stale > 0 {
        say(format_args!(
            "{} lines without an answer of their own were taken out of it.",
            existing.stale
        ));
    }
    if existing.torn > 0 {
        say(format_args!(
            "A torn line of {} bytes at its end was cut off.",
            existing.torn
        ));
    }
}

/// The table and the same as JSON on the standard output, and the JSON in the file that was asked for.
fn report<T: Serialize + fmt::Display>(args: &Args, result: &T) -> Result<(), Failure> {
    let json = serde_json::to_string(result)
        .map_err(io::Error::from)
        .map_err(io_failure("writing the summary"))?;
    let mut out = io::stdout().lock();
    // Whoever read the output may have gone; the summary file is written all the same.
    writeln!(out, "{result}\n{json}").ok();
    match &args.summary {
        Some(path) => write_whole(path, &json).map_err(io_failure("writing the summary")),
        None => Ok(()),
    }
}

fn write_whole(path: &PathBuf, json: &str) -> io::Result<()> {
    fs::write(path, format!("{json}\n"))
}

fn say(text: fmt::Arguments<'_>) {
    // Nobody may be listening.
    writeln!(io::stderr(), "{text}").ok();
}

fn usage(what: &str, why: impl fmt::Display) -> Failure {
    Failure::Usage(format!("{what}: {why}"))
}

fn unusable(path: &Path, error: &OpenError) -> Failure {
    usage(&path.display().to_string(), error)
}

fn io_failure(doing: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::Io { doing, error }
}

impl Failure {
    /// The exit status of the program.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Io { .. } => ExitCode::from(1),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::SomeFailed => Self::from(1),
            Exit::Stopped => Self::from(130),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Io { doing, error } => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for Failure {}
