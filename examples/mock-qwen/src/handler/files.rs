//! The files of the Batch API.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Multipart, Path, Query, State};
use axum::response::IntoResponse;
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::batches::{bad, broken_answer, missing, page, refused_key};
use super::response;
use crate::batch::{StoredFile, file_object, list as list_object, second, short_id};
use crate::server::MockQwen;

/// Which files are listed.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    after: Option<String>,
    limit: Option<usize>,
    purpose: Option<String>,
}

/// The most of a page (help.aliyun.com/zh/model-studio/openai-file-interface, read on 2026-12-01).
const MOST: usize = 2_000;

pub(super) async fn upload(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    form: Multipart,
) -> Response<Body> {
    if let Some(refused) = refused_key(&mock, &headers) {
        return refused;
    }
    let (name, content, purpose) = match read_form(form).await {
        Ok(read) => read,
        Err(why) => return bad(&mock, &headers, why),
    };
    if purpose != "batch" {
        let why = format!("'{purpose}' is not one of ['batch'] - 'purpose'");
        return bad(&mock, &headers, why);
    }
    let most = mock.inner().config.batches.file_bytes;
    if content.len() > most {
        return bad(
            &mock,
            &headers,
            format!("The file has more than {most} bytes."),
        );
    }
    let file = StoredFile {
        id: format!("file-batch-{}", short_id(&mock)),
        name,
        purpose,
        created_at: second(&mock),
        content,
    };
    let object = file_object(&file);
    let mut store = mock.inner().batches();
    store.stats_mut().files_uploaded += 1;
    store.add_file(file);
    match store.draw(|faults| &mut faults.broken_uploads) {
        true => broken_answer(),
        false => Json(object).into_response(),
    }
}

/// Name, content and purpose.
async fn read_form(mut form: Multipart) -> Result<(String, Bytes, String), String> {
    let (mut file, mut purpose) = (None, None);
    loop {
        let field = form.next_field().await.map_err(|error| error.body_text())?;
        let Some(field) = field else { break };
        match field.name() {
            Some("file") => {
                let name = field.file_name().unwrap_or_default().to_owned();
                let content = field.bytes().await.map_err(|error| error.body_text())?;
                file = Some((name, content));
            }
            Some("purpose") => {
                purpose = Some(field.text().await.map_err(|error| error.body_text())?);
            }
            _ => {}
        }
    }
    let (name, content) = file.ok_or("'file' is a required property")?;
    let purpose = purpose.ok_or("'purpose' is a required property")?;
    Ok((name, content, purpose))
}

pub(super) async fn list(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Response<Body> {
    if let Some(refused) = refused_key(&mock, &headers) {
        return refused;
    }
    let store = mock.inner().batches();
    let is_of = |file: &&StoredFile| {
        filter
            .purpose
            .as_ref()
            .is_none_or(|purpose| *purpose == file.purpose)
    };
    let found: Vec<&StoredFile> = store.files().iter().rev().filter(is_of).collect();
    let limit = filter.limit.unwrap_or(MOST).clamp(1, MOST);
    let (found, has_more) = page(&found, |file| &file.id, filter.after.as_deref(), limit);
    Json(list_object(
        found.iter().map(|file| file_object(file)).collect(),
        has_more,
    ))
    .into_response()
}

pub(super) async fn show(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response<Body> {
    if let Some(refused) = refused_key(&mock, &headers) {
        return refused;
    }
    match mock.inner().batches().file(&id) {
        Some(file) => Json(file_object(file)).into_response(),
        None => missing("File", &id),
    }
}

pub(super) async fn content(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response<Body> {
    if let Some(refused) = refused_key(&mock, &headers) {
        return refused;
    }
    let content = mock
        .inner()
        .batches()
        .file(&id)
        .map(|file| file.content.clone());
    match content {
        // Uploads cannot be had again (the documents' rule for downloads).
        Some(content) if id.starts_with("file-batch_output") => response(
            StatusCode::OK,
            "application/octet-stream",
            Body::from(content),
        ),
        Some(_) => bad(
            &mock,
            &headers,
            format!("The file {id} cannot be downloaded."),
        ),
        None => missing("File", &id),
    }
}

pub(super) async fn delete(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response<Body> {
    if let Some(refused) = refused_key(&mock, &headers) {
        return refused;
    }
    match mock.inner().batches().delete_file(&id) {
        true => Json(json!({ "object": "file", "deleted": true, "id": id })).into_response(),
        false => missing("File", &id),
    }
}
