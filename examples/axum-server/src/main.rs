//! `cargo run --release -p axum-server`: a gateway in front of Qwen. See `README.md`.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use axum_server::{
    Args,
    args::LogFormat,
    config::Config,
    configure,
    log::{Log, LogCounts},
    start,
};
use clap::Parser;
use mimalloc::MiMalloc;
use tracing::error;
use tracing_subscriber::EnvFilter;

/// A call allocates some hundred times: by glibc's allocator that is an eighth of its instructions, by this one a twentieth.
/// Without huge pages, of which it would hold 8 MB while nobody calls.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let check = args.check;
    let config = match configure(args) {
        Ok(config) => config,
        Err(problems) => {
            // Where nobody can be told the code says it.
            let _ = writeln!(io::stderr(), "{problems}");
            return ExitCode::from(2);
        }
    };
    if check {
        let _ = writeln!(io::stdout(), "the configuration is sound");
        return ExitCode::SUCCESS;
    }
    let file = config.file.as_ref();
    let said = file
        .and_then(|file| file.log())
        .unwrap_or("info")
        .to_owned();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(said));
    let log = Log::new(io::stderr());
    begin_log(&log, config.plan.args.log_format, filter);
    let ended = run(config, log.counts());
    if let Err(bad) = &ended {
        // One line, as all others are: `main`'s own would be text, with a backtrace.
        let why = format!("{bad:#}");
        error!(why, "ended by an error");
    }
    log.end();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn begin_log(log: &Log, format: LogFormat, filter: EnvFilter) {
    let lines = log.lines();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Of a line that cannot be written it would write to the same place, and panic.
        .log_internal_errors(false)
        .with_writer(move || lines.clone());
    match format {
        LogFormat::Text => {
            let is_person = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            log.with_ansi(is_person).init();
        }
        // All of an event in one object, as programs that gather logs expect it.
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
}

fn run(config: Config, log: LogCounts) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let gateway = runtime.block_on(start(config, log))?;
    // Calls that outlived their grace are cut here, and booked as far as they came.
    runtime.shutdown_timeout(Duration::from_secs(5));
    gateway.flush()
}
