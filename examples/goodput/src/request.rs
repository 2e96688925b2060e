//! A job as a request, and back.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, header};
use http_body_util::Full;
use mock_qwen::CallTokens;

/// Tells the provider what the job costs and whose it is: `process prompt output ceiling`. Counting prompts with a vocabulary would
/// take most of a run's time. No client reads it.
const JOB: HeaderName = HeaderName::from_static("x-study-job");

/// What a program knows of a request that it makes, before the answer. It is in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Bytes of the prompt.
    pub prompt_bytes: usize,
    /// `max_tokens`.
    pub ceiling: u64,
}

const PARAGRAPH: &str = "The river rises in the hills and finds its way to the sea past mills, meadows and small towns. \
    In spring, when the snow melts, it fills its bed from one bank to the other. By August a child can walk across. ";

/// As many tokens as any prompt may have.
const TEXT_TOKENS: f64 = 400_000.0;

static TEXT: LazyLock<Text> = LazyLock::new(Text::new);

struct Text {
    text: String,
    bytes_per_token: f64,
}

impl Text {
    fn new() -> Self {
        let sample = PARAGRAPH.repeat(20);
        let bytes_per_token = sample.len() as f64 / mock_qwen::count_text(&sample) as f64;
        let times = TEXT_TOKENS * bytes_per_token / PARAGRAPH.len() as f64;
        Self {
            text: PARAGRAPH.repeat(times as usize + 1),
            bytes_per_token,
        }
    }

    /// Text of about so many tokens.
    fn of(&self, tokens: u64) -> &str {
        let bytes = (tokens as f64 * self.bytes_per_token) as usize;
        &self.text[..bytes.min(self.text.len())]
    }
}

/// The request of a job: a chat completion whose prompt has about the job's tokens.
///
/// # Panics
///
/// Where `base` is no address.
#[must_use]
pub fn request(base: &str, process: usize, job: CallTokens) -> Request<Full<Bytes>> {
    let prompt = prompt(job.prompt);
    let body = format!(
        r#"{{"model":"qwen-plus","messages":[{{"role":"user","content":"{prompt}"}}],"max_tokens":{}}}"#,
        job.ceiling
    );
    Request::post(format!("{base}/compatible-mode/v1/chat/completions"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(JOB, job_header(process, job))
        .extension(Known {
            prompt_bytes: prompt.len(),
            ceiling: job.ceiling,
        })
        .body(Full::from(body))
        .expect("the address is valid")
}

/// A text of about so many tokens.
#[must_use]
pub fn prompt(tokens: u64) -> &'static str {
    TEXT.of(tokens)
}

/// The value of the header that tells the provider of a job.
#[must_use]
pub fn job_header(process: usize, job: CallTokens) -> String {
    let CallTokens {
        prompt,
        output,
        ceiling,
    } = job;
    format!("{process} {prompt} {output} {ceiling}")
}

/// Whose job a request is, and what it costs. `None` without the header of [`request`].
#[must_use]
pub fn job_of(headers: &HeaderMap) -> Option<(usize, CallTokens)> {
    let text = headers.get(JOB)?.to_str().ok()?;
    let mut numbers = text.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    let process: u64 = next()?;
    let job = CallTokens {
        prompt: next()?,
        output: next()?,
        ceiling: next()?,
    };
    Some((usize::try_from(process).ok()?, job))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_has_about_the_tokens_of_its_job() {
        for tokens in [50, 300, 6_000] {
            let counted = mock_qwen::count_text(TEXT.of(tokens));
            assert!(counted.abs_diff(tokens) <= 2 + tokens / 50, "{counted}");
        }
    }

    #[test]
    fn the_provider_reads_what_was_written() {
        let job = CallTokens {
            prompt: 1,
            output: 2,
            ceiling: 3,
        };
        let request = request("http://mock", 4, job);
        assert_eq!(job_of(request.headers()), Some((4, job)));
        assert_eq!(job_of(&HeaderMap::new()), None);
    }
}
