//! Reads the input, and writes the files of the jobs. Nothing is sent.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, BufWriter, Write},
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tower_qwen_tokens::{
    Call, Dialect, PriceBook, Usage,
    call::{ModelCall, ReadCall, ReadOptions},
    price::Billing,
};

use super::{
    Group, Limits, Load, Size, Splitter,
    folder::{CarriedLine, Folder, Part},
    state::State,
};
use crate::{
    dry_run::{ASSUMED_OUTPUT, Need},
    ids::Ids,
    input::{BadLine, InputCall, Item, Reader},
    output::{ErrorPart, Record, compact},
    request::Requests,
};

/// What the input comes to.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The jobs, in the order of their first lines.
    pub(super) jobs: Vec<Load>,
    /// Calls that are answered already.
    pub(super) answered_before: u64,
    /// Calls of jobs that were submitted before.
    pub(super) submitted_before: u64,
    /// Lines that are no calls.
    pub(super) bad_lines: u64,
    /// Calls that no job can have.
    pub(super) refused: u64,
    /// By model: what its calls need, at the price of jobs.
    pub(super) models: BTreeMap<String, Need>,
    /// The same at the price of calls.
    pub(super) live: Need,
    /// Over all models, at the price of jobs.
    pub(super) total: Need,
}

/// What planning is told of.
pub(super) trait OnPlan {
    fn bad_line(&mut self, line: &BadLine) -> io::Result<()>;
    /// A call that no job can have, as the line of a failed call.
    fn refused(&mut self, record: Record) -> io::Result<()>;
}

pub(super) struct Planner<'a> {
    pub(super) requests: &'a Requests,
    pub(super) prices: &'a PriceBook,
    pub(super) limits: Limits,
    /// Where the files go, and the state that names them; `None` writes nothing.
    pub(super) folder: Option<(&'a Folder, &'a State)>,
}

/// The line of a job.
#[derive(Serialize)]
struct Line<'a> {
    custom_id: &'a str,
    method: &'static str,
    url: &'a str,
    body: &'a RawValue,
}

/// A call that a job can have.
struct Planned {
    group: Group,
    line: Vec<u8>,
    call: ModelCall,
}

impl Planner<'_> {
    /// Plans all calls that are neither answered nor in a job.
    pub(super) async fn plan(
        &self,
        input: &mut Reader<'_>,
        answered: &Ids,
        submitted: &Ids,
        on: &mut impl OnPlan,
    ) -> io::Result<Plan> {
        let mut plan = Plan::default();
        let mut splitter = Splitter::new(self.limits);
        let mut files = Files::default();
        while let Some(item) = input.next().await? {
            let call = match item {
                Item::Bad(line) => {
                    plan.bad_lines += 1;
                    on.bad_line(&line)?;
                    continue;
                }
                Item::Call(call) => call,
            };
            if answered.contains(&call.custom_id) {
                plan.answered_before += 1;
                continue;
            }
            if submitted.contains(&call.custom_id) {
                plan.submitted_before += 1;
                continue;
            }
            let planned = match self.read(&call).await {
                Ok(planned) => planned,
                Err(error) => {
                    plan.refuse(call, error, on)?;
                    continue;
                }
            };
            let size = Size {
                bytes: planned.line.len() as u64,
                tokens: planned.call.cautious_input_tokens,
            };
            match splitter.place(&planned.group, size) {
                Ok(index) => {
                    plan.add(&planned.call, self.prices);
                    if let Some((folder, state)) = self.folder {
                        let name = state.name(state.jobs.len() + index);
                        files.write(folder, &planned.group, &name, &planned.line, call)?;
                    }
                }
                Err(too_large) => {
                    let error = ErrorPart::new("too_large", too_large.to_string());
                    plan.refuse(call, error, on)?;
                }
            }
        }
        files.finish()?;
        plan.jobs = splitter.jobs().to_vec();
        Ok(plan)
    }

    async fn read(&self, call: &InputCall) -> Result<Planned, ErrorPart> {
        let bad = |why: String| ErrorPart::new("bad_request", why);
        let request = self
            .requests
            .build(call)
            .map_err(|error| bad(error.to_string()))?;
        let dialect = Dialect::of_path(request.uri().path());
        let endpoint = match dialect {
            Some(Dialect::Chat) => "/v1/chat/completions",
            Some(Dialect::Embeddings) => "/v1/embeddings",
            _ => {
                let why = format!(
                    "jobs have chats and embeddings alone, not {}: run without --submit",
                    call.url
                );
                return Err(ErrorPart::new("no_batch", why));
            }
        };
        let read = ReadCall::new(request, &ReadOptions::default()).await;
        let read = read.map_err(|error| bad(error.to_string()))?;
        let known = Call::of(&read)
            .and_then(|call| Some((call.body()?.clone(), call.model_call()?.clone())));
        let (body, model_call) =
            known.ok_or_else(|| bad("the body is not what its path asks for".to_owned()))?;
        if model_call.model.is_empty() {
            return Err(bad("the body names no model".to_owned()));
        }
        let text = std::str::from_utf8(&body).map_err(|error| bad(error.to_string()))?;
        let body = RawValue::from_string(compact(text)).map_err(|error| bad(error.to_string()))?;
        let line = Line {
            custom_id: &call.custom_id,
            method: "POST",
            url: endpoint,
            body: &body,
        };
        let line = serde_json::to_vec(&line).map_err(|error| bad(error.to_string()))?;
        Ok(Planned {
            group: Group {
                endpoint: endpoint.to_owned(),
                model: model_call.model.to_string(),
                thinking: thinking(&body),
            },
            line,
            call: model_call,
        })
    }
}

impl Plan {
    fn refuse(
        &mut self,
        call: InputCall,
        error: ErrorPart,
        on: &mut impl OnPlan,
    ) -> io::Result<()> {
        self.refused += 1;
        on.refused(Record::new(call.custom_id, None, Some(error)).carrying(call.carried))
    }

    fn add(&mut self, call: &ModelCall, prices: &PriceBook) {
        let output = match call.dialect.is_embedding() {
            true => Some(0),
            false => call.output_ceiling_of_all(),
        };
        let assumed = ASSUMED_OUTPUT.saturating_mul(u64::from(call.choices));
        let one = Need {
            calls: 1,
            prompt_tokens: call.input_tokens,
            output_tokens: output.unwrap_or(assumed),
            without_ceiling: u64::from(output.is_none()),
            ..Need::default()
        };
        let usage = Usage::new(one.prompt_tokens, one.output_tokens);
        let cost = prices.cost_of(&call.model, &usage, &Billing::new().batch(true));
        self.live.add(&one, prices.cost(&call.model, &usage));
        self.total.add(&one, cost);
        self.models
            .entry(call.model.to_string())
            .or_default()
            .add(&one, cost);
    }
}

/// The value of `enable_thinking`, as it is written; empty without one.
fn thinking(body: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        enable_thinking: Option<&'a RawValue>,
    }
    let head: Option<Head<'_>> = serde_json::from_str(body.get()).ok();
    let value = head.and_then(|head| head.enable_thinking);
    value
        .map(|value| value.get().to_owned())
        .unwrap_or_default()
}

/// The files that are being written: of each group the last one, since no line goes into one before.
#[derive(Default)]
struct Files {
    open: HashMap<Group, (String, BufWriter<File>)>,
    carried: HashMap<String, BufWriter<File>>,
}

impl Files {
    fn write(
        &mut self,
        folder: &Folder,
        group: &Group,
        name: &str,
        line: &[u8],
        call: InputCall,
    ) -> io::Result<()> {
        if self.open.get(group).is_none_or(|(open, _)| open != name) {
            let fresh = create(folder, name, Part::Input)?;
            if let Some((before, file)) = self.open.insert(group.clone(), (name.to_owned(), fresh))
            {
                finish(file)?;
                self.carried.remove(&before).map_or(Ok(()), finish)?;
            }
            // What a process left that was killed while it planned.
            std::fs::remove_file(folder.part(name, Part::Carried)).ok();
        }
        if let Some((_, file)) = self.open.get_mut(group) {
            file.write_all(line)?;
            file.write_all(b"\n")?;
        }
        if call.carried.is_empty() {
            return Ok(());
        }
        if !self.carried.contains_key(name) {
            let fresh = create(folder, name, Part::Carried)?;
            self.carried.insert(name.to_owned(), fresh);
        }
        if let Some(file) = self.carried.get_mut(name) {
            serde_json::to_writer(&mut *file, &CarriedLine::new(&call.custom_id, call.carried))?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        let inputs = self.open.into_values().map(|(_, file)| file);
        inputs
            .chain(self.carried.into_values())
            .try_for_each(finish)
    }
}

fn create(folder: &Folder, name: &str, part: Part) -> io::Result<BufWriter<File>> {
    File::create(folder.part(name, part)).map(BufWriter::new)
}

/// On the disk before the state names it.
fn finish(file: BufWriter<File>) -> io::Result<()> {
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}
