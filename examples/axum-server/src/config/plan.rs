//! Command line, file and state together: checked against each other, and made into what the gateway takes.

use std::{collections::BTreeSet, num::NonZeroU64, path::Path, time::Duration};

use tower_qwen_ratelimit::{
    Quota, Quotas,
    budget::{BudgetTable, Rates},
    period::TimeZone,
};
use tower_qwen_tokens::{PriceBook, data::Region};

use super::{
    check::{Check, Listed},
    entries::{CallerEntry, GroupEntry},
    file::File,
    problem::{Problem, Problems},
    section::Places,
    server::Store,
    state::State,
    upstreams::UpstreamEntry,
};
use crate::{args::Args, callers::Callers};

/// What the gateway takes.
#[derive(Debug)]
pub struct Plan {
    /// The command line with what the file says in its place.
    pub args: Args,
    /// Who may call.
    pub callers: Callers,
    /// The callers' quotas.
    pub quotas: Quotas,
    /// The budgets of callers and groups.
    pub budgets: BudgetTable,
    /// The longest of the budgets' periods; `None` where there are no budgets.
    pub longest_period: Option<Duration>,
    /// By which calls are priced.
    pub prices: PriceBook,
    /// By which prices are converted.
    pub rates: Rates,
    /// Where calls go; empty where the command line says it.
    pub upstreams: Vec<UpstreamEntry>,
    /// What replicas share.
    pub store: Option<Store>,
}

impl Plan {
    /// Checks all of it and makes the plan.
    ///
    /// # Errors
    ///
    /// All that is wrong.
    pub fn new(started: &Args, file: Option<&File>, state: &State) -> Result<Self, Problems> {
        let mut check = Check::default();
        let no_file = File::default();
        let said = file.unwrap_or(&no_file);
        let args = said.over(started);
        let of_flags = check.callers_of_flags(&args);
        let listed = said
            .callers
            .iter()
            .map(|(entry, places)| (entry, Some(places)));
        let mut callers: Listed<'_, CallerEntry> = listed.collect();
        let mut known: BTreeSet<&str> = callers.iter().map(|(it, _)| it.name.as_str()).collect();
        check.once(&callers, "caller", |caller| &caller.name);
        for caller in &state.callers {
            if known.insert(&caller.name) {
                callers.push((caller, None));
            } else {
                check.both("caller", &caller.name, &callers, |caller| &caller.name);
            }
        }
        // A flag is a default: the file's caller of that name stands.
        let flags = of_flags.iter().map(|(caller, _)| (caller, None));
        callers.extend(flags.filter(|(caller, _)| !known.contains(caller.name.as_str())));

        let listed = said
            .groups
            .iter()
            .map(|(entry, places)| (entry, Some(places)));
        let mut groups: Listed<'_, GroupEntry> = listed.collect();
        check.once(&groups, "group", |group| &group.name);
        for group in &state.groups {
            match groups.iter().any(|(known, _)| known.name == group.name) {
                false => groups.push((group, None)),
                true => check.both("group", &group.name, &groups, |group| &group.name),
            }
        }
        check.upstreams(&said.upstreams);
        let prices = prices(&args, said);
        let zone = said.zone.unwrap_or(TimeZone::UTC);
        let callers: Vec<(CallerEntry, Option<&Places>)> = callers
            .into_iter()
            .map(|(caller, places)| (caller.clone().or(&said.defaults), places))
            .collect();
        check.money(&callers, &groups, &said.upstreams, (&prices, &said.rates));
        let budgets = check.budgets(&callers, &groups, zone);
        let table = check.keys(&args, said, &callers, &of_flags);
        // With a file, or for an admin with a key, the first caller may come later.
        if table.is_empty() && !table.has_admin() && file.is_none() {
            let message = "nobody may call: name a caller with --key, --keys or --config";
            check.problems.push(Problem::at(None, message));
        }
        for (name, path) in [("ledger", &args.ledger), ("state", &args.state)] {
            let folder = path.as_deref().and_then(Path::parent);
            let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                let message = format!("{name}: there is no folder {}", folder.display());
                check.problems.push(Problem::at(None, message));
            }
        }
        Problems::check(file.map(File::path), check.problems)?;
        Ok(Self {
            callers: table,
            quotas: quotas(&args, &callers),
            longest_period: longest_period(&callers, &groups),
            budgets,
            prices,
            rates: said.rates.clone(),
            upstreams: said.upstreams.clone(),
            store: said.store.clone(),
            args,
        })
    }
}

fn quotas(args: &Args, callers: &[(CallerEntry, Option<&Places>)]) -> Quotas {
    let default = args.callers_quota();
    let mut quotas = Quotas::new(default);
    for (caller, _) in callers {
        let (requests, tokens) = (caller.requests_per_minute, caller.tokens_per_minute);
        if requests.is_none() && tokens.is_none() {
            continue;
        }
        let of = |amount: Option<NonZeroU64>, other| amount.map_or(other, NonZeroU64::get);
        let quota = Quota::per_minute(
            of(requests, default.requests()),
            of(tokens, default.tokens()),
        );
        quotas = quotas.tenant(&caller.name, quota);
    }
    quotas
}

fn prices(args: &Args, file: &File) -> PriceBook {
    let first = file.upstreams.first().and_then(|it| it.base_url.as_ref());
    let host = first.or(args.upstream.as_ref()).map(|target| target.host());
    let of_host = host.and_then(Region::of_host);
    let region = file.region.or(of_host).unwrap_or_default();
    let mut prices = PriceBook::builtin().region(region);
    if let Some(own) = &file.prices {
        prices = prices.merge(own.clone());
    }
    // Calls are priced by the names that callers use.
    for upstream in file.upstreams.iter().rev() {
        for (alias, model) in &upstream.aliases {
            if let Some(price) = prices.price(model).cloned() {
                prices.insert(alias.as_str(), price);
            }
        }
    }
    prices
}

fn longest_period(
    callers: &[(CallerEntry, Option<&Places>)],
    groups: &Listed<'_, GroupEntry>,
) -> Option<Duration> {
    let callers = callers
        .iter()
        .filter_map(|(caller, _)| caller.longest_period());
    let groups = groups
        .iter()
        .filter_map(|(group, _)| group.longest_period());
    callers.chain(groups).max()
}
