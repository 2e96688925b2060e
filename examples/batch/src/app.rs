//! The program: arguments in, exit status out.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};
use tokio::time::Instant;

use serde::Serialize;
use tower::Layer;
use tower_qwen_retry::RetryPolicy;
use tower_qwen_tokens::Ledger;

use crate::{
    advice::Target,
    args::Args,
    base_url::BaseUrl,
    concurrency::Concurrency,
    dry_run::forecast,
    exit::{Exit, Failure},
    fleet::Admission,
    input::{self, BadLines, Opened, Wanted},
    model_quotas::ModelQuotas,
    news::News,
    output::{self, Existing, OpenError, scan},
    paths,
    progress::Progress,
    provider::{Environment, Provider, RunningMock, why_mock},
    quota_source::QuotaSource,
    request::Requests,
    run::Run,
    stack::{Stack, transport},
    stop::Stop,
    submit,
    summary::{Facts, Summary},
    tally::Tally,
};

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
    paths::check(args, &path).map_err(Failure::Usage)?;
    if args.submit.submit {
        return submit::execute(args, environment, provider, &path, stop).await;
    }
    if !args.dry_run {
        submit::check_no_jobs(&path)?;
    }
    // A pipe may have nothing to say for as long as it likes.
    let mut stopped = stop.clone();
    if args.dry_run {
        return tokio::select! {
            exit = predict(args, environment, &provider, &path) => exit,
            () = stopped.requested() => Ok(Exit::Stopped),
        };
    }
    let Opened { mut reader, total } = tokio::select! {
        opened = open_input(args, &path) => opened?,
        () = stopped.requested() => return Ok(Exit::Stopped),
    };
    let errors = args.input_args.errors.as_deref();
    if let Some(path) = errors {
        output::check_errors(path).map_err(|error| unusable(path, &error))?;
    }
    let (mut writer, existing) =
        output::open(&path, &provider.name()).map_err(|error| unusable(&path, &error))?;
    if let Some(path) = errors {
        let errors = output::open_errors(path).map_err(|error| unusable(path, &error))?;
        writer = writer.errors_to(errors);
    }
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

    let requests = requests(args, key, base.clone())?;
    let source = QuotaSource::choose(args, &provider, &base, requests.authorization()).await;
    let news = News::default();
    let admission = Admission::of(args, source.default_quota(), &news)
        .await
        .map_err(|why| usage("--redis", why))?;
    let concurrency = Concurrency::new(args.concurrency);
    let quotas = ModelQuotas::new(source, admission.limiter.clone(), concurrency, news);
    match &args.model {
        Some(model) => quotas.add(model),
        // Only a file of whole calls comes without it.
        None => reader
            .peek(|call| quotas.add_call(call))
            .await
            .map_err(io_failure("reading the input"))?,
    }
    for sentence in quotas.news().take() {
        say(format_args!("{sentence}"));
    }
    let stack = Stack {
        limiter: admission.limiter.clone(),
        ledger: Ledger::new(provider.prices()),
        tally: Tally::default(),
        policy: RetryPolicy::default().max_attempts(args.max_attempts),
        budgets: args.caps.budgets(provider.prices()),
    };
    let run = Run {
        provider: provider.name(),
        requests,
        concurrency: quotas.concurrency().clone(),
        deadline: args.deadline,
        max_failures: args.caps.max_failures,
    };
    let mut reader = reader.at(base.clone());
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
    let duration = Instant::now().duration_since(started);
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
    #[cfg(feature = "parquet")]
    if let Some(table) = args.parquet() {
        output::write_parquet(&path, table).map_err(io_failure("writing the Parquet file"))?;
    }

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

async fn predict(
    args: &Args,
    environment: &Environment,
    provider: &Provider,
    path: &Path,
) -> Result<Exit, Failure> {
    let Opened { reader, .. } = open_input(args, path).await?;
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
    let requests = requests(args, provider.key(environment), base.clone())?;
    let quotas = QuotaSource::choose(args, provider, &base, requests.authorization()).await;
    let mut reader = reader.at(base);
    let mut bad_lines = BadLines::default();
    let forecast = forecast(
        &mut reader,
        &existing.answered,
        &requests,
        &quotas,
        &provider.prices(),
        |line| {
            if let Some(text) = bad_lines.text(line) {
                say(format_args!("{text}"));
            }
        },
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

pub(crate) async fn open_input(args: &Args, output: &Path) -> Result<Opened, Failure> {
    let written: Vec<&Path> = [
        Some(output),
        args.parquet(),
        args.input_args.errors.as_deref(),
        args.summary.as_deref(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let wanted = Wanted {
        input: args.input.as_deref(),
        args: &args.input_args,
        has_model: args.model.is_some(),
        written: &written,
    };
    input::open(wanted)
        .await
        .map_err(|unusable| Failure::Usage(unusable.to_string()))
}

pub(crate) fn requests(args: &Args, key: Option<&str>, base: BaseUrl) -> Result<Requests, Failure> {
    let requests = Requests::new(base)
        .model(args.model.as_deref())
        .params(&args.input_args.param)
        .stream(args.stream);
    match key {
        Some(key) => requests
            .key(key)
            .map_err(|bad| usage("DASHSCOPE_API_KEY", bad)),
        None => Ok(requests),
    }
}

pub(crate) fn tell_existing(path: &Path, existing: &Existing) {
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
pub(crate) fn report<T: Serialize + fmt::Display>(args: &Args, result: &T) -> Result<(), Failure> {
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

pub(crate) fn say(text: fmt::Arguments<'_>) {
    // Nobody may be listening.
    writeln!(io::stderr(), "{text}").ok();
}

pub(crate) fn usage(what: &str, why: impl fmt::Display) -> Failure {
    Failure::Usage(format!("{what}: {why}"))
}

pub(crate) fn unusable(path: &Path, error: &OpenError) -> Failure {
    usage(&path.display().to_string(), error)
}

pub(crate) fn io_failure(doing: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::Io { doing, error }
}
