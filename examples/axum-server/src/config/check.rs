//! Checks entries against each other, and makes of them what the gateway takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tower_qwen_ratelimit::{
    Priority,
    budget::{BudgetTable, Group, Rates},
    period::TimeZone,
};
use tower_qwen_tokens::{PriceBook, ledger::Tenant};

use super::{
    entries::{CallerEntry, GroupEntry},
    file::File,
    priced::uncounted,
    problem::Problem,
    section::Places,
    upstreams::UpstreamEntry,
};
use crate::{
    api_key::KeyHash,
    args::Args,
    callers::{Caller, Callers, read_lines},
};

/// All entries of one kind, each with its place where it is one of the file.
pub(super) type Listed<'a, T> = Vec<(&'a T, Option<&'a Places>)>;

/// What is being checked.
#[derive(Default)]
pub(super) struct Check {
    pub(super) problems: Vec<Problem>,
}

impl Check {
    fn note(&mut self, places: Option<&Places>, key: &str, message: impl Into<String>) {
        let place = places.and_then(|places| places.of(key));
        self.problems.push(Problem::at(place, message));
    }

    /// The callers that the command line names, with all their keys.
    pub(super) fn callers_of_flags(&mut self, args: &Args) -> Vec<(CallerEntry, Vec<KeyHash>)> {
        let mut named = Vec::new();
        if let Some(path) = &args.keys_file {
            let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
            let read = read.and_then(|text| read_lines(&text).map_err(|bad| bad.to_string()));
            match read {
                Ok(keys) => named = keys,
                Err(message) => {
                    let message = format!("the keys {}: {message}", path.display());
                    self.note(None, "", message);
                }
            }
        }
        for key in &args.keys {
            match key.caller() {
                Ok(key) => named.push(key),
                Err(bad) => self.note(None, "", format!("--key: {bad}")),
            }
        }
        let mut callers: BTreeMap<String, Vec<KeyHash>> = BTreeMap::new();
        for key in named {
            let keys = callers.entry(key.name.as_str().to_owned()).or_default();
            keys.push(KeyHash::of(&key.key));
        }
        let entry = |name| CallerEntry {
            name,
            ..CallerEntry::default()
        };
        let callers = callers.into_iter();
        callers.map(|(name, keys)| (entry(name), keys)).collect()
    }

    pub(super) fn once<T>(
        &mut self,
        listed: &Listed<'_, T>,
        kind: &str,
        name: impl Fn(&T) -> &String,
    ) {
        let mut known = BTreeSet::new();
        for (entry, places) in listed {
            if !known.insert(name(entry)) {
                let message = format!("a second {kind} with the name {}", name(entry));
                self.note(*places, "name", message);
            }
        }
    }

    pub(super) fn both<T>(
        &mut self,
        kind: &str,
        name: &str,
        listed: &Listed<'_, T>,
        name_of: impl Fn(&T) -> &String,
    ) {
        let own = listed.iter().find(|(entry, _)| name_of(entry) == name);
        let places = own.and_then(|(_, places)| *places);
        let message = format!("the {kind} {name} is in the file and among those of the admin API");
        self.note(places, "name", message);
    }

    pub(super) fn upstreams(&mut self, upstreams: &[UpstreamEntry]) {
        let mut known = BTreeSet::new();
        for upstream in upstreams {
            if !known.insert(&upstream.name) {
                let message = format!("a second upstream with the name {}", upstream.name);
                self.note(Some(&upstream.places), "name", message);
            }
        }
    }

    /// That every budget of money can be counted.
    pub(super) fn money(
        &mut self,
        callers: &[(CallerEntry, Option<&Places>)],
        groups: &Listed<'_, GroupEntry>,
        upstreams: &[UpstreamEntry],
        (prices, rates): (&PriceBook, &Rates),
    ) {
        let served: Vec<&str> = upstreams.iter().flat_map(UpstreamEntry::names).collect();
        for (caller, places) in callers {
            let models: Vec<&str> = match &caller.models {
                Some(models) => models.iter().map(String::as_str).collect(),
                None => served.clone(),
            };
            let has_no_upstream = |model: &&&str| {
                let mut upstreams = upstreams.iter();
                !upstreams.any(|upstream| upstream.model(model).is_some())
            };
            if let Some(model) = models.iter().find(has_no_upstream)
                && !upstreams.is_empty()
            {
                let message = format!("no upstream has the model {model}");
                self.note(*places, "models", message);
            }
            for (key, currency) in caller.currencies() {
                if let Some(why) = uncounted(models.iter().copied(), currency, prices, rates) {
                    let message =
                        format!("the budget of {} can never be counted: {why}", caller.name);
                    let place = places.and_then(|places| places.of_either(key, "usd_per_day"));
                    self.problems.push(Problem::at(place, message));
                }
            }
            for (group, places) in above(caller.group.as_deref(), groups) {
                for (key, currency) in group.currencies() {
                    if let Some(why) = uncounted(models.iter().copied(), currency, prices, rates) {
                        let message = format!(
                            "the budget of the group {} can never be counted: {why}",
                            group.name
                        );
                        let problem = Problem::at(
                            places.and_then(|it| it.of_either(key, "usd_per_day")),
                            message,
                        );
                        // Once, and not for each of its callers.
                        if !self.problems.contains(&problem) {
                            self.problems.push(problem);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn budgets(
        &mut self,
        callers: &[(CallerEntry, Option<&Places>)],
        groups: &Listed<'_, GroupEntry>,
        zone: TimeZone,
    ) -> BudgetTable {
        let exists = |name: &str| groups.iter().any(|(group, _)| group.name == name);
        let mut table = BudgetTable::new();
        for (caller, places) in callers {
            if let Some(group) = caller.group.as_deref().filter(|group| !exists(group)) {
                self.note(*places, "group", format!("there is no group {group}"));
            }
            let budget = caller.budget(zone);
            if !budget.is_unlimited() {
                table = table.tenant(caller.name.as_str(), budget);
            }
        }
        for (group, places) in groups {
            if let Some(parent) = group.group.as_deref().filter(|parent| !exists(parent)) {
                self.note(*places, "group", format!("there is no group {parent}"));
            }
            let is_below = |parent: &Option<String>| parent.as_ref() == Some(&group.name);
            let members = callers.iter().filter(|(caller, _)| is_below(&caller.group));
            let below = groups.iter().filter(|(below, _)| is_below(&below.group));
            let together = Group::new(group.budget(zone))
                .tenants(members.map(|(caller, _)| caller.name.as_str()))
                .groups(below.map(|(below, _)| below.name.as_str()));
            table = table.group(group.name.as_str(), together);
        }
        if let Err(error) = table.check() {
            self.note(None, "", error.to_string());
        }
        table
    }

    pub(super) fn keys(
        &mut self,
        args: &Args,
        file: &File,
        callers: &[(CallerEntry, Option<&Places>)],
        of_flags: &[(CallerEntry, Vec<KeyHash>)],
    ) -> Callers {
        let mut table = Callers::default();
        match (&file.server.admin_key, &args.admin_key) {
            (Some(key), _) => table.set_admin(*key),
            (None, Some(key)) => match key.key() {
                Ok(key) => table.set_admin(KeyHash::of(&key)),
                Err(bad) => self.note(None, "", format!("the admin's key: {bad}")),
            },
            (None, None) => {}
        }
        for (entry, places) in callers {
            let models = entry.models.as_ref();
            let models = models.map(|models| models.iter().map(|it| it.as_str().into()).collect());
            let caller = Arc::new(Caller {
                name: Tenant::new(entry.name.as_str()),
                models,
                priority: entry.priority.map_or(Priority::Normal, Into::into),
            });
            let own = [
                ("key", entry.key_sha256, &entry.expires),
                ("old_key", entry.old_key_sha256, &entry.old_key_expires),
            ];
            for (member, key, expires) in own {
                let Some(key) = key else { continue };
                let expires = expires.as_ref().map(|expires| expires.at());
                if let Err(taken) = table.add(&caller, key, expires) {
                    self.note(*places, member, taken.to_string());
                }
            }
            let flags = of_flags.iter().filter(|(flag, _)| flag.name == entry.name);
            // Only those that the file does not name have come this far without a hash.
            if entry.key_sha256.is_none() {
                for key in flags.flat_map(|(_, keys)| keys) {
                    if let Err(taken) = table.add(&caller, *key, None) {
                        self.note(None, "", taken.to_string());
                    }
                }
            }
        }
        table
    }
}

/// The groups that a name stands for: the group itself and all above it. A circle, which is found elsewhere, ends here too.
fn above<'a, 'b>(
    name: Option<&str>,
    groups: &'b Listed<'a, GroupEntry>,
) -> Vec<&'b (&'a GroupEntry, Option<&'a Places>)> {
    let mut above: Vec<&'b (&'a GroupEntry, Option<&'a Places>)> = Vec::new();
    let mut next = name;
    while let Some(name) = next {
        let found = groups.iter().find(|(group, _)| group.name == name);
        let Some(found) = found.filter(|_| !above.iter().any(|(known, _)| known.name == name))
        else {
            break;
        };
        above.push(found);
        next = found.0.group.as_deref();
    }
    above
}
