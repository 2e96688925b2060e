//! `cargo run --release -p batch`: runs a file of calls through the stack. See `README.md`.

use std::process::ExitCode;

use batch::{Args, Environment, STOPPING, STOPPING_JOBS, execute, listen, stop};
use clap::Parser;

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let environment = Environment::read();
    // One thread: all calls are polled in one task, and to wake a second thread for their connections costs more than it takes over.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let (stopper, stop) = stop();
        let text = match args.submit.submit {
            true => STOPPING_JOBS,
            false => STOPPING,
        };
        tokio::spawn(listen(stopper, text));
        execute(&args, &environment, stop).await
    });
    // Whoever hangs on a connection is not waited for.
    runtime.shutdown_background();
    Ok(match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.code()
        }
    })
}
