//! The program: arguments in, exit status out.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::time::Instant;

use futures_util::future::join_all;
use http::HeaderValue;
use serde::Serialize;
use tower::Layer;
use tower_qwen_retry::RetryPolicy;
use tower_qwen_tokens::Ledger;

use crate::{
    accounts::{self, Account, AccountUse, Chosen},
    advice::{KeyKind, Target},
    args::Args,
    base_url::BaseUrl,
    concurrency::Concurrency,
    dry_run::forecast,
    exit::{Exit, Failure},
    fleet::Admission,
    input::{self, BadLines, Opened, Wanted},
    measure::{Measure, Measured},
    model_quotas::ModelQuotas,
    news::News,
    output::{self, Existing, OpenError, scan},
    paths,
    plan::Plan,
    progress::Progress,
    provider::{Environment, Provider, RunningMock, why_mock},
    quota_source::QuotaSource,
    report::{Report, page, write},
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
    let chosen = accounts::choose(args, environment).map_err(Failure::Usage)?;
    let Chosen { provider, .. } = &chosen;
    for prices in chosen.prices() {
        args.caps
            .check(&prices, args.model.as_deref())
            .map_err(|bad| Failure::Usage(bad.to_string()))?;
    }
    let path = args.output(provider.is_mock());
    paths::check(args, &path).map_err(Failure::Usage)?;
    if args.submit.submit {
        return submit::execute(args, environment, chosen.provider, &path, stop).await;
    }
    if !args.dry_run {
        submit::check_no_jobs(&path)?;
    }
    // A pipe may have nothing to say for as long as it likes.
    let mut stopped = stop.clone();
    if args.dry_run {
        return tokio::select! {
            exit = predict(args, environment, &chosen, &path) => exit,
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
        output::open(&path, &chosen.names()).map_err(|error| unusable(&path, &error))?;
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
    let base = match (provider, &mock) {
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
    let target = match (provider, chosen.accounts.first()) {
        (Provider::Remote(_), Some(account)) => account.target(),
        (Provider::Remote(_), None) => Target::remote(base.origin(), key),
        (Provider::Mock, _) => Target::built_in(),
    };
    let kinds = chosen.accounts.iter().map(Account::key_kind);
    if let Some(warning) = kinds.chain([target.key]).find_map(KeyKind::warning) {
        say(format_args!("{warning}"));
    }

    let news = News::default();
    let accounts = chosen.running(mock.as_ref(), &news);
    let (base, key) = match &accounts {
        // Each account puts its own address and key on its calls.
        Some(accounts) => (accounts.get(0).base().clone(), None),
        None => (base, key),
    };
    let requests = requests(args, key, base.clone())?;
    let sources = sources(args, &chosen, &base, requests.authorization()).await;
    let admission = Admission::of(args, sources[0].default_quota(), &news)
        .await
        .map_err(|why| usage("--redis", why))?;
    let concurrency = Concurrency::new(args.concurrency);
    let limiter = admission.limiter.clone();
    let quotas = match &accounts {
        Some(accounts) => {
            let sources = accounts.iter().cloned().zip(sources);
            ModelQuotas::of_accounts(sources, limiter, concurrency, news)
        }
        None => {
            let source = sources.into_iter().next();
            let source = source.ok_or_else(|| Failure::Usage("no provider".to_owned()))?;
            ModelQuotas::new(source, limiter, concurrency, news)
        }
    };
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
    let measure = Measure::start();
    let policy = RetryPolicy::default().max_attempts(args.max_attempts);
    let stack = Stack {
        limiter: admission.limiter.clone(),
        ledger: Ledger::new(provider.prices()).with_sink(Arc::new(measure.clone())),
        tally: Tally::default(),
        policy: match &accounts {
            Some(accounts) => accounts.policy(policy, &admission.limiter),
            None => policy,
        },
        budgets: args.caps.budgets(provider.prices(), &chosen.accounts),
        accounts: accounts.clone(),
    };
    let run = Run {
        provider: provider.name(),
        accounts,
        requests,
        concurrency: quotas.concurrency().clone(),
        deadline: args.deadline,
        max_failures: args.caps.max_failures,
    };
    let mut reader = reader.at(base.clone());
    let progress = Progress::stderr(stack.clone(), total).quotas(quotas.clone());
    let mut watched = Measured::new(progress, measure.clone(), stack.limiter.clone());
    let started = Instant::now();
    let client = quotas.layer(stack.client(transport(run.concurrency.most())));
    let outcome = run
        .run(
            client,
            &mut reader,
            &existing.answered,
            &mut writer,
            stop,
            &mut watched,
        )
        .await;
    let duration = Instant::now().duration_since(started);
    let progress = watched.into_inner();
    progress.finish();
    let accounts = stack.limiter.snapshot();
    let (quota, found) = (stack.limiter.quota(), quotas.found());
    let used = AccountUse::all(stack.accounts.as_ref(), &stack.limiter);
    let booked = stack.booked();
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

    let measured = measure.models();
    let mut summary = Summary::new(Facts {
        provider: match &mock {
            Some(_) => "mock-qwen, built in".to_owned(),
            None => chosen.origins(),
        },
        counts: &counts,
        attempts: stack.tally.attempts(),
        totals: booked.total,
        quota,
        quotas: &found,
        accounts: &accounts,
        used,
        duration,
        target: &target,
        measured: &measured,
        stats: mock.as_ref().map(RunningMock::stats),
    });
    if let Some(accounts) = &stack.accounts
        && let Some(advice) = accounts.advice(counts.ended.as_ref())
    {
        summary.advice = vec![advice];
    }
    if let Some(path) = &args.report_args.report {
        let page = page(&Report {
            summary: &summary,
            failures: &counts.failures,
            models: &measured,
            began: measure.began(),
        });
        write(path, &page).map_err(io_failure("writing the report"))?;
        say(format_args!("The report is in {}.", path.display()));
    }
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
    chosen: &Chosen,
    path: &Path,
) -> Result<Exit, Failure> {
    let provider = &chosen.provider;
    let Opened { reader, .. } = open_input(args, path).await?;
    let existing = match fs::File::open(path) {
        Ok(file) => scan(io::BufReader::new(file), |_| Ok(()))
            .map_err(|error| unusable(path, &error.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Existing::default(),
        Err(error) => return Err(unusable(path, &error.into())),
    };
    // A forecast that names no provider counts the answers of all.
    let is_named = args.mock || !provider.is_mock();
    if let Some(other) = existing.other_than(&chosen.names()).filter(|_| is_named) {
        return Err(unusable(path, &OpenError::OtherProvider(other)));
    }
    let (base, key) = match (provider, chosen.accounts.first()) {
        (_, Some(first)) => (first.base().clone(), None),
        (Provider::Remote(base), None) => (base.clone(), provider.key(environment)),
        (Provider::Mock, None) => {
            let base = BaseUrl::DASHSCOPE.parse();
            (base.map_err(|bad| usage("--base-url", bad))?, None)
        }
    };
    let requests = requests(args, key, base.clone())?;
    let sources = sources(args, chosen, &base, requests.authorization()).await;
    let plan = Plan::new(sources, &chosen.accounts, provider.prices());
    let mut reader = reader.at(base);
    let mut bad_lines = BadLines::default();
    let forecast = forecast(&mut reader, &existing.answered, &requests, &plan, |line| {
        if let Some(text) = bad_lines.text(line) {
            say(format_args!("{text}"));
        }
    })
    .await
    .map_err(io_failure("reading the input"))?;
    for sentence in plan.sentences(&forecast.models) {
        say(format_args!("{sentence}"));
    }
    say(format_args!("No call was sent."));
    report(args, &forecast)?;
    Ok(match forecast.bad_lines + forecast.unread {
        0 => Exit::Done,
        _ => Exit::SomeFailed,
    })
}

/// Where the quotas of each account are from; of the run where it has none.
async fn sources(
    args: &Args,
    chosen: &Chosen,
    base: &BaseUrl,
    key: Option<&HeaderValue>,
) -> Vec<QuotaSource> {
    let Chosen { provider, accounts } = chosen;
    match accounts.is_empty() {
        true => vec![QuotaSource::choose(args, provider, base, key).await],
        // All at once: each may take seconds to say that it has no list.
        false => {
            let sources = accounts.iter();
            join_all(sources.map(|account| QuotaSource::of_account(args, provider, account))).await
        }
    }
}

pub(crate) async fn open_input(args: &Args, output: &Path) -> Result<Opened, Failure> {
    let written: Vec<&Path> = [
        Some(output),
        args.parquet(),
        args.input_args.errors.as_deref(),
        args.summary.as_deref(),
        args.report_args.report.as_deref(),
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
        .stream(args.stream)
        .batch_host(args.account_args.batch_host);
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

/// The table on the standard output, the same as JSON where no person reads it, and the JSON in the file that was asked for.
pub(crate) fn report<T: Serialize + fmt::Display>(args: &Args, result: &T) -> Result<(), Failure> {
    let json = serde_json::to_string(result)
        .map_err(io::Error::from)
        .map_err(io_failure("writing the summary"))?;
    let mut out = io::stdout().lock();
    // Whoever read the output may have gone; the summary file is written all the same.
    match io::IsTerminal::is_terminal(&out) {
        true => writeln!(out, "{result}").ok(),
        false => writeln!(out, "{result}\n{json}").ok(),
    };
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
