//! Several accounts that share the calls of a run: keys, workspaces or regions.
//!
//! ```text
//! Retry        goes to the account where the call waits for the shortest time (`waits`), and on from one that fails
//!   gate       tries each account, and each model of it, with one call; leaves out what fails for good
//!     Admission  each account has a quota of its own for each model
//!       meters     each account has a ledger with the prices of its region
//!         address    puts address and key of the account on the request, and nobody else's
//! ```

mod account;
mod args;
mod batch_host;
mod choose;
mod file;
mod gate;
mod members;
mod meters;
mod usage;
mod waits;

pub use account::{Account, AccountLimits};
pub use args::AccountArgs;
pub use batch_host::{BATCH_CHAT_MODELS, BATCH_HOST, BatchHostError, at_batch_host};
pub(crate) use batch_host::{BATCH_PATH, doubt};
pub use choose::{Chosen, choose};
pub use file::{BadFile, read_file};
pub use gate::{AccountClosed, AccountTrial, attempt};
pub use members::{Accounts, Served};
pub(crate) use meters::meters;
pub use usage::AccountUse;
pub use waits::Waits;
