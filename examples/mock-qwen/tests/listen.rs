//! The program where it cannot listen.

use std::{net::TcpListener, process::Command};

#[test]
fn a_port_that_is_taken_is_an_error_in_words() -> Result<(), Box<dyn std::error::Error>> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let run = Command::new(env!("CARGO_BIN_EXE_mock-qwen"))
        .args(["--listen", &address])
        .output()?;
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stdout.is_empty());
    assert_eq!(
        String::from_utf8(run.stderr)?,
        format!(
            "error: cannot listen on {address}: another program listens there. Name another address with --listen; port 0 \
             takes any free one.\n"
        )
    );
    Ok(())
}
