//! What the operator says while it runs.

use std::io;

use tokio::sync::mpsc;

/// Sends a word for each Ctrl-C and, on Unix, each SIGTERM, for as long as the runtime runs: the first asks for a stop with
/// all consideration, the second for one without. From this call on neither ends the program by itself.
///
/// # Errors
///
/// When the system gives no signals.
pub fn stops() -> io::Result<mpsc::Receiver<()>> {
    // More than two say nothing new.
    let (stop, stops) = mpsc::channel(2);
    #[cfg(unix)]
    {
        use tokio::signal::unix::SignalKind;
        send_each(SignalKind::interrupt(), stop.clone())?;
        send_each(SignalKind::terminate(), stop)?;
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            let _ = stop.try_send(());
        }
    });
    Ok(stops)
}

/// Sends a word for each SIGHUP, for as long as the runtime runs. From this call on it does not end the program.
///
/// # Errors
///
/// When the system gives no signals.
pub fn reloads() -> io::Result<mpsc::Receiver<()>> {
    // One that waits to be served stands for all that come meanwhile.
    let (reload, reloads) = mpsc::channel(1);
    #[cfg(unix)]
    send_each(tokio::signal::unix::SignalKind::hangup(), reload)?;
    #[cfg(not(unix))]
    drop(reload);
    Ok(reloads)
}

/// From this call on a write beyond the limit of a file's size (`ulimit -f`) is an error, and does not end the program. For
/// as long as the process runs.
///
/// # Errors
///
/// When the system gives no signals.
pub fn outlive_file_limits() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // What takes the signal's place stays, whatever becomes of this.
        signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)?;
    }
    Ok(())
}

#[cfg(unix)]
fn send_each(kind: tokio::signal::unix::SignalKind, words: mpsc::Sender<()>) -> io::Result<()> {
    let mut signals = tokio::signal::unix::signal(kind)?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            let _ = words.try_send(());
        }
    });
    Ok(())
}
