use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_ENCODING};

use super::{
    Call, ModelCall,
    edit::{JsonEdit, Lookup, replaced},
    is_signed,
};

impl Call {
    /// The same call of another model: one arrival, one deadline, the body the same but for the model's name.
    ///
    /// `None` where the body was not read, is encoded or signed (by its `headers`), or where it is
    /// not certain which of its bytes name the model.
    #[must_use]
    pub fn for_model(&self, headers: &HeaderMap, model: &str) -> Option<Self> {
        // The headers may be those of a later attempt, so they are checked again.
        if headers.contains_key(CONTENT_ENCODING) || is_signed(headers) {
            return None;
        }
        self.model_call.as_ref()?;
        let body = with_model(self.body.as_ref()?, model)?;
        let model = model.into();
        Some(self.with_body(body, |call| ModelCall { model, ..call }))
    }
}

/// A copy of a request's body for another model.
fn with_model(body: &[u8], model: &str) -> Option<Bytes> {
    let Lookup::Found(at) = JsonEdit::new(body).find("model")? else {
        return None;
    };
    let model = serde_json::to_vec(model).ok()?;
    Some(replaced(body, &[(at, &model)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_changes() {
        for (body, expected) in [
            (
                r#" {"a" : "model", "model" : "qwen-plus" ,"n":1} "#,
                Some(r#" {"a" : "model", "model" : "b\"c" ,"n":1} "#),
            ),
            (
                r#"{"x":{"model":"a"},"model":null}"#,
                Some(r#"{"x":{"model":"a"},"model":"b\"c"}"#),
            ),
            (r#"{"x":{"model":"a"}}"#, None),
            (r#"{"model":"a","model":"b"}"#, None),
            (r#"{"mod\u0065l":"a"}"#, None),
            ("[]", None),
        ] {
            let rewritten = with_model(body.as_bytes(), "b\"c");
            assert_eq!(rewritten.as_deref(), expected.map(str::as_bytes), "{body}");
        }
    }
}
