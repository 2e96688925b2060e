//! Lists and changes callers and groups. Those of the operator's file are listed, and changed there.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State as Shared},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tracing::info;

use super::{blocking, problem::AdminProblem};
use crate::{
    api_key::ApiKey,
    config::{CallerEntry, Fault, File, GroupEntry, State},
    gateway::Gateway,
};

/// What the admin API lists and changes.
pub(super) trait Entry: Serialize + DeserializeOwned + Send + 'static {
    /// What it is, for people.
    const KIND: &'static str;
    /// Under which name the list of them stands in an answer.
    const LIST: &'static str;
    fn name(&self) -> &str;
    fn set_name(&mut self, name: String);
    fn of_file(file: &File) -> Vec<&Self>;
    fn of_state(state: &mut State) -> &mut Vec<Self>;
    /// A new key where one is needed or asked for, which is shown this once. Members that are no part of an entry are taken out
    /// of `members`.
    fn new_key(members: &mut Map<String, Value>, is_new: bool) -> std::io::Result<Option<ApiKey>>;
    fn settle(&mut self) -> Vec<Fault>;
}

impl Entry for CallerEntry {
    const KIND: &'static str = "caller";
    const LIST: &'static str = "callers";

    fn name(&self) -> &str {
        &self.name
    }

    fn set_name(&mut self, name: String) {
        self.name = name;
    }

    fn of_file(file: &File) -> Vec<&Self> {
        file.callers().collect()
    }

    fn of_state(state: &mut State) -> &mut Vec<Self> {
        &mut state.callers
    }

    fn new_key(members: &mut Map<String, Value>, is_new: bool) -> std::io::Result<Option<ApiKey>> {
        let is_asked = members.remove("new_key") == Some(Value::Bool(true));
        let has_key = members.contains_key("key") || members.contains_key("key_sha256");
        if has_key || !(is_asked || is_new) {
            return Ok(None);
        }
        let key = ApiKey::random()?;
        members.insert("key".to_owned(), key.secret().into());
        Ok(Some(key))
    }

    fn settle(&mut self) -> Vec<Fault> {
        Self::settle(self)
    }
}

impl Entry for GroupEntry {
    const KIND: &'static str = "group";
    const LIST: &'static str = "groups";

    fn name(&self) -> &str {
        &self.name
    }

    fn set_name(&mut self, name: String) {
        self.name = name;
    }

    fn of_file(file: &File) -> Vec<&Self> {
        file.groups().collect()
    }

    fn of_state(state: &mut State) -> &mut Vec<Self> {
        &mut state.groups
    }

    fn new_key(_: &mut Map<String, Value>, _: bool) -> std::io::Result<Option<ApiKey>> {
        Ok(None)
    }

    fn settle(&mut self) -> Vec<Fault> {
        Self::settle(self)
    }
}

/// All of one kind: what they may, and the beginning of their keys' hashes.
pub(super) async fn list<T: Entry>(
    Shared(gateway): Shared<Arc<Gateway>>,
) -> Result<Response, AdminProblem> {
    // A change holds the lock for as long as the disk takes.
    let list = blocking(move || {
        let mut held = gateway.held();
        let mut list: Vec<Value> = Vec::new();
        if let Some(file) = &held.file {
            list.extend(T::of_file(file).into_iter().map(|it| shown(it, "file")));
        }
        let own = T::of_state(&mut held.state).iter();
        list.extend(own.map(|it| shown(it, "api")));
        list
    });
    let mut body = Map::new();
    body.insert(T::LIST.to_owned(), list.await?.into());
    Ok(answer(StatusCode::OK, body))
}

/// `POST`: one more. Without a key it gets a new one, which is in the answer and never again.
pub(super) async fn add<T: Entry>(
    Shared(gateway): Shared<Arc<Gateway>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, AdminProblem> {
    let mut members = members(&headers, &body)?;
    let key = T::new_key(&mut members, true).map_err(AdminProblem::Unsaved)?;
    let entry = entry::<T>(members)?;
    let added = blocking(move || {
        gateway.change(|state, file| {
            let title = format!("{} {}", T::KIND, entry.name());
            if file.is_some_and(|file| T::of_file(file).iter().any(|it| it.name() == entry.name()))
            {
                return Err(AdminProblem::OfFile(title));
            }
            let list = T::of_state(state);
            if list.iter().any(|it| it.name() == entry.name()) {
                return Err(AdminProblem::Exists(title));
            }
            let shown = shown(&entry, "api");
            list.push(entry);
            Ok((shown, title))
        })
    });
    let (shown, title) = added.await??;
    info!("the admin added the {title}");
    Ok(with_key(StatusCode::CREATED, shown, key))
}

/// `PATCH`: other values of the members that are given; `null` takes one away. With `"new_key": true` the caller gets a new
/// key, and the one so far lives on as its second.
pub(super) async fn change<T: Entry>(
    Shared(gateway): Shared<Arc<Gateway>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, AdminProblem> {
    let mut members = members(&headers, &body)?;
    let key = T::new_key(&mut members, false).map_err(AdminProblem::Unsaved)?;
    let rotates = key.is_some();
    let changed = blocking(move || {
        gateway.change(|state, file| {
            let known = find::<T>(state, file, &name)?;
            let mut all = object(known);
            // Under the name that the key has once it is hashed, so that the new one takes its place.
            for (plain, hash) in [("key", "key_sha256"), ("old_key", "old_key_sha256")] {
                if members.contains_key(plain) {
                    let former = all.remove(hash);
                    if rotates && plain == "key" {
                        all.insert("old_key_sha256".to_owned(), former.unwrap_or_default());
                        all.remove("old_key_expires");
                    }
                }
            }
            if members.contains_key("usd_per_day") {
                all.remove("cost_per_day");
            }
            all.extend(members);
            let mut entry = entry::<T>(all)?;
            if entry.name() != name {
                return Err(AdminProblem::Body("a name cannot be changed".to_owned()));
            }
            entry.set_name(name);
            let shown = shown(&entry, "api");
            *known = entry;
            Ok(shown)
        })
    });
    let shown = changed.await??;
    info!("the admin changed the {} {}", T::KIND, shown["name"]);
    Ok(with_key(StatusCode::OK, shown, key))
}

/// `DELETE`: its keys are unknown from the next request on; calls under way end as they would.
pub(super) async fn remove<T: Entry>(
    Shared(gateway): Shared<Arc<Gateway>>,
    Path(name): Path<String>,
) -> Result<Response, AdminProblem> {
    let removed = blocking(move || {
        gateway.change(|state, file| {
            find::<T>(state, file, &name)?;
            T::of_state(state).retain(|entry| entry.name() != name);
            Ok::<_, AdminProblem>(name)
        })
    });
    let name = removed.await??;
    info!("the admin removed the {} {name}", T::KIND);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn find<'s, T: Entry>(
    state: &'s mut State,
    file: Option<&File>,
    name: &str,
) -> Result<&'s mut T, AdminProblem> {
    let title = || format!("{} {name}", T::KIND);
    if file.is_some_and(|file| T::of_file(file).iter().any(|it| it.name() == name)) {
        return Err(AdminProblem::OfFile(title()));
    }
    let mut list = T::of_state(state).iter_mut();
    list.find(|entry| entry.name() == name)
        .ok_or_else(|| AdminProblem::Unknown(title()))
}

/// The members of a JSON object. As such alone: a page of another site may send what is none without asking.
fn members(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, AdminProblem> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("application/json") {
        let message = "send JSON, with `content-type: application/json`";
        return Err(AdminProblem::Body(message.to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| AdminProblem::Body(error.to_string()))
}

/// An entry of its members, checked by itself.
fn entry<T: Entry>(members: Map<String, Value>) -> Result<T, AdminProblem> {
    let entry = serde_json::from_value::<T>(Value::Object(members));
    let mut entry = entry.map_err(|error| AdminProblem::Body(error.to_string()))?;
    let faults = entry.settle();
    match faults.is_empty() {
        true => Ok(entry),
        false => Err(AdminProblem::Faults(faults)),
    }
}

/// What it is written as, without what it does not say.
fn object<T: Entry>(entry: &T) -> Map<String, Value> {
    let Ok(Value::Object(mut members)) = serde_json::to_value(entry) else {
        return Map::new();
    };
    members.retain(|_, value| !value.is_null());
    members
}

/// What an admin sees of it: of keys the first digits of their hashes.
fn shown<T: Entry>(entry: &T, source: &str) -> Value {
    let mut members = object(entry);
    for hash in ["key_sha256", "old_key_sha256"] {
        if let Some(Value::String(digits)) = members.get_mut(hash) {
            digits.truncate(8);
            digits.push('…');
        }
    }
    members.insert("source".to_owned(), source.into());
    Value::Object(members)
}

fn with_key(status: StatusCode, shown: Value, key: Option<ApiKey>) -> Response {
    let Value::Object(mut body) = shown else {
        return status.into_response();
    };
    if let Some(key) = key {
        body.insert("key".to_owned(), key.secret().into());
    }
    answer(status, body)
}

fn answer(status: StatusCode, body: Map<String, Value>) -> Response {
    let mut answer = (status, Json(body)).into_response();
    // A key may be in it.
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(CACHE_CONTROL, no_store);
    answer
}
