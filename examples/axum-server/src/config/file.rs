use std::path::{Path, PathBuf};

use tower_qwen_ratelimit::{budget::Rates, period::TimeZone};
use tower_qwen_tokens::{PriceBook, data::Region};

use super::{
    entries::{CallerEntry, GroupEntry},
    problem::Problems,
    rates::rates,
    section::{Places, Reader, Section},
    server::{Limits, Server, Store},
    upstreams::UpstreamEntry,
};

/// What the file says, each thing by itself sound.
#[derive(Debug, Default)]
pub struct File {
    path: PathBuf,
    pub(super) server: Server,
    pub(super) limits: Limits,
    /// `[ledger]`, `file`.
    pub(super) ledger: Option<PathBuf>,
    pub(super) store: Option<Store>,
    pub(super) defaults: CallerEntry,
    /// Where days and months begin.
    pub(super) zone: Option<TimeZone>,
    pub(super) callers: Vec<(CallerEntry, Places)>,
    pub(super) groups: Vec<(GroupEntry, Places)>,
    pub(super) upstreams: Vec<UpstreamEntry>,
    pub(super) rates: Rates,
    /// Rows of prices beside the built-in ones.
    pub(super) prices: Option<PriceBook>,
    pub(super) region: Option<Region>,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// All that is wrong in it.
    pub fn open(path: &Path) -> Result<Self, Problems> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Problems::one(format!("{}: {error}", path.display())))?;
        Self::read(path, &text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// All that is wrong in it.
    pub fn read(path: &Path, text: &str) -> Result<Self, Problems> {
        let reader = Reader::new(text);
        let file = reader.read().map(|root| Self::of(path, root));
        Problems::check(Some(path), reader.problems())?;
        // Without a problem there is a table.
        Ok(file.unwrap_or_default())
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its callers.
    pub fn callers(&self) -> impl Iterator<Item = &CallerEntry> {
        self.callers.iter().map(|(caller, _)| caller)
    }

    /// Its groups.
    pub fn groups(&self) -> impl Iterator<Item = &GroupEntry> {
        self.groups.iter().map(|(group, _)| group)
    }

    fn of(path: &Path, mut root: Section<'_, '_>) -> Self {
        match root.value::<u64>("version") {
            Some(1) => {}
            Some(_) => root.note("version", "this release reads `version = 1`"),
            None => root.note("version", "the file begins with `version = 1`"),
        }
        let mut file = Self {
            path: path.to_owned(),
            server: root.table("server").map(Server::read).unwrap_or_default(),
            limits: root.table("limits").map(Limits::read).unwrap_or_default(),
            store: root.table("store").and_then(Store::read),
            rates: root.table("rates").map(rates).unwrap_or_default(),
            upstreams: root
                .tables("upstreams")
                .into_iter()
                .map(UpstreamEntry::read)
                .collect(),
            ..Self::default()
        };
        if let Some(mut ledger) = root.table("ledger") {
            file.ledger = ledger.value("file");
            ledger.end();
        }
        if let Some(mut defaults) = root.table("defaults") {
            let zone = defaults.value::<String>("time_zone");
            match zone.map(|zone| zone.parse()) {
                Some(Ok(zone)) => file.zone = Some(zone),
                Some(Err(error)) => defaults.note("time_zone", error.to_string()),
                None => {}
            }
            let mut entry = CallerEntry::defaults(&mut defaults);
            // It has neither a name nor a key, and needs none.
            let faults = entry.settle().into_iter();
            for fault in faults.filter(|fault| !["name", "key"].contains(&fault.key)) {
                defaults.note(fault.key, fault.message);
            }
            file.defaults = entry;
            defaults.end();
        }
        for mut section in root.tables("groups") {
            let mut group = GroupEntry::read(&mut section);
            for fault in group.settle() {
                section.note(fault.key, fault.message);
            }
            file.groups.push((group, section.end()));
        }
        for mut section in root.tables("callers") {
            let mut caller = CallerEntry::read(&mut section);
            for fault in caller.settle() {
                section.note(fault.key, fault.message);
            }
            file.callers.push((caller, section.end()));
        }
        if let Some(mut prices) = root.table("prices") {
            file.region = prices.value("region");
            prices.end();
        }
        // The rows are written as in a file of prices of the library.
        if let Some(rows) = root.value::<serde_json::Value>("price") {
            match PriceBook::from_json(&rows.to_string()) {
                Ok(prices) => file.prices = Some(prices),
                Err(error) => root.note("price", chain(&error)),
            }
        }
        root.end();
        file
    }
}

/// An error with all that is behind it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
