//! Budgets of money, tokens and requests that reject: per tenant and per group of tenants, by the day,
//! week, month, a rolling time, or in total.
//!
//! # What it does
//!
//! 1. Before each attempt the expected cost is reserved ([`Cost`](crate::Cost): the prompt and the
//!    expected answer, times the price of the model): in every limit of the tenant's budget and of all
//!    groups above it, or nowhere.
//! 2. What does not fit is rejected with a [`BudgetError`]: before anything is sent, and finally. It says
//!    whose budget it is, its limit, what is spent, reserved and needed, and when it begins anew.
//! 3. After the attempt the reservation is settled by the true usage. Dropped before the send, or never
//!    begun by the provider, all comes back; sent and dropped, the estimate counts; answered with 4xx, money
//!    and tokens come back, and the request counts; answered with 5xx, the request and the prompt count.
//!
//! A call counts in the period in which it was reserved, also where it ends after midnight.
//!
//! So no period sees more than its limit and what the calls that ran when it was full cost beyond what
//! they had reserved. [`Reserve::Ceiling`](crate::Reserve::Ceiling)
//! ([`BudgetsBuilder::reserve`]) reserves the whole ceiling of each answer, which leaves the error of the
//! prompt's estimate alone.
//!
//! # Where in the stack
//!
//! ```text
//! client:  Retry > BudgetLayer > Admission > attempt timeout > Meter > transport
//! server:  auth (names the tenant) > Enforce with budgets > Meter > handler
//! ```
//!
//! Inside Retry, since attempts cost; outside Admission, so that a call that cannot be paid does not
//! queue. While it queues, its money is held, and comes back if it leaves the queue. Without a Meter
//! below, the estimate of every call counts as spent.
//!
//! At a server use [`EnforceLayer::budgets`](crate::EnforceLayer::budgets): budget and quota are decided
//! together, and the rejection is an answer in the caller's dialect.
//!
//! The tenant is the [`Tenant`](tower_qwen_tokens::ledger::Tenant) in the request's extensions; at a server
//! without one the name that [`KeyOf`](crate::KeyOf) finds by an extension, path or closure. Calls with
//! neither share the tenant `""`.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_qwen_ratelimit::{
//!     Budget, BudgetLayer, Budgets,
//!     budget::{Amount, BudgetError, BudgetTable, Group},
//!     period::{Period, TimeZone},
//! };
//! use tower_qwen_tokens::{PriceBook, ledger::Tenant};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let day = Period::day(TimeZone::east(8, 0)?);
//! let budget = |amount: &str| Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Budget::new(amount.parse::<Amount>()?, day));
//! let table = BudgetTable::new()
//!     .tenant("search", budget("0.01 USD")?)
//!     .group("research", Group::new(budget("0.005 USD")?).tenants(["search", "chat"]));
//! let client = ServiceBuilder::new()
//!     .layer(BudgetLayer::new(Budgets::builder(PriceBook::builtin()).table(table).build()?))
//!     // In place of Admission, the Meter and an HTTP client.
//!     .service(service_fn(|_: Request<Full<Bytes>>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("{}")))
//!     }));
//!
//! let call = |tenant: &str| {
//!     Request::post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
//!         .extension(Tenant::new(tenant))
//!         .body(Full::from(r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}],"max_tokens":1000}"#))
//! };
//! // A thousand tokens of an answer that may reason are 0.004 USD.
//! client.clone().oneshot(call("search")?).await?;
//! let error = client.oneshot(call("chat")?).await.map(drop).unwrap_err();
//! let error = error.downcast::<BudgetError>()?;
//! assert_eq!(error.owner().name(), "research");
//! assert!(error.wait().is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # In a fleet
//!
//! With `BudgetsBuilder::store` (feature `redis`) several processes share the budgets: all together spend
//! each limit once. A process takes amounts beforehand and serves calls from them; a call for which it has
//! too little waits for one round trip, twice the store's timeout at most. No period sees more than its
//! limit and what its calls cost beyond what they had reserved, whichever process dies. What one has and
//! does not use comes back within three seconds. What it has when it dies is lost to a calendar period, at
//! most half of its equal part of what was left. To a rolling one it comes back after the period and a term:
//! as long as the period, but at least 10 seconds and at most a minute. The store's outage policy holds for
//! budgets too. Under `OutagePolicy::LocalShare` a process that is cut off may spend, beside what the others
//! do, the limit divided by the processes. `docs/design.md` has it all under "Budgets of a fleet".
//!
//! # Errors
//!
//! [`BudgetError`] if a call is rejected, [`ReadError`](tower_qwen_tokens::call::ReadError) if its body
//! cannot be read, else the inner service's own; all as [`BoxError`](crate::BoxError).
//!
//! # Backpressure
//!
//! `poll_ready` of [`BudgetService`] is always ready. The future reserves, then waits for the inner
//! service's readiness.
//!
//! # Cancel safety
//!
//! Dropped before the send (also while it waits for the store, or in the queue of an Admission below), everything comes back. Dropped
//! after it, the estimate counts until a Meter's report.
//!
//! # Clone
//!
//! Clones of [`Budgets`], of the layer and of its services share everything.

mod accounts;
mod acquire;
mod amount;
#[expect(clippy::module_inception, reason = "it holds the type of that name")]
mod budget;
mod budgets;
mod builder;
mod by_name;
mod call;
mod counter;
#[cfg(feature = "redis")]
mod counter_lease;
mod error;
mod event;
mod future;
mod granted;
mod layer;
mod learned;
#[cfg(feature = "redis")]
mod lease;
mod lease_wait;
#[cfg(feature = "redis")]
mod leases;
#[cfg(feature = "redis")]
mod listed;
mod need;
mod owner;
mod places;
mod prices;
mod rates;
#[cfg(feature = "redis")]
mod reports;
mod reservation;
mod restore;
mod service;
mod set_table;
mod settings;
mod shared;
mod snapshot;
mod sums;
mod table;
mod tenants;
#[cfg(test)]
mod tests;
mod unpriced;

pub use acquire::AcquireBudget;
pub use amount::{Amount, InvalidAmount};
pub use budget::{Budget, InvalidBudget};
pub use budgets::Budgets;
pub use builder::BudgetsBuilder;
pub use error::{BudgetError, BudgetExceeded};
pub use event::{BudgetEvent, BudgetObserver};
pub use future::ResponseFuture;
pub use layer::BudgetLayer;
pub use owner::BudgetOwner;
pub use rates::{InvalidRate, Rates};
pub use reservation::BudgetReservation;
pub use restore::Restored;
pub use service::BudgetService;
pub use snapshot::{BudgetLimitSnapshot, BudgetsSnapshot, SpentPart};
pub use table::{BudgetTable, Group, InvalidBudgets};
pub use unpriced::Unpriced;

pub(crate) use by_name::BudgetsByName;
pub(crate) use call::BudgetCall;
pub(crate) use granted::Granted;
pub(crate) use lease_wait::{LeaseAnswer, LeaseWait, Reserving};
