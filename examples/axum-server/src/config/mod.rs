//! The configuration: the command line, one TOML file that is checked whole before it is taken, and what the admin API
//! has changed.

mod check;
mod entries;
mod file;
mod over;
mod plan;
mod priced;
mod problem;
mod rates;
mod section;
mod server;
mod state;
mod upstreams;
mod values;

pub use entries::{CallerEntry, Fault, GroupEntry};
pub use file::File;
pub use plan::Plan;
pub use problem::{Place, Problem, Problems};
pub use server::Store;
pub use state::State;
pub(crate) use upstreams::ANY;
pub use upstreams::UpstreamEntry;

use crate::args::Args;

/// All of it, as it was read.
#[derive(Debug)]
pub struct Config {
    /// The command line.
    pub started: Args,
    /// The operator's file.
    pub file: Option<File>,
    /// What the admin API has changed.
    pub state: State,
    /// What follows from all three.
    pub plan: Plan,
}

impl Config {
    /// Reads the files that the command line names, and checks all of it.
    ///
    /// # Errors
    ///
    /// All that is wrong.
    pub fn load(started: &Args) -> Result<Self, Problems> {
        let file = match &started.config {
            Some(path) => Some(File::open(path)?),
            None => None,
        };
        let state = file
            .as_ref()
            .and_then(File::state)
            .or(started.state.as_deref());
        let state = match state {
            Some(path) => State::load(path)
                .map_err(|error| Problems::one(format!("{}: {error}", path.display())))?,
            None => State::default(),
        };
        let plan = Plan::new(started, file.as_ref(), &state)?;
        Ok(Self {
            started: started.clone(),
            file,
            state,
            plan,
        })
    }
}
