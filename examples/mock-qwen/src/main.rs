//! A server that behaves as the Qwen API does.
//!
//! ```text
//! cargo run -p mock-qwen -- --listen 127.0.0.1:8080 --rpm 800 --tpm 800000
//! ```

mod args;

use clap::Parser;
use mock_qwen::{MockQwen, serve_until};
use tokio::net::TcpListener;

use crate::args::Args;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(args.listen).await?;
    let mock = MockQwen::new(args.config());
    println!("listening on http://{}", listener.local_addr()?);
    serve_until(listener, mock, async {
        // Without a signal handler there is no stop but the hard one.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
    .await
}
