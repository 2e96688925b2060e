//! The program with `--submit`: arguments in, exit status out.

use std::{path::Path, time::Duration};

use super::{
    api::Api,
    cap::over_cap,
    collect::Collector,
    drive::{Driver, Halt},
    folder::Folder,
    forecast::JobForecast,
    lines::Lines,
    plan::{Plan, Planner},
    predict::predict,
    state::{Allowance, JobState, State, Step},
    summary::JobSummary,
};
use crate::{
    advice::Target,
    app::{io_failure, open_input, report, requests, say, tell_existing, unusable, usage},
    args::Args,
    base_url::BaseUrl,
    counts::Counts,
    exit::{Exit, Failure},
    ids::Ids,
    input::{BadLines, Opened, Reader},
    output::{self, Existing, Writer},
    provider::{Environment, Provider, RunningMock, why_mock},
    request::Requests,
    stop::Stop,
    words,
};

/// As Model Studio asks for (alibabacloud.com/help/en/model-studio/batch-interfaces-compatible-with-openai, 2025-12-04: more
/// than a minute, and ever longer).
const POLL: Duration = Duration::from_secs(60);
/// The built-in provider is soon done.
const POLL_MOCK: Duration = Duration::from_secs(1);

/// Checks that no jobs are under way for this output, since a live run would pay their calls a second time.
///
/// # Errors
///
/// In words, where there are some.
pub fn check_no_jobs(output: &Path) -> Result<(), Failure> {
    let folder = Folder::beside(output);
    match folder.load().map_err(io_failure("reading the jobs"))? {
        None => Ok(()),
        Some(_) => Err(usage(
            &folder.path().display().to_string(),
            "its calls are submitted as jobs: go on with --submit, or cancel them with --submit --cancel",
        )),
    }
}

/// Does what the arguments say.
///
/// # Errors
///
/// See [`Failure`].
pub async fn execute(
    args: &Args,
    environment: &Environment,
    provider: Provider,
    path: &Path,
    mut stop: Stop,
) -> Result<Exit, Failure> {
    let folder = Folder::beside(path);
    if args.dry_run {
        return tokio::select! {
            exit = predict(args, environment, &provider, path, &folder) => exit,
            () = stop.requested() => Ok(Exit::Stopped),
        };
    }
    let Opened { reader, .. } = tokio::select! {
        opened = open_input(args, path) => opened?,
        () = stop.requested() => return Ok(Exit::Stopped),
    };
    let name = provider.name();
    let (mut writer, existing) = open_output(args, path, &name)?;
    tell_existing(path, &existing);
    let state = submitted_before(&folder, &provider)?;
    if args.submit.cancel && state.is_none() {
        let what = folder.path().display().to_string();
        return Err(usage(&what, "there are no jobs to cancel"));
    }
    let (base, mock) = address(args, environment, &provider).await?;
    say(format_args!("Answers go to {}.", path.display()));
    let key = provider.key(environment);
    let target = match &provider {
        Provider::Remote(_) => Target::remote(base.origin(), key),
        Provider::Mock => Target::built_in(),
    };
    let requests = requests(args, key, base.clone())?;
    let state = state.unwrap_or_else(|| State::new(&name));
    let input = reader.at(base.clone());
    let planned = tokio::select! {
        planned = plan(args, &provider, &requests, &folder, state, input, &existing.answered, &mut writer) => planned?,
        () = stop.requested() => return Ok(Exit::Stopped),
    };
    let Some((state, counts)) = planned else {
        return Ok(Exit::CapReached);
    };

    let api = Api::new(
        base.clone(),
        requests.authorization().cloned(),
        args.max_attempts,
    );
    let collector = Collector::new(
        &mut writer,
        &name,
        existing.answered,
        counts,
        provider.prices(),
    );
    let poll = args.submit.poll_interval.unwrap_or(match provider {
        Provider::Remote(_) => POLL,
        Provider::Mock => POLL_MOCK,
    });
    let mut driver = Driver::new(api, &folder, state, collector, poll);
    driver.allowance = Allowance {
        jobs: usize::try_from(args.submit.max_jobs).unwrap_or(usize::MAX),
        tokens: args.submit.enqueued_tokens,
    };
    driver.cancel = args.submit.cancel;
    let halted = tokio::select! {
        halted = driver.run() => Some(halted),
        () = stop.requested() => None,
    };
    let (state, results) = (driver.state, driver.collector.finish());
    writer.sync().map_err(io_failure("writing the output"))?;
    let who = match &mock {
        Some(_) => "mock-qwen, built in".to_owned(),
        None => base.origin().to_owned(),
    };
    let mut summary = JobSummary::new(who, results, &state.jobs);
    let exit = end(&mut summary, halted, &state, &target, &folder)?;
    #[cfg(feature = "parquet")]
    if let Some(table) = args.parquet() {
        output::write_parquet(path, table).map_err(io_failure("writing the Parquet file"))?;
    }
    report(args, &summary)?;
    // Last, so that it stands where people read.
    for text in &summary.advice {
        say(format_args!("{text}"));
    }
    Ok(exit)
}

/// Plans what is neither answered nor submitted, and notes it; `None` where a cap forbids it.
#[allow(clippy::too_many_arguments, reason = "all of a run, once")]
async fn plan(
    args: &Args,
    provider: &Provider,
    requests: &Requests,
    folder: &Folder,
    mut state: State,
    mut input: Reader<'_>,
    answered: &Ids,
    writer: &mut Writer,
) -> Result<Option<(State, Counts)>, Failure> {
    let submitted = folder
        .all_ids(&state)
        .map_err(io_failure("reading the jobs"))?;
    folder
        .create()
        .map_err(io_failure("making the folder of the jobs"))?;
    let name = provider.name();
    let mut lines = Lines {
        writer: Some(writer),
        provider: &name,
        counts: Counts::default(),
        bad_lines: BadLines::default(),
    };
    let planner = Planner {
        requests,
        prices: &provider.prices(),
        limits: args.submit.limits(),
        folder: Some((folder, &state)),
    };
    let plan = match args.submit.cancel {
        true => Plan::default(),
        false => {
            let plan = planner
                .plan(&mut input, answered, &submitted, &mut lines)
                .await;
            plan.map_err(io_failure("reading the input"))?
        }
    };
    let mut counts = lines.counts;
    counts.answered_before = plan.answered_before;
    counts.bad_lines = plan.bad_lines;
    let over = over_cap(args, &plan);
    if !matches!(over, Ok(None)) && state.jobs.is_empty() {
        folder
            .remove()
            .map_err(io_failure("removing the folder of the jobs"))?;
    }
    if let Some(over) = over? {
        report(args, &JobForecast::new(plan))?;
        say(format_args!("{over}"));
        return Ok(None);
    }
    tell_plan(&plan, &state);
    add_jobs(&mut state, plan, &args.submit.completion_window);
    folder
        .save(&state)
        .map_err(io_failure("writing the state of the jobs"))?;
    Ok(Some((state, counts)))
}

/// How the program ends, and what it says of it.
fn end(
    summary: &mut JobSummary,
    halted: Option<Result<(), Halt>>,
    state: &State,
    target: &Target,
    folder: &Folder,
) -> Result<Exit, Failure> {
    let is_under_way = |job: &&JobState| job.step != Step::Collected;
    let under_way = state.jobs.iter().filter(is_under_way).count();
    let is_done = matches!(halted, Some(Ok(())));
    if is_done || state.is_unsent() {
        folder
            .remove()
            .map_err(io_failure("removing the folder of the jobs"))?;
    }
    match halted {
        None if state.is_unsent() => {
            summary.stopped = true;
            Ok(Exit::Stopped)
        }
        None => {
            summary.stopped = true;
            summary.advice.push(format!(
                "{under_way} jobs go on at the provider or wait here. Run the same command again to go on; add --cancel to \
                 cancel them."
            ));
            Ok(Exit::Stopped)
        }
        Some(Ok(())) => {
            if summary.calls.not_sent > 0 {
                summary.advice.push(format!(
                    "{} calls have no answer. Run the same command again to submit them.",
                    summary.calls.not_sent
                ));
            }
            Ok(match summary.has_failures() {
                true => Exit::SomeFailed,
                false => Exit::Done,
            })
        }
        Some(Err(Halt::Fatal(fatal))) => {
            summary.ended = Some(fatal.reason.as_str());
            summary.advice.push(fatal.advice(target));
            Ok(Exit::NothingCanSucceed)
        }
        Some(Err(Halt::Unknown(text))) => {
            summary.ended = Some("jobs");
            summary.advice.push(text);
            Ok(Exit::NothingCanSucceed)
        }
        Some(Err(Halt::Io(error))) => Err(io_failure("taking the jobs further")(error)),
    }
}

fn open_output(args: &Args, path: &Path, provider: &str) -> Result<(Writer, Existing), Failure> {
    let errors = args.input_args.errors.as_deref();
    if let Some(path) = errors {
        output::check_errors(path).map_err(|error| unusable(path, &error))?;
    }
    let (mut writer, existing) =
        output::open(path, &[provider]).map_err(|error| unusable(path, &error))?;
    if let Some(path) = errors {
        let errors = output::open_errors(path).map_err(|error| unusable(path, &error))?;
        writer = writer.errors_to(errors);
    }
    Ok((writer, existing))
}

/// The jobs that were submitted before, to the same provider.
fn submitted_before(folder: &Folder, provider: &Provider) -> Result<Option<State>, Failure> {
    let state = folder.load().map_err(io_failure("reading the jobs"))?;
    let Some(state) = state else { return Ok(None) };
    let what = folder.path().display().to_string();
    if state.provider != provider.name() {
        let other = format!(
            "the jobs in it were submitted to {}, and not to {}",
            state.provider,
            provider.name()
        );
        return Err(usage(&what, other));
    }
    if provider.is_mock() {
        // The one that had them ended with its process.
        folder
            .remove()
            .map_err(io_failure("removing the folder of the jobs"))?;
        return Ok(None);
    }
    Ok(Some(state))
}

/// Where the jobs go, and the built-in provider if it is that.
async fn address(
    args: &Args,
    environment: &Environment,
    provider: &Provider,
) -> Result<(BaseUrl, Option<RunningMock>), Failure> {
    match provider {
        Provider::Remote(base) => Ok((base.clone(), None)),
        Provider::Mock => {
            let mock = RunningMock::start(args)
                .await
                .map_err(io_failure("starting the mock"))?;
            say(format_args!(
                "{}: jobs go to mock-qwen inside this process, at {}.",
                why_mock(args, environment),
                mock.base().origin()
            ));
            Ok((mock.base().clone(), Some(mock)))
        }
    }
}

fn tell_plan(plan: &Plan, state: &State) {
    if !state.jobs.is_empty() {
        let count = state.jobs.len();
        say(format_args!(
            "Going on with {count} jobs that were submitted before."
        ));
    }
    if !plan.jobs.is_empty() {
        say(format_args!(
            "{} calls are submitted in {} jobs; they cost about {}, as live calls about {}.",
            plan.total.calls,
            plan.jobs.len(),
            words::money(&plan.total.cost),
            words::money(&plan.live.cost)
        ));
    }
}

fn add_jobs(state: &mut State, plan: Plan, completion_window: &str) {
    for load in plan.jobs {
        state.jobs.push(JobState {
            name: state.name(state.jobs.len()),
            endpoint: load.group.endpoint,
            model: load.group.model,
            lines: load.lines,
            bytes: load.bytes,
            tokens: load.tokens,
            completion_window: completion_window.to_owned(),
            step: Step::Planned,
            file: None,
            batch: None,
            created_at: None,
            end: None,
        });
    }
}
