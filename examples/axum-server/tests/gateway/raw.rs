//! Requests byte by byte, as no client library sends them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{program::Program, support::TestResult};

/// Far longer than anything here takes on a machine with other work.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Raw(pub(crate) TcpStream);

/// What came for one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Raw {
    pub(crate) async fn connect(program: &Program) -> TestResult<Self> {
        let host = program.at.split_once("://").ok_or("no scheme")?.1;
        Ok(Self(TcpStream::connect(host).await?))
    }

    pub(crate) async fn write(&mut self, text: &str) -> TestResult {
        self.0.write_all(text.as_bytes()).await?;
        Ok(())
    }

    /// Reads until the other side closes; gives what came, and how long it took.
    pub(crate) async fn until_closed(&mut self) -> TestResult<(String, Duration)> {
        let (began, mut bytes) = (Instant::now(), Vec::new());
        // A socket that is closed with bytes unread is reset: that is closed, too.
        let _ = timeout(LONG, self.0.read_to_end(&mut bytes)).await?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok((text, began.elapsed()))
    }

    /// Something came that was not read.
    pub(crate) fn is_answered(&self) -> bool {
        self.0.try_read(&mut [0]).is_ok()
    }

    /// Reads one answer that states its length.
    pub(crate) async fn answer(&mut self) -> TestResult<Answer> {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let answer = Answer::new(head, body)?;
                let length = answer.header("content-length").ok_or("no length")?;
                if body.len() >= length.parse()? {
                    return Ok(answer);
                }
            }
            let mut more = [0; 4_096];
            match timeout(LONG, self.0.read(&mut more)).await?? {
                0 => return Err(format!("closed after {text:?}").into()),
                read => bytes.extend_from_slice(&more[..read]),
            }
        }
    }
}

impl Answer {
    fn new(head: &str, body: &str) -> TestResult<Self> {
        Ok(Self {
            status: head.split(' ').nth(1).ok_or("no status")?.parse()?,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        })
    }

    /// Of a whole text.
    pub(crate) fn of(text: &str) -> TestResult<Self> {
        let (head, body) = text.split_once("\r\n\r\n").ok_or(format!("{text:?}"))?;
        Self::new(head, body)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }
}

/// A head whose body has this length, or none that is said.
pub(crate) fn head(key: &str, length: Option<usize>) -> String {
    let length = length.map_or("transfer-encoding: chunked".to_owned(), |length| {
        format!("content-length: {length}")
    });
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\n{length}\r\n"
    )
}

/// A call of this model.
pub(crate) fn chat(key: &str, model: &str) -> String {
    let body = body(model, json!({})).to_string();
    format!("{}\r\n{body}", head(key, Some(body.len())))
}

/// A call of this model that asks for a stream.
pub(crate) fn stream(key: &str, model: &str) -> String {
    let body = body(model, json!({"stream": true})).to_string();
    format!("{}\r\n{body}", head(key, Some(body.len())))
}

pub(crate) fn body(model: &str, more: Value) -> Value {
    let mut body = json!({
        "model": model, "max_tokens": 400, "messages": [{"role": "user", "content": "Hi"}],
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// One request on a connection of its own.
pub(crate) async fn ask(program: &Program, request: &str) -> TestResult<Answer> {
    let mut raw = Raw::connect(program).await?;
    raw.write(request).await?;
    raw.answer().await
}

/// A GET of a path with this key, on a connection of its own.
pub(crate) async fn get(program: &Program, path: &str, key: &str) -> TestResult<Answer> {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\r\n");
    ask(program, &request).await
}

/// What the callers' calls came to, as the administrator sees it.
pub(crate) async fn total(program: &Program) -> TestResult<Value> {
    let usage = get(program, "/usage", "sk-secret-admin").await?;
    let usage: Value = serde_json::from_str(&usage.body)?;
    Ok(usage["total"].clone())
}
