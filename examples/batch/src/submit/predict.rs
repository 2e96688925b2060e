//! `--dry-run --submit`: plans and sends nothing.

use std::{fs, io, path::Path};

use super::{folder::Folder, forecast::JobForecast, lines::Lines, plan::Planner};
use crate::{
    app::{io_failure, open_input, report, requests, say, unusable, usage},
    args::Args,
    base_url::BaseUrl,
    counts::Counts,
    exit::{Exit, Failure},
    input::{BadLines, Opened},
    output::{Existing, scan},
    provider::{Environment, Provider},
};

/// Tells what would be submitted.
pub(super) async fn predict(
    args: &Args,
    environment: &Environment,
    provider: &Provider,
    path: &Path,
    folder: &Folder,
) -> Result<Exit, Failure> {
    let Opened { reader, .. } = open_input(args, path).await?;
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
    let state = folder.load().map_err(io_failure("reading the jobs"))?;
    let submitted = state.map(|state| folder.all_ids(&state)).transpose();
    let submitted = submitted
        .map_err(io_failure("reading the jobs"))?
        .unwrap_or_default();
    let mut lines = Lines {
        writer: None,
        provider: "",
        counts: Counts::default(),
        bad_lines: BadLines::default(),
    };
    let planner = Planner {
        requests: &requests,
        prices: &provider.prices(),
        limits: args.submit.limits(),
        folder: None,
    };
    let mut reader = reader.at(base);
    let plan = planner
        .plan(&mut reader, &existing.answered, &submitted, &mut lines)
        .await;
    let forecast = JobForecast::new(plan.map_err(io_failure("reading the input"))?);
    say(format_args!("Nothing was sent."));
    report(args, &forecast)?;
    Ok(match forecast.has_failures() {
        true => Exit::SomeFailed,
        false => Exit::Done,
    })
}
