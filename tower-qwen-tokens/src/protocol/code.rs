//! What is known about error codes and messages: one table, from which verdicts are looked up.

use super::Cause::{self, *};

/// One row of what is known about errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownError {
    /// The statuses it was seen with. Of two rows with the same code the one with the answer's status wins; a row without
    /// a code holds for its statuses only.
    pub statuses: &'static [u16],
    /// The code in every dialect, or the `type` where that is all there is; case does not matter. Empty where the message
    /// alone decides.
    pub codes: &'static [&'static str],
    /// The part of the message that decides, in lower case. Empty where the code alone decides.
    pub fragment: &'static str,
    /// Why the call failed.
    pub cause: Cause,
    /// Whether the same request may succeed later.
    pub transient: bool,
    /// Where it is documented or was seen.
    pub source: &'static str,
    /// The month in which the source was read.
    pub date: &'static str,
}

type Source = (&'static str, &'static str);
type Meaning = (Cause, bool);

const fn row(
    statuses: &'static [u16],
    codes: &'static [&'static str],
    fragment: &'static str,
    (cause, transient): Meaning,
    (source, date): Source,
) -> KnownError {
    KnownError {
        statuses,
        codes,
        fragment,
        cause,
        transient,
        source,
        date,
    }
}

const fn transient(cause: Cause) -> Meaning {
    (cause, true)
}

const fn permanent(cause: Cause) -> Meaning {
    (cause, false)
}

const ZH: Source = ("help.aliyun.com/zh/model-studio/error-code", "2025-12");
const EN: Source = (
    "alibabacloud.com/help/en/model-studio/error-code",
    "2026-06",
);
const BP: Source = (
    "help.aliyun.com/zh/model-studio/rate-limiting-best-practices",
    "2026-06",
);
const RECORDED: Source = (
    "recorded traffic, github.com/cnblogs/dashscope-sdk",
    "2026-08",
);
const SEEN: Source = ("bodies in public issue reports", "2026-09");
const JAVA: Source = (
    "github.com/dashscope/dashscope-sdk-java, PublicErrorDef",
    "2026-08",
);
const OPENAI: Source = ("platform.openai.com/docs/guides/error-codes", "2026-08");
const ANTHROPIC: Source = ("docs.anthropic.com/en/api/errors", "2026-08");
const SILICON: Source = (
    "bodies of api.siliconflow.cn in public issue reports",
    "2026-09",
);
const SGLANG: Source = ("github.com/sgl-project/sglang", "2026-09");

const LIMIT: &[u16] = &[429];
const LIMIT_OR_403: &[u16] = &[403, 429];
/// Statuses behind which a throttle hides where one host passes on the text of another.
const HIDDEN: &[u16] = &[429, 500, 502, 503, 529];
const SERVER: &[u16] = &[500, 502, 503];
const FULL: &[u16] = &[429, 503];
// One host sends the same text with any of these.
const QUOTA: &[&str] = &[
    "Throttling",
    "Throttling.RateQuota",
    "Throttling.AllocationQuota",
    "limit_requests",
    "LimitRequests",
    "insufficient_quota",
];

/// Everything known. Rows with a fragment come first, the more particular before the more general.
#[rustfmt::skip]
pub const KNOWN_ERRORS: &[KnownError] = &[
    // The message decides: permanent.
    row(LIMIT, QUOTA, "free allocated quota exceeded", permanent(FreeTier), ZH),
    row(LIMIT, QUOTA, "maximum voice", permanent(Account), ZH),
    row(LIMIT, QUOTA, "quota will reset at", permanent(Account), SEEN),
    row(LIMIT, QUOTA, "plan quota", permanent(Account), SEEN),
    row(LIMIT, QUOTA, "quota of your plan", permanent(Account), SEEN),
    row(LIMIT_OR_403, &[], "free allocated quota exceeded", permanent(FreeTier), ZH),
    row(LIMIT_OR_403, &[], "free tier of the model has been exhausted", permanent(FreeTier), EN),
    row(LIMIT_OR_403, &[], "free quota has been exhausted", permanent(FreeTier), EN),
    row(&[400, 403, 429], &[], "does not support asynchronous calls", permanent(AsyncUnsupported), ZH),
    // The message decides: throttles.
    row(HIDDEN, &[], "due to system capacity limits", transient(Capacity), EN),
    row(HIDDEN, &[], "request rate increased too quickly", transient(Growth), ZH),
    row(HIDDEN, &[], "too many concurrent requests", transient(Concurrency), EN),
    row(HIDDEN, &[], "allocated quota exceeded", transient(TokenRate), ZH),
    row(HIDDEN, &[], "throttling: tpm(", transient(TokenRate), SEEN),
    row(HIDDEN, &[], "tpm limit reached", transient(TokenRate), SILICON),
    row(HIDDEN, &[], "rpm limit reached", transient(RequestRate), SILICON),
    row(HIDDEN, &[], "exceeded your current request limit", transient(RequestRate), SEEN),
    row(LIMIT, &[], "exceeded your request limit", transient(RequestRate), ZH),
    row(LIMIT, &[], "requests rate limit exceeded", transient(RequestRate), ZH),
    row(LIMIT, &[], "exceeded your current requests list", transient(RequestRate), ZH),
    row(LIMIT, &[], "tokens per min", transient(TokenRate), OPENAI),
    row(LIMIT, &[], "requests per min", transient(RequestRate), OPENAI),
    row(&[400], &["invalid_request_error"], "too many requests", transient(Throttled), SEEN),
    row(SERVER, &[], "too many requests", transient(Capacity), SEEN),
    row(FULL, &[], "queue is full", transient(Capacity), SGLANG),
    // The code decides: throttles.
    row(LIMIT, &["Throttling"], "", transient(Throttled), ZH),
    row(LIMIT, &["Throttling.RateQuota", "LimitRequests", "limit_requests"], "", transient(RequestRate), ZH),
    row(LIMIT, &["Throttling.BurstRate", "limit_burst_rate"], "", transient(Growth), ZH),
    row(LIMIT, &["Throttling.AllocationQuota", "insufficient_quota"], "", transient(TokenRate), BP),
    row(&[402, 403], &["insufficient_quota"], "", permanent(Account), OPENAI),
    row(LIMIT, &["Throttling.Concurrency"], "", transient(Concurrency), EN),
    row(LIMIT, &["requests"], "", transient(RequestRate), OPENAI),
    row(LIMIT, &["tokens"], "", transient(TokenRate), OPENAI),
    row(LIMIT, &["rate_limit_exceeded", "rate_limit_error"], "", transient(Throttled), OPENAI),
    row(LIMIT, &["50602"], "", transient(Throttled), SILICON),
    row(&[503, 529], &["overloaded_error"], "", transient(Capacity), ANTHROPIC),
    row(SERVER, &["ModelServingError"], "", transient(Capacity), ZH),
    // The code decides: the account and what its key may do.
    row(LIMIT, &["CommodityNotPurchased", "PrepaidBillOverdue", "PostpaidBillOverdue"], "", permanent(Account), ZH),
    row(&[400], &["Arrearage"], "", permanent(Account), ZH),
    row(&[402, 429], &["billing_error"], "", permanent(Account), JAVA),
    row(&[403], &["AllocationQuota.FreeTierOnly"], "", permanent(FreeTier), EN),
    row(&[401], &["InvalidApiKey", "invalid_api_key", "authentication_error"], "", permanent(Unauthorized), ZH),
    row(&[403], &["AccessDenied", "access_denied", "AccessDenied.Unpurchased"], "", permanent(Forbidden), ZH),
    row(&[403], &["Model.AccessDenied", "Workspace.AccessDenied"], "", permanent(Forbidden), ZH),
    row(&[403], &["Endpoint.AccessDenied"], "", permanent(Forbidden), EN),
    row(&[403], &["permission_error"], "", permanent(Forbidden), ANTHROPIC),
    // The code decides: the request.
    row(&[404], &["ModelNotFound", "model_not_found", "model_not_supported"], "", permanent(NotFound), ZH),
    row(&[404], &["not_found_error"], "", permanent(NotFound), ANTHROPIC),
    row(&[400], &["DataInspectionFailed", "data_inspection_failed"], "", permanent(ContentFilter), ZH),
    row(&[400], &["content_filter"], "", permanent(ContentFilter), OPENAI),
    row(&[400], &["InvalidParameter", "invalid_parameter_error"], "", permanent(InvalidRequest), RECORDED),
    row(&[400], &["invalid_request_error", "context_length_exceeded"], "", permanent(InvalidRequest), OPENAI),
    row(&[413], &["request_too_large"], "", permanent(TooLarge), ANTHROPIC),
    // The code decides: the server.
    row(&[408, 500], &["RequestTimeOut"], "", transient(Timeout), ZH),
    row(&[500], &["InternalError.Timeout"], "", transient(Timeout), ZH),
    row(&[504], &["timeout_error"], "", transient(Timeout), JAVA),
    row(&[500], &["InternalError", "internal_error", "InternalError.Algo"], "", transient(ServerError), ZH),
    row(&[500], &["SystemError", "ModelServiceFailed"], "", transient(ServerError), ZH),
    row(&[500], &["server_error"], "", transient(ServerError), OPENAI),
    row(&[500], &["api_error"], "", transient(ServerError), ANTHROPIC),
    row(SERVER, &["ServiceUnavailable"], "", transient(Unavailable), EN),
    row(&[503], &["ModelUnavailable"], "", transient(Unavailable), ZH),
];

/// What an error means. Rows with a fragment of the message go first, then the code, then the type, then the status.
pub(super) fn classify(status: Option<u16>, codes: [Option<&str>; 2], message: &str) -> Meaning {
    by_message(status, codes, message)
        // A message is more exact than its code: `insufficient_quota` is a rate as well as a used-
        // up plan.
        .or_else(|| by_codes(status, codes))
        .map_or_else(|| by_status(status), |row| (row.cause, row.transient))
}

fn by_message(
    status: Option<u16>,
    codes: [Option<&str>; 2],
    message: &str,
) -> Option<&'static KnownError> {
    if message.is_empty() {
        return None;
    }
    let message = message.to_ascii_lowercase();
    // Without a status the code decides which it would have had: so a message that repeats the
    // caller's text misleads no more than it would with one.
    let seen_with = match status {
        Some(_) => None,
        None => by_codes(None, codes).map(|row| row.statuses),
    };
    let fits = |row: &KnownError| match (row.codes, status, seen_with) {
        ([], Some(status), _) => row.statuses.contains(&status),
        ([], None, Some(seen_with)) => row.statuses.iter().any(|own| seen_with.contains(own)),
        ([], None, None) => true,
        _ => codes.into_iter().flatten().any(|code| row.has_code(code)),
    };
    KNOWN_ERRORS
        .iter()
        .filter(|row| !row.fragment.is_empty() && fits(row))
        .find(|row| message.contains(row.fragment))
}

fn by_codes(status: Option<u16>, codes: [Option<&str>; 2]) -> Option<&'static KnownError> {
    codes
        .into_iter()
        .flatten()
        .find_map(|code| by_code(status, code))
}

/// The row of a code, or of what it is a kind of: `Throttling.User` of `Throttling`.
fn by_code(status: Option<u16>, code: &str) -> Option<&'static KnownError> {
    let rows = |code| {
        KNOWN_ERRORS
            .iter()
            .filter(move |row| row.fragment.is_empty() && row.has_code(code))
    };
    rows(code)
        .find(|row| status.is_some_and(|status| row.statuses.contains(&status)))
        .or_else(|| rows(code).next())
        // Providers add kinds to known codes more often than they add codes.
        .or_else(|| by_code(status, code.rsplit_once('.')?.0))
}

fn by_status(status: Option<u16>) -> Meaning {
    match status {
        Some(400 | 422) => permanent(InvalidRequest),
        Some(401) => permanent(Unauthorized),
        // Without a known code the status is all there is.
        Some(402) => permanent(Account),
        Some(403) => permanent(Forbidden),
        Some(404) => permanent(NotFound),
        Some(408 | 504) => transient(Timeout),
        Some(413) => permanent(TooLarge),
        Some(429) => transient(Throttled),
        Some(503) => transient(Unavailable),
        Some(529) => transient(Capacity),
        Some(500..) => transient(ServerError),
        Some(_) | None => permanent(Other),
    }
}

impl KnownError {
    fn has_code(&self, code: &str) -> bool {
        self.codes.iter().any(|own| own.eq_ignore_ascii_case(code))
    }
}

/// Whether a `code` without an error object means a failure: some good answers have a code too.
pub(super) fn is_failure(code: &str) -> bool {
    match code.parse::<u64>() {
        // Some hosts write 200 or 0 beside a good answer.
        Ok(number) => (400..600).contains(&number) || by_code(None, code).is_some(),
        Err(_) => !matches!(&*code.to_ascii_lowercase(), "" | "ok" | "success"),
    }
}

/// Whether a `finish_reason` says that the provider broke the answer off.
pub(crate) fn is_broken_off(finish_reason: &[u8]) -> bool {
    matches!(finish_reason, b"error_finish" | b"error")
}
