//! Files and jobs on the wire, as recorded in cnblogs/dashscope-sdk (2026-04-17).

use serde_json::{Value, json};

use super::{Job, Status, StoredFile};

pub(crate) fn file_object(file: &StoredFile) -> Value {
    json!({
        "id": file.id,
        "object": "file",
        "bytes": file.content.len(),
        "created_at": file.created_at,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": null,
    })
}

pub(crate) fn job_object(job: &Job) -> Value {
    let errors = match job.errors.as_slice() {
        [] => Value::Null,
        errors => {
            let data: Vec<Value> = errors
                .iter()
                .map(|error| {
                    json!({
                        "code": error.code,
                        "message": error.message,
                        "param": error.param,
                        "line": error.line,
                    })
                })
                .collect();
            json!({ "object": "list", "data": data })
        }
    };
    json!({
        "id": job.id,
        "object": "batch",
        "endpoint": job.endpoint,
        "errors": errors,
        "input_file_id": job.input_file_id,
        "completion_window": job.completion_window,
        "status": job.status.name(),
        "output_file_id": job.output_file_id,
        "error_file_id": job.error_file_id,
        "created_at": job.date(Status::Validating),
        "in_progress_at": job.date(Status::InProgress),
        // Null in all recordings.
        "expires_at": null,
        "finalizing_at": job.date(Status::Finalizing),
        "completed_at": job.date(Status::Completed),
        "failed_at": job.date(Status::Failed),
        "expired_at": job.date(Status::Expired),
        "cancelling_at": job.date(Status::Cancelling),
        "cancelled_at": job.date(Status::Cancelled),
        "request_counts": {
            "total": job.counts.total,
            "completed": job.counts.completed,
            "failed": job.counts.failed,
        },
        "metadata": job.metadata,
    })
}

/// A page of a list. An empty one has nulls, as recorded.
pub(crate) fn list(items: Vec<Value>, has_more: bool) -> Value {
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first, last) = (id(items.first()), id(items.last()));
    let data = match items.is_empty() {
        true => Value::Null,
        false => Value::Array(items),
    };
    json!({
        "object": "list",
        "data": data,
        "first_id": first,
        "last_id": last,
        "has_more": has_more,
    })
}
