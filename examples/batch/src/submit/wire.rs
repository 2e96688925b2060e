//! What the Batch API answers.

use serde::Deserialize;

/// An uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct FileObject {
    pub(super) id: String,
    #[serde(default)]
    pub(super) filename: String,
    #[serde(default)]
    pub(super) bytes: Option<u64>,
}

/// A job.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Batch {
    pub(super) id: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) input_file_id: String,
    #[serde(default)]
    pub(super) output_file_id: Option<String>,
    #[serde(default)]
    pub(super) error_file_id: Option<String>,
    #[serde(default)]
    pub(super) created_at: Option<u64>,
    #[serde(default)]
    pub(super) request_counts: Option<RequestCounts>,
    #[serde(default)]
    errors: Option<Errors>,
}

/// Lines by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) struct RequestCounts {
    #[serde(default)]
    pub(super) completed: u64,
    #[serde(default)]
    pub(super) failed: u64,
}

/// A page of a list. An empty one may have `data: null` (recorded of Model Studio, cnblogs/dashscope-sdk, 2026-04-17).
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    data: Option<Vec<T>>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    last_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Errors {
    data: Option<Vec<LineError>>,
}

#[derive(Debug, Clone, Deserialize)]
struct LineError {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    line: Option<u64>,
}

impl Batch {
    /// Whether it has ended.
    pub(super) fn is_end(&self) -> bool {
        matches!(
            self.status.as_str(),
            "completed" | "failed" | "expired" | "cancelled"
        )
    }

    /// Whether it failed because the queue had no room for its tokens. OpenAI and Azure say so; Model Studio names no such
    /// limit (learn.microsoft.com/answers 2285577, 2025-06-19).
    pub(super) fn is_over_queue(&self) -> bool {
        let mut errors = self.line_errors().iter();
        self.status == "failed"
            && errors.any(|error| error.code.as_deref() == Some("token_limit_exceeded"))
    }

    /// What it says of its failure: the first error, and how many there are.
    pub(super) fn failure(&self) -> Option<String> {
        let errors = self.line_errors();
        let first = errors.first()?;
        let mut text = first.code.clone().unwrap_or_default();
        if let Some(message) = &first.message {
            text = format!("{text}: {}", crate::failures::short(message));
        }
        if let Some(line) = first.line {
            text = format!("line {line}: {text}");
        }
        Some(match errors.len() {
            1 => text,
            count => format!("{text} (the first of {count} errors)"),
        })
    }

    fn line_errors(&self) -> &[LineError] {
        let errors = self
            .errors
            .as_ref()
            .and_then(|errors| errors.data.as_deref());
        errors.unwrap_or_default()
    }
}

impl<T> Page<T> {
    /// The items, and after which one the next page begins.
    pub(super) fn into_items(self, id: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        let items = self.data.unwrap_or_default();
        let last = self
            .last_id
            .or_else(|| items.last().map(|item| id(item).to_owned()));
        // A host that says that there is more, and gives nothing, is not followed.
        let next = last.filter(|_| self.has_more && !items.is_empty());
        (items, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_job_says_why() -> Result<(), serde_json::Error> {
        let batch: Batch = serde_json::from_str(
            r#"{"id":"b","status":"failed","errors":{"object":"list","data":[
                {"code":"url_not_found","message":"No such url.","param":"url","line":1},{"code":null}]},
                "request_counts":{"total":0}}"#,
        )?;
        assert!(batch.is_end() && !batch.is_over_queue());
        assert_eq!(
            batch.failure().as_deref(),
            Some("line 1: url_not_found: No such url. (the first of 2 errors)")
        );
        let batch: Batch = serde_json::from_str(
            r#"{"id":"b","status":"failed","errors":{"data":[{"code":"token_limit_exceeded"}]}}"#,
        )?;
        assert!(batch.is_over_queue());
        let batch: Batch =
            serde_json::from_str(r#"{"id":"b","status":"validating","errors":null}"#)?;
        assert!(!batch.is_end() && batch.failure().is_none());
        Ok(())
    }

    #[test]
    fn an_empty_page_may_have_no_list() -> Result<(), serde_json::Error> {
        for (text, ids, next) in [
            (
                r#"{"data":null,"first_id":null,"last_id":null,"has_more":false}"#,
                0,
                None,
            ),
            (r#"{"data":[],"has_more":true,"last_id":"x"}"#, 0, None),
            (
                r#"{"data":[{"id":"a","filename":"f"}],"has_more":true}"#,
                1,
                Some("a"),
            ),
            (
                r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"b"}"#,
                1,
                Some("b"),
            ),
            (r#"{"data":[{"id":"a"}]}"#, 1, None),
        ] {
            let page: Page<FileObject> = serde_json::from_str(text)?;
            let (items, after) = page.into_items(|file| &file.id);
            assert_eq!((items.len(), after.as_deref()), (ids, next), "{text}");
        }
        Ok(())
    }
}
