//! A server that behaves as the Qwen API does.
//!
//! ```text
//! cargo run -p mock-qwen -- --listen 127.0.0.1:8080 --rpm 800 --tpm 800000
//! ```

mod args;

use std::{io, net::SocketAddr, process::ExitCode};

use clap::Parser;
use mock_qwen::{MockQwen, serve_until};
use tokio::net::TcpListener;

use crate::args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), String> {
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| no_listener(args.listen, &error))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let mock = MockQwen::new(args.config());
    println!("listening on http://{address}");
    let stop = async {
        // Without a signal handler there is no stop but the hard one.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let served = serve_until(listener, mock, stop).await;
    served.map_err(|error| error.to_string())
}

/// Why nothing listens at an address, and what to do.
fn no_listener(address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "this user may not listen there (ports below 1024 need rights)".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => error.to_string(),
    };
    format!(
        "cannot listen on {address}: {why}. Name another address with --listen; port 0 takes any free one."
    )
}
