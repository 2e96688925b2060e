//! What is known about error codes and words: one table, from which verdicts are read.

use std::time::Duration;

use super::Cause::{self, *};

/// One row of what is known about errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownError {
    /// The statuses it was seen with. Of two rows with the same code the one with the answer's status wins; a row without
    /// a code holds for its statuses, and for events without one.
    pub statuses: &'static [u16],
    /// The code in every dialect, or the `type` where that is all there is; case does not matter. Empty where the message
    /// alone decides.
    pub codes: &'static [&'static str],
    /// The part of the message that decides, from the beginning of a word: in lower case, with a blank for `-` and `_`.
    /// Empty where the code alone decides.
    pub fragment: &'static str,
    /// Why the call failed.
    pub cause: Cause,
    /// How long the window of a plan is that is used up; `None` where it is none, or no plan.
    pub window: Option<Duration>,
    /// Where it is documented or was seen.
    pub source: &'static str,
    /// The month in which the source was read.
    pub date: &'static str,
}

type Source = (&'static str, &'static str);

const fn row(
    statuses: &'static [u16],
    codes: &'static [&'static str],
    fragment: &'static str,
    cause: Cause,
    (source, date): Source,
) -> KnownError {
    KnownError {
        statuses,
        codes,
        fragment,
        cause,
        window: None,
        source,
        date,
    }
}

/// A window of a plan, of so many hours, that is used up.
const fn plan(
    statuses: &'static [u16],
    codes: &'static [&'static str],
    fragment: &'static str,
    hours: u64,
    source: Source,
) -> KnownError {
    KnownError {
        window: Some(Duration::from_secs(hours * 3_600)),
        ..row(statuses, codes, fragment, Account, source)
    }
}

/// A rolling window of a coding plan.
const FIVE_HOURS: u64 = 5;
const DAY: u64 = 24;
const WEEK: u64 = 7 * DAY;
/// The longest that a plan's window lasts; also where the window is not named.
const MONTH: u64 = 31 * DAY;

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
const SEEN: Source = ("bodies in public issue reports", "2026-11");
const PLANS: Source = (
    "bodies of plans in public issue reports, sub2api#6748, openclaw#142656",
    "2026-11",
);
const JAVA: Source = (
    "github.com/dashscope/dashscope-sdk-java, PublicErrorDef",
    "2026-08",
);
const OPENAI: Source = ("platform.openai.com/docs/guides/error-codes", "2026-08");
const ANTHROPIC: Source = ("docs.anthropic.com/en/api/errors", "2026-08");
const GOOGLE: Source = (
    "google.rpc.Code, cloud.google.com/apis/design/errors",
    "2026-11",
);
const SILICON: Source = (
    "bodies of api.siliconflow.cn in public issue reports",
    "2026-09",
);
const SGLANG: Source = ("github.com/sgl-project/sglang", "2026-09");
const VLLM: Source = ("vLLM 0.33.0, read from its wheel", "2026-11");
const LLAMA: Source = ("llama-server of llama.cpp 11434, run", "2026-11");
const LITELLM: Source = ("LiteLLM proxy 1.106.12, run", "2026-11");
const SMG: Source = ("smg 1.13.0, run", "2026-11");
const ZAI: Source = ("docs.z.ai/api-reference/api-code", "2026-11");
const KIMI: Source = ("bodies of Kimi in public issue reports", "2026-11");
const VOLC: Source = (
    "bodies of Volcengine Ark in public issue reports",
    "2026-11",
);

const AZURE: Source = ("litellm#37000 and reports of Azure OpenAI", "2026-11");
const FIREWORKS: Source = ("pollinations#12135, gaia#3766", "2026-11");
const HUAWEI: Source = (
    "bodies of Huawei's API gateway in public issue reports",
    "2026-11",
);
const LM_STUDIO: Source = ("goose#11318, lmstudio-bug-tracker#2322", "2026-11");
const MODELSCOPE: Source = ("a client's log of api-inference.modelscope.cn", "2026-03");
const NEW_API: Source = ("BettaFish#579, VideoCaptioner#1120", "2026-11");
const NIM: Source = ("an operator's notes on integrate.api.nvidia.com", "2026-11");
const TOGETHER: Source = ("MoA#27", "2026-11");

const LIMIT: &[u16] = &[429];
const LIMIT_OR_403: &[u16] = &[403, 429];
/// Statuses behind which a throttle hides where one host passes on the text of another.
const HIDDEN: &[u16] = &[429, 500, 502, 503, 529];
/// Statuses with which a host says that something is used up, or another host's words are passed on.
const USED_UP: &[u16] = &[402, 403, 429, 500, 502, 503, 529];
const SERVER: &[u16] = &[500, 502, 503];
/// Statuses with which a host says that the account is closed until somebody pays.
const SUSPENDED: &[u16] = &[402, 403, 412, 429];
/// Statuses with which hosts answer a prompt that is longer than the model's context window.
const TOO_LONG: &[u16] = &[400, 413, 422, 500];
// One host sends the same text with any of these.
const QUOTA: &[&str] = &[
    "Throttling",
    "Throttling.RateQuota",
    "Throttling.AllocationQuota",
    "limit_requests",
    "LimitRequests",
    "insufficient_quota",
];
const INSUFFICIENT: &[&str] = &["insufficient_quota"];

/// Everything known. Rows with a fragment come first, the more particular before the more general.
#[rustfmt::skip]
pub const KNOWN_ERRORS: &[KnownError] = &[
    // Calls at one time: before the plans, whose names stand in such words too.
    row(HIDDEN, &[], "concurrency allocated quota exceeded", Concurrency, PLANS),
    row(HIDDEN, &[], "too many concurrent requests", Concurrency, EN),
    row(HIDDEN, &[], "concurrent request", Concurrency, SEEN),
    row(HIDDEN, &[], "concurrency limit", Concurrency, SMG),
    row(HIDDEN, &[], "max parallel requests", Concurrency, LITELLM),
    row(HIDDEN, &[], "max concurrency", Concurrency, KIMI),
    row(HIDDEN, &[], "organization concurrency", Concurrency, KIMI),
    row(HIDDEN, &[], "并发", Concurrency, ZAI),
    // Used up: the free tier.
    row(USED_UP, &[], "free allocated quota exceeded", FreeTier, ZH),
    row(USED_UP, &[], "free tier of the model has been exhausted", FreeTier, EN),
    row(USED_UP, &[], "free quota has been exhausted", FreeTier, EN),
    row(USED_UP, &[], "免费额度已", FreeTier, ZH),
    row(LIMIT, QUOTA, "maximum voice", Account, ZH),
    row(&[400, 403, 429], &[], "does not support asynchronous calls", AsyncUnsupported, ZH),
    // Used up, but for an hour at most, as its users report.
    row(HIDDEN, &[], "usage allocated quota exceeded", TokenRate, PLANS),
    // A gateway's words over the codes of the host behind it. A key of the gateway may be empty, others may serve; where
    // the account is not open at all, none does.
    row(LIMIT, &["billing_not_active"], "负载已饱和", Account, NEW_API),
    row(HIDDEN, &[], "负载已饱和", Capacity, NEW_API),
    // Used up: a window of the plan.
    plan(USED_UP, &[], "hour allocated quota exceeded", FIVE_HOURS, PLANS),
    plan(USED_UP, &[], "day allocated quota exceeded", DAY, PLANS),
    plan(USED_UP, &[], "week allocated quota exceeded", WEEK, PLANS),
    plan(USED_UP, &[], "month allocated quota exceeded", MONTH, PLANS),
    plan(USED_UP, &[], "hour quota", FIVE_HOURS, PLANS),
    plan(USED_UP, &[], "hour usage quota", FIVE_HOURS, VOLC),
    plan(USED_UP, &[], "hour usage limit", FIVE_HOURS, SEEN),
    plan(USED_UP, &[], "session usage limit", FIVE_HOURS, SEEN),
    plan(USED_UP, &[], "小时的使用上限", FIVE_HOURS, ZAI),
    plan(USED_UP, &[], "day quota", DAY, PLANS),
    plan(USED_UP, &[], "today's quota", DAY, SEEN),
    plan(USED_UP, &[], "free models per day", DAY, SEEN),
    plan(USED_UP, &[], "organization tpd", DAY, KIMI),
    plan(USED_UP, &[], "try again tomorrow", DAY, SEEN),
    plan(USED_UP, &[], "week quota", WEEK, PLANS),
    plan(USED_UP, &[], "weekly usage", WEEK, VOLC),
    plan(USED_UP, &[], "weekly/monthly limit", MONTH, ZAI),
    plan(USED_UP, &[], "每周/每月使用上限", MONTH, ZAI),
    plan(USED_UP, &[], "每周使用上限", WEEK, ZAI),
    plan(USED_UP, &[], "month quota", MONTH, PLANS),
    plan(USED_UP, &[], "monthly usage", MONTH, SEEN),
    plan(USED_UP, &[], "billing cycle", MONTH, KIMI),
    plan(USED_UP, &[], "quota will reset", MONTH, PLANS),
    plan(USED_UP, &[], "quota will be refreshed", MONTH, KIMI),
    plan(USED_UP, &[], "plan quota", MONTH, PLANS),
    plan(USED_UP, &[], "quota of your plan", MONTH, SEEN),
    plan(LIMIT, &[], "specified api usage limits", MONTH, ANTHROPIC),
    // Without a status or a code of a limit the message must begin so.
    plan(&[400], &["invalid_request_error"], "you have reached your specified api usage limits", MONTH, ANTHROPIC),
    plan(&[403], &["access_terminated_error"], "you've reached your usage limit for this billing cycle", MONTH, KIMI),
    plan(&[403], &["access_terminated_error"], "your quota will reset when the next cycle begins", MONTH, KIMI),
    // Used up: money.
    row(USED_UP, &[], "budget has been exceeded", Account, LITELLM),
    row(USED_UP, &[], "exceededbudget", Account, LITELLM),
    row(USED_UP, &[], "budget exceeded", Account, LITELLM),
    row(USED_UP, &[], "over budget", Account, LITELLM),
    row(USED_UP, &[], "insufficient balance", Account, SEEN),
    row(USED_UP, &[], "insufficient credits", Account, SEEN),
    row(&[400, 402, 403, 429], &[], "credit balance is too low", Account, ANTHROPIC),
    row(USED_UP, &[], "account balance is insufficient", Account, SILICON),
    row(USED_UP, &[], "in arrears", Account, ZAI),
    row(USED_UP, &[], "余额不足", Account, ZAI),
    row(USED_UP, &[], "欠费", Account, ZH),
    row(SUSPENDED, &[], "monthly spending limit", Account, FIREWORKS),
    row(SUSPENDED, &[], "suspended due to", Account, KIMI),
    // OpenAI's own text; Model Studio writes the same code and first sentence for tokens by the minute.
    row(LIMIT, INSUFFICIENT, "platform.openai.com/docs/guides/error codes", Account, OPENAI),
    // Larger than the whole limit.
    row(&[413, 429, 500, 502, 503], &[], "request too large", TooLarge, SEEN),
    // Larger than the model's context window. The same prompt is refused so each time, also where a host calls that its own
    // failure.
    row(TOO_LONG, &[], "range of input length should be", TooLarge, EN),
    row(TOO_LONG, &[], "maximum context length", TooLarge, OPENAI),
    row(TOO_LONG, &[], "exceeds the available context size", TooLarge, LLAMA),
    row(TOO_LONG, &[], "context size has been exceeded", TooLarge, LLAMA),
    row(TOO_LONG, &[], "fit in context length", TooLarge, LM_STUDIO),
    row(TOO_LONG, &[], "greater than the context length", TooLarge, LM_STUDIO),
    row(TOO_LONG, &[], "prompt is too long", TooLarge, ANTHROPIC),
    // Throttles.
    row(HIDDEN, &[], "due to system capacity limits", Capacity, EN),
    row(HIDDEN, &[], "request rate increased too quickly", Growth, ZH),
    row(HIDDEN, &[], "throttling.burstrate", Growth, ZH),
    row(HIDDEN, &[], "limit burst rate", Growth, ZH),
    row(HIDDEN, &[], "allocated quota exceeded", TokenRate, ZH),
    row(HIDDEN, &[], "throttling: tpm(", TokenRate, SEEN),
    row(HIDDEN, &[], "throttling.allocationquota", TokenRate, ZH),
    row(HIDDEN, &[], "tpm limit reached", TokenRate, SILICON),
    row(HIDDEN, &[], "exceeded token rate limit", TokenRate, AZURE),
    row(HIDDEN, &[], "max tpm", TokenRate, KIMI),
    row(HIDDEN, &[], "limit type: tokens", TokenRate, LITELLM),
    row(HIDDEN, &[], "rpm limit reached", RequestRate, SILICON),
    row(HIDDEN, &[], "exceeded call rate limit", RequestRate, AZURE),
    row(HIDDEN, &[], "rate limit reached for requests", RequestRate, ZAI),
    row(HIDDEN, &[], "queries per minute", RequestRate, TOGETHER),
    row(HIDDEN, &[], "max rpm", RequestRate, KIMI),
    row(HIDDEN, &[], "limit type: requests", RequestRate, LITELLM),
    row(HIDDEN, &[], "exceeded your current request limit", RequestRate, SEEN),
    row(HIDDEN, &[], "throttling.ratequota", RequestRate, ZH),
    row(HIDDEN, &[], "limit requests", RequestRate, ZH),
    row(LIMIT, &[], "exceeded your request limit", RequestRate, ZH),
    row(LIMIT, &[], "requests rate limit exceeded", RequestRate, ZH),
    row(LIMIT, &[], "exceeded your current requests list", RequestRate, ZH),
    row(HIDDEN, &[], "tokens per min", TokenRate, OPENAI),
    row(HIDDEN, &[], "requests per min", RequestRate, OPENAI),
    row(&[400], &["invalid_request_error"], "too many requests", Throttled, SEEN),
    row(&[403], &["AccessDenied"], "rate limit exceeded", Throttled, SEEN),
    row(SERVER, &[], "too many requests", Capacity, SEEN),
    row(HIDDEN, &[], "queue is full", Capacity, SGLANG),
    row(HIDDEN, &[], "currently busy and cannot accept new requests", Capacity, VLLM),
    row(HIDDEN, &[], "prefill token backlog limit", Capacity, VLLM),
    row(HIDDEN, &[], "maximum pending requests", Capacity, SEEN),
    row(HIDDEN, &[], "overloaded", Capacity, SEEN),
    row(HIDDEN, &[], "model busy", Capacity, SEEN),
    row(SERVER, &[], "wall clock timeout", Timeout, NIM),
    // Neither found nor allowed, in words that a 400 or 405 needs.
    row(&[400, 404], &[], "no provider supported", NotFound, MODELSCOPE),
    row(&[403, 405], &[], "only available for coding agents", Forbidden, PLANS),
    row(HIDDEN, &[], "请求过于频繁", RequestRate, ZAI),
    row(HIDDEN, &[], "每分钟", Throttled, SEEN),
    // A longer time in words that name no minute: after those that do.
    plan(USED_UP, &[], "per hour", FIVE_HOURS, SEEN),
    plan(USED_UP, &[], "usage limit reached for", FIVE_HOURS, ZAI),
    plan(USED_UP, &[], "per day", DAY, SEEN),
    plan(USED_UP, &[], "daily limit", DAY, SEEN),
    plan(USED_UP, &[], "daily quota", DAY, SEEN),
    plan(USED_UP, &[], "daily usage", DAY, SEEN),
    plan(USED_UP, &[], "今日", DAY, ZAI),
    plan(USED_UP, &[], "每日", DAY, SEEN),
    plan(USED_UP, &[], "weekly limit", WEEK, SEEN),
    plan(USED_UP, &[], "weekly quota", WEEK, SEEN),
    plan(USED_UP, &[], "每周", WEEK, ZAI),
    plan(USED_UP, &[], "per month", MONTH, SEEN),
    plan(USED_UP, &[], "monthly limit", MONTH, SEEN),
    plan(USED_UP, &[], "monthly quota", MONTH, SEEN),
    plan(USED_UP, &[], "每月", MONTH, ZAI),
    plan(USED_UP, &[], "usage limit", MONTH, SEEN),
    plan(USED_UP, &[], "quota has been exhausted", MONTH, PLANS),
    plan(USED_UP, &[], "额度已用", MONTH, SEEN),
    // Words of a throttle that a 429 needs not, but another status does.
    row(SERVER, &[], "rate limit", Throttled, SEEN),
    row(SERVER, &[], "insufficient quota", TokenRate, SEEN),

    // The code decides: throttles.
    row(LIMIT, &["Throttling", "throttled", "ThrottlingException"], "", Throttled, ZH),
    row(LIMIT, &["Throttling.RateQuota", "LimitRequests", "limit_requests"], "", RequestRate, ZH),
    row(LIMIT, &["Throttling.BurstRate", "limit_burst_rate"], "", Growth, ZH),
    row(LIMIT, &["Throttling.AllocationQuota", "insufficient_quota"], "", TokenRate, BP),
    row(&[402, 403], &["insufficient_quota"], "", Account, OPENAI),
    row(LIMIT, &["Throttling.Concurrency"], "", Concurrency, EN),
    row(LIMIT, &["requests", "request_quota_exceeded"], "", RequestRate, OPENAI),
    row(LIMIT, &["tokens", "token_quota_exceeded"], "", TokenRate, OPENAI),
    row(LIMIT, &["rate_limit_exceeded", "rate_limit_error", "rate_limit", "rate_limited"], "", Throttled, OPENAI),
    row(LIMIT, &["RateLimitError", "RateLimitExceeded", "TooManyRequests", "too_many_requests"], "", Throttled, SEEN),
    row(LIMIT, &["RESOURCE_EXHAUSTED"], "", Throttled, GOOGLE),
    row(LIMIT, &["throttling_error", "all_deployments_in_cooldown"], "", Throttled, LITELLM),
    row(LIMIT, &["rate_limit_reached_error"], "", Throttled, KIMI),
    row(LIMIT, &["50602"], "", Throttled, SILICON),
    row(LIMIT, &["1302"], "", Concurrency, ZAI),
    row(LIMIT, &["1303"], "", RequestRate, ZAI),
    row(LIMIT, &["1305"], "", Throttled, ZAI),
    row(LIMIT, &["admission_queue_full"], "", Concurrency, SMG),
    row(LIMIT, &["InflightBatchsizeExceeded"], "", Concurrency, VOLC),
    row(LIMIT, &["ModelAccountTpmRateLimitExceeded"], "", TokenRate, VOLC),
    row(LIMIT, &["ModelAccountRpmRateLimitExceeded"], "", RequestRate, VOLC),
    row(LIMIT, &["APIG.0308"], "", RequestRate, HUAWEI),
    row(LIMIT, &["ServerOverloaded"], "", Capacity, VOLC),
    row(LIMIT, &["engine_overloaded_error"], "", Capacity, KIMI),
    row(&[498], &["capacity_exceeded"], "", Capacity, SEEN),
    row(&[503, 529], &["overloaded_error"], "", Capacity, ANTHROPIC),
    row(&[503], &["slow_down"], "", Capacity, OPENAI),
    row(SERVER, &["ModelServingError"], "", Capacity, ZH),
    // The code decides: the account and what its key may do.
    row(LIMIT, &["CommodityNotPurchased", "PrepaidBillOverdue", "PostpaidBillOverdue"], "", Account, ZH),
    row(&[400], &["Arrearage"], "", Account, ZH),
    row(&[402, 429], &["billing_error"], "", Account, JAVA),
    row(&[400, 402, 429], &["budget_exceeded", "BudgetExceeded"], "", Account, LITELLM),
    row(&[402, 429], &["insufficient_balance", "insufficient_credits", "billing_hard_limit_reached"], "", Account, SEEN),
    row(LIMIT, &["exceeded_current_quota_error"], "", Account, KIMI),
    row(LIMIT, &["billing_not_active"], "", Account, OPENAI),
    row(LIMIT_OR_403, &["AccountOverdueError", "SetLimitExceeded"], "", Account, VOLC),
    row(LIMIT, &["1113", "1309"], "", Account, ZAI),
    plan(LIMIT, &["1308"], "", FIVE_HOURS, ZAI),
    plan(LIMIT, &["1304"], "", DAY, ZAI),
    plan(LIMIT, &["1310"], "", MONTH, ZAI),
    plan(LIMIT, &["AccountQuotaExceeded"], "", MONTH, VOLC),
    plan(LIMIT, &["usage_limit_reached", "usage_limit_exceeded"], "", MONTH, SEEN),
    row(&[403], &["AllocationQuota.FreeTierOnly"], "", FreeTier, EN),
    row(&[401], &["InvalidApiKey", "invalid_api_key", "authentication_error"], "", Unauthorized, ZH),
    row(&[401], &["UNAUTHENTICATED"], "", Unauthorized, GOOGLE),
    row(&[403], &["AccessDenied", "access_denied", "AccessDenied.Unpurchased"], "", Forbidden, ZH),
    row(&[403], &["Model.AccessDenied", "Workspace.AccessDenied"], "", Forbidden, ZH),
    row(&[403], &["Endpoint.AccessDenied"], "", Forbidden, EN),
    row(&[403], &["permission_error"], "", Forbidden, ANTHROPIC),
    row(&[403], &["PERMISSION_DENIED"], "", Forbidden, GOOGLE),
    // A plan that is used up, by its words, or a program that may not use the plan.
    row(&[403], &["access_terminated_error"], "", Forbidden, KIMI),
    // The code decides: the request.
    row(&[404], &["ModelNotFound", "model_not_found", "model_not_supported"], "", NotFound, ZH),
    row(&[404], &["not_found_error", "NotFound"], "", NotFound, ANTHROPIC),
    row(&[404], &["NotFoundError", "NOT_FOUND"], "", NotFound, VLLM),
    row(&[501], &["not_supported_error"], "", NotFound, LLAMA),
    row(&[400], &["DataInspectionFailed", "data_inspection_failed"], "", ContentFilter, ZH),
    row(&[400], &["content_filter"], "", ContentFilter, OPENAI),
    row(&[400], &["1301"], "", ContentFilter, ZAI),
    row(&[400], &["InvalidParameter", "invalid_parameter_error"], "", InvalidRequest, RECORDED),
    row(&[400], &["invalid_request_error"], "", InvalidRequest, OPENAI),
    row(TOO_LONG, &["context_length_exceeded"], "", TooLarge, OPENAI),
    row(&[400], &["BadRequestError"], "", InvalidRequest, VLLM),
    row(TOO_LONG, &["exceed_context_size_error"], "", TooLarge, LLAMA),
    row(&[400], &["INVALID_ARGUMENT"], "", InvalidRequest, GOOGLE),
    row(&[413], &["request_too_large", "RequestTooLarge"], "", TooLarge, ANTHROPIC),
    // The code decides: the server.
    row(&[408, 500], &["RequestTimeOut"], "", Timeout, ZH),
    row(&[500], &["InternalError.Timeout"], "", Timeout, ZH),
    row(&[504], &["timeout_error"], "", Timeout, JAVA),
    row(&[504], &["DEADLINE_EXCEEDED"], "", Timeout, GOOGLE),
    row(&[500], &["InternalError", "internal_error", "InternalError.Algo"], "", ServerError, ZH),
    row(&[500], &["SystemError", "ModelServiceFailed"], "", ServerError, ZH),
    row(&[500, 502], &["server_error", "bad_gateway"], "", ServerError, OPENAI),
    row(&[500], &["api_error"], "", ServerError, ANTHROPIC),
    row(&[500], &["internal_server_error"], "", ServerError, LITELLM),
    row(&[500], &["InternalServerError"], "", ServerError, VLLM),
    row(SERVER, &["ServiceUnavailable"], "", Unavailable, EN),
    row(&[503], &["ModelUnavailable"], "", Unavailable, ZH),
    row(&[503], &["unavailable_error"], "", Unavailable, LLAMA),
    row(&[503], &["Service Unavailable", "ServiceUnavailableError", "SERVICE_UNAVAILABLE"], "", Unavailable, VLLM),
    row(&[503], &["UNAVAILABLE"], "", Unavailable, GOOGLE),
];
