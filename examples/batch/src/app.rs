//! The program: arguments in, exit status out.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};
use tokio::time::Instant;

use serde::Serialize;
use tokio::{
    fs::File,
    io::{AsyncBufRead, BufReader},
};
use tower_qwen_retry::RetryPolicy;
use tower_qwen_tokens::Ledger;

use crate::{
    advice::Target,
    args::Args,
    base_url::BaseUrl,
    dry_run::forecast,
    exit::{Exit, Failure},
    fleet::Admission,
    input::{Reader, bundled, count_calls},
    output::{self, Existing, OpenError, scan},
    progress::Progress,
    provider::{Environment, Provider, RunningMock, why_mock},
    request::Requests,
    run::Run,
    stack::{Stack, transport},
    stop::Stop,
    summary::{Facts, Summary},
    tally::Tally,
};

type Input = Box<dyn AsyncBufRead + Unpin + Send>;

/// Does what the arguments say.
///
/// # Errors
///
/// See [`Failure`].
pub async fn execute(args: &Args, environment: &Environment, stop: Stop) -> Result<Exit, Failure> {
    let provider =
        Provider::choose(args, environment).map_err(|why| Failure::Usage(why.to_string()))?;
    args.caps
        .check(&provider.prices(), args.model.as_deref())
        .map_err(|bad| Failure::Usage(bad.to_string()))?;
    let path = args.output(provider.is_mock());
    refuse_same_file(args, &path)?;
    if args.dry_run {
        return predict(args, &provider, &path).await;
    }
    let (input, total) = open_input(args).await?;
    let (mut writer, existing) =
        output::open(&path, &provider.name()).map_err(|error| unusable(&path, &error))?;
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
    let key = provider.key(environment);
    let target = match provider {
        Provider::Remote(_) => Target::remote(base.origin(), key),
        Provider::Mock => Target::built_in(),
    };
    if let Some(warning) = target.key.warning() {
        say(format_args!("{warning}"));
    }

    let admission = Admission::of(args)
        .await
        .map_err(|why| usage("--redis", why))?;
    let stack = Stack {
        limiter: admission.limiter.clone(),
        ledger: Ledger::new(provider.prices()),
        tally: Tally::default(),
        policy: RetryPolicy::default().max_attempts(args.max_attempts),
        budgets: args.caps.budgets(provider.prices()),
    };
    let run = Run {
        provider: provider.name(),
        requests: requests(args, key, base.clone())?,
        concurrency: args.concurrency(),
        deadline: args.deadline,
        max_failures: args.caps.max_failures,
    };
    let mut reader = Reader::new(input, base.clone());
    let mut progress = Progress::stderr(stack.clone(), total);
    let started = Instant::now();
    let client = stack.client(transport(run.concurrency));
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
    let duration = Instant::now().duration_since(started);
    progress.finish();
    let accounts = stack.limiter.snapshot();
    drop((progress, stack.limiter));
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
        quota: args.quota(),
        accounts: &accounts,
        duration,
        target: &target,
        stats: mock.as_ref().map(RunningMock::stats),
    });
    report(args, &summary)?;
    // Last, so that it stands where people read.
    for text in &summary.advice {
        say(format_args!("{text}"));
    }
    Ok(Exit::of(&summary, counts.ended.as_ref()))
}

async fn predict(args: &Args, provider: &Provider, path: &Path) -> Result<Exit, Failure> {
    let (input, _) = open_input(args).await?;
    let existing = match fs::File::open(path) {
        Ok(file) => scan(io::BufReader::new(file), |_| Ok(()))
            .map_err(|error| unusable(path, &error.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Existing::default(),
        Err(error) => return Err(unusable(path, &error.into())),
    };
    // A forecast that names no provider counts the answers of all.
    let is_named = args.mock || !provider.is_mock();
    if let Some(other) = existing.other_than(&provider.name()).filter(|_| is_named) {
        return Err(unusable(path, &OpenError::OtherProvider(other)));
    }
    let base = match provider {
        Provider::Remote(base) => base.clone(),
        Provider::Mock => BaseUrl::DASHSCOPE
            .parse()
            .map_err(|bad| usage("--base-url", bad))?,
    };
    let requests = requests(args, None, base.clone())?;
    let mut reader = Reader::new(input, base);
    let forecast = forecast(
        &mut reader,
        &existing.answered,
        &requests,
        args.quota(),
        &provider.prices(),
        |line| say(format_args!("{line}")),
    )
    .await
    .map_err(io_failure("reading the input"))?;
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
    let name = format!("--input {}", path.display());
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => usage(&name, "there is no such file"),
        _ => usage(&name, error),
    };
    let open = async || {
        let file = File::open(path).await.map_err(unreadable)?;
        let kind = file.metadata().await.map_err(unreadable)?;
        if kind.is_dir() {
            return Err(usage(&name, "it is a directory"));
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
