//! Members that hosts read otherwise than one might think: foreign names, two of one name, other types.

use bytes::Bytes;
use futures::FutureExt;
use http::Request;
use http_body_util::Full;
use proptest::prelude::*;
use tower_qwen_tokens::{
    Call,
    call::{ModelCall, ReadCall, ReadOptions},
};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const GENERATE: &str = "/v1/generate";
const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";
const MULTIMODAL: &str = "/api/v1/services/aigc/multimodal-generation/generation";

const CEILINGS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

fn read(path: &str, body: &str) -> ModelCall {
    let request = Request::post(path)
        .body(Full::new(Bytes::from(body.to_owned())))
        .expect("a request");
    let request = ReadCall::new(request, &ReadOptions::default())
        .now_or_never()
        .expect("nothing to wait for")
        .expect("a readable request");
    let call = Call::of(&request).and_then(|call| call.model_call());
    call.expect("a model call").clone()
}

/// A body with these members where the path's API has its parameters.
fn body(path: &str, members: &str) -> String {
    match [NATIVE, MULTIMODAL].contains(&path) {
        true => format!(r#"{{"parameters":{{{members}}}}}"#),
        false => format!("{{{members}}}"),
    }
}

fn ceiling(path: &str, members: &str) -> Option<u64> {
    read(path, &body(path, members)).output_ceiling
}

#[test]
fn a_ceiling_is_believed_by_the_names_of_its_dialect() {
    for (path, believed) in [
        (CHAT, &CEILINGS[..2]),
        (COMPLETIONS, &CEILINGS[..1]),
        (RESPONSES, &CEILINGS[2..]),
        (MESSAGES, &CEILINGS[..1]),
        (GENERATE, &CEILINGS[..1]),
        (NATIVE, &CEILINGS[..1]),
        (MULTIMODAL, &CEILINGS[..1]),
    ] {
        for name in CEILINGS {
            let expected = Some(7).filter(|_| believed.contains(&name));
            let found = ceiling(path, &format!(r#""{name}":7"#));
            assert_eq!(found, expected, "{path} {name}");
        }
    }
    for name in CEILINGS {
        let beside = format!(r#"{{"{name}":7,"input":{{"prompt":"Hi"}}}}"#);
        assert_eq!(read(NATIVE, &beside).output_ceiling, None, "{beside}");
    }
}

#[test]
fn a_ceiling_that_is_stated_twice_is_its_largest_or_none() {
    for (members, expected) in [
        (r#""max_tokens":1,"max_tokens":null"#, None),
        (r#""max_tokens":null,"max_tokens":1"#, None),
        (r#""max_tokens":1,"max\u005ftokens":"many""#, None),
        (r#""max_tokens":1,"max_tokens":[1]"#, None),
        (r#""max_tokens":1,"max_tokens":-1"#, None),
        (r#""max_tokens":1,"max_tokens":900"#, Some(900)),
        (r#""max_tokens":900,"max_tokens":1"#, Some(900)),
        (r#""max_tokens":1,"max_completion_tokens":900"#, Some(900)),
        (r#""max_tokens":900,"max_completion_tokens":1"#, Some(900)),
        (r#""max_tokens":null,"max_completion_tokens":9"#, Some(9)),
        (r#""max_tokens":9,"max_completion_tokens":null"#, Some(9)),
        // A host that takes the null has no ceiling by this name, and one that takes the other has it.
        (
            r#""max_completion_tokens":900,"max_completion_tokens":null,"max_tokens":1"#,
            None,
        ),
        (
            r#""max_tokens":1,"thinking_budget":5,"thinking_budget":800"#,
            Some(801),
        ),
        (
            r#""max_tokens":1,"thinking_budget":5,"thinking_budget":null"#,
            None,
        ),
        (
            r#""max_tokens":1,"thinking_budget":5,"max_completion_tokens":4"#,
            Some(6),
        ),
        (
            r#""max_tokens":1,"enable_thinking":true,"enable_thinking":false"#,
            None,
        ),
    ] {
        assert_eq!(ceiling(CHAT, members), expected, "{members}");
    }
}

#[test]
fn a_budget_above_anthropics_ceiling_is_not_below_it() {
    for (kind, budget, expected) in [
        ("enabled", "5", Some(100)),
        ("enabled", "100", Some(100)),
        ("enabled", "5000", Some(5_100)),
        ("enabled", r#"5,"budget_tokens":null"#, None),
        ("disabled", "5000", Some(100)),
    ] {
        let thinking =
            format!(r#""max_tokens":100,"thinking":{{"type":"{kind}","budget_tokens":{budget}}}"#);
        assert_eq!(ceiling(MESSAGES, &thinking), expected, "{thinking}");
    }
}

#[test]
fn answers_are_as_many_as_the_larger_of_two_members_says() {
    let call = read(COMPLETIONS, r#"{"n":100,"n":1,"best_of":7,"best_of":null}"#);
    assert_eq!((call.choices, call.answers), (100, 100));
}

#[test]
fn what_is_not_plainly_false_is_in_the_background() {
    for (members, expected) in [
        (r#""background":true"#, true),
        (r#""background":"true""#, true),
        (r#""background":"false""#, true),
        (r#""background":1"#, true),
        (r#""background":-1"#, true),
        (r#""background":"yes""#, true),
        (r#""background":[]"#, true),
        (r#""background":true,"background":false"#, true),
        (r#""background":false,"b\u0061ckground":true"#, true),
        (r#""background":false"#, false),
        (r#""background":null"#, false),
        ("", false),
    ] {
        let call = read(RESPONSES, &format!("{{{members}}}"));
        assert_eq!(call.background, expected, "{members}");
        assert!(!read(CHAT, &format!("{{{members}}}")).background);
    }
}

#[test]
fn what_leaves_a_stream_unclear_is_named() {
    let stream = Some("stream");
    let options = Some("stream_options");
    let usage = Some("stream_options.include_usage");
    for (members, expected) in [
        (r#""stream":1"#, stream),
        (r#""stream":"true""#, stream),
        (r#""stream":"yes""#, stream),
        (r#""stream":{}"#, stream),
        (r#""stream":0"#, stream),
        (r#""stream":true,"stream":false"#, stream),
        (r#""stream":null,"stream":true"#, stream),
        (r#""stream":true,"stream_options":[]"#, options),
        (r#""stream":true,"stream_options":[{}]"#, options),
        (r#""stream":true,"stream_options":"x""#, options),
        (r#""stream_options":1,"stream":true"#, options),
        (r#""stream":true,"stream_options":true"#, options),
        (
            r#""stream":true,"stream_options":{"include_usage":"no"}"#,
            usage,
        ),
        (
            r#""stream":true,"stream_options":{"include_usage":0}"#,
            usage,
        ),
        (
            r#""stream":true,"stream_options":{"include_usage":0,"include_usage":true}"#,
            usage,
        ),
        (r#""stream":true"#, None),
        (r#""stream":true,"stream":true"#, None),
        (r#""stream":false"#, None),
        (r#""stream":null"#, None),
        (r#""stream":true,"stream_options":null"#, None),
        (
            r#""stream":true,"stream_options":{"include_usage":null}"#,
            None,
        ),
        (
            r#""stream":true,"stream_options":{"include_usage":false}"#,
            None,
        ),
        // Without a stream nobody reads them: PHP writes no options so.
        (r#""stream_options":[]"#, None),
        ("", None),
    ] {
        for path in [CHAT, COMPLETIONS] {
            let call = read(path, &format!("{{{members}}}"));
            assert_eq!(call.unclear, expected, "{path} {members}");
        }
    }
}

/// Readers of Go take them for the member, and of two the last.
#[test]
fn a_name_in_another_case_leaves_its_member_unclear() {
    for (path, body, expected) in [
        (CHAT, r#"{"model":"a","Model":"b"}"#, "model"),
        (CHAT, r#"{"Model":"b"}"#, "model"),
        (CHAT, r#"{"\u004dodel":"b"}"#, "model"),
        (CHAT, r#"{"Max_Tokens":9}"#, "max_tokens"),
        (
            CHAT,
            r#"{"MAX_COMPLETION_TOKENS":9}"#,
            "max_completion_tokens",
        ),
        (CHAT, r#"{"max_toKens":9}"#, "max_tokens"),
        (CHAT, "{\"max_to\u{212a}ens\":9}", "max_tokens"),
        (CHAT, "{\"\u{17f}tream\":true}", "stream"),
        (CHAT, r#"{"STREAM":true}"#, "stream"),
        (CHAT, r#"{"\u017ftream":true}"#, "stream"),
        (CHAT, r#"{"N":9}"#, "n"),
        (CHAT, r#"{"Stream_Options":{}}"#, "stream_options"),
        (
            CHAT,
            r#"{"stream":true,"stream_options":{"Include_Usage":false}}"#,
            "stream_options.include_usage",
        ),
        (
            CHAT,
            r#"{"chat_template_kwargs":{"Enable_Thinking":true}}"#,
            "enable_thinking",
        ),
        (COMPLETIONS, r#"{"Best_Of":9}"#, "best_of"),
        (RESPONSES, r#"{"Background":true}"#, "background"),
        (RESPONSES, r#"{"Max_Output_Tokens":9}"#, "max_output_tokens"),
        (
            MESSAGES,
            r#"{"thinking":{"Budget_Tokens":9}}"#,
            "budget_tokens",
        ),
        (NATIVE, r#"{"Parameters":{}}"#, "parameters"),
        (NATIVE, r#"{"parameters":{"Max_Tokens":9}}"#, "max_tokens"),
        (NATIVE, r#"{"input":{"Messages":[]}}"#, "messages"),
        // Names that are not known, or of other places.
        (CHAT, r#"{"modeL2":1,"Seed":1,"max_output_tokens":9}"#, ""),
        (CHAT, r#"{"metadata":{"Model":"b"},"x":{"Stream":1}}"#, ""),
        (
            CHAT,
            r#"{"messages":[{"Content":"a"}],"tools":[{"Model":1}]}"#,
            "",
        ),
        (CHAT, "{\"\u{e9}\":1,\"mode\u{142}\":1}", ""),
        (CHAT, r#"{"stream_options":{"Include_Usage":true}}"#, ""),
    ] {
        let found = read(path, body).unclear;
        assert_eq!(found.unwrap_or_default(), expected, "{path} {body}");
    }
}

proptest! {
    /// Whichever members a host reads, and whichever of two it takes: its ceiling is not above the one that is believed.
    #[test]
    fn no_host_reads_a_higher_ceiling(
        members in proptest::collection::vec((0_usize..2, proptest::option::of(1_u64..100)), 0..5),
    ) {
        let texts = members.iter().map(|&(name, number)| {
            let value = number.map_or("null".to_owned(), |number| number.to_string());
            format!(r#""{}":{value}"#, CEILINGS[name])
        });
        let found = ceiling(CHAT, &texts.collect::<Vec<_>>().join(","));
        let of = |wanted: usize| members.iter().filter(move |(name, _)| *name == wanted);
        for takes_first in [true, false] {
            let taken = |name: usize| {
                let taken = if takes_first { of(name).next() } else { of(name).next_back() };
                taken.and_then(|&(_, number)| number)
            };
            // The host prefers one name or the other.
            for read in [taken(0).or(taken(1)), taken(1).or(taken(0))] {
                prop_assert!(found.is_none() || read.is_some_and(|read| read <= found.unwrap_or(0)));
            }
        }
    }
}

const TEXT: &str = "Why is the sky blue, and why are sunsets red? ";

#[test]
fn texts_of_members_that_are_not_known_count() {
    let text = serde_json::Value::from(TEXT.repeat(1_000)).to_string();
    let least = TEXT.len() as u64 * 1_000 / 4;
    for (path, body) in [
        (
            CHAT,
            r#"{"response_format":{"json_schema":{"schema":{"description":TEXT}}}}"#,
        ),
        (
            CHAT,
            r#"{"response_format":{"json_schema":{"schema":{TEXT:1}}}}"#,
        ),
        (CHAT, r#"{"guided_json":TEXT}"#),
        (CHAT, r#"{"documents":[{"title":"a","text":TEXT}]}"#),
        (CHAT, r#"{"chat_template":TEXT}"#),
        (CHAT, r#"{"chat_template_kwargs":{"hint":TEXT}}"#),
        (
            CHAT,
            r#"{"messages":[{"role":"assistant","content":"","reasoning_content":TEXT}]}"#,
        ),
        (
            CHAT,
            r#"{"messages":[{"role":"user","content":"","hint":TEXT}]}"#,
        ),
        (
            CHAT,
            r#"{"messages":[{"role":"user","content":[{"type":"x","hint":[TEXT]}]}]}"#,
        ),
        (
            RESPONSES,
            r#"{"text":{"format":{"schema":{"description":TEXT}}}}"#,
        ),
        (RESPONSES, r#"{"prompt":{"id":"p","variables":{"a":TEXT}}}"#),
        (
            MESSAGES,
            r#"{"messages":[{"content":[{"type":"document","source":{"type":"text","data":TEXT}}]}]}"#,
        ),
        (
            MESSAGES,
            r#"{"messages":[{"content":[{"type":"document","source":{"type":"content","content":[{"type":"text","text":TEXT}]}}]}]}"#,
        ),
        (
            NATIVE,
            r#"{"input":{"tools":[{"function":{"description":TEXT}}]}}"#,
        ),
        (NATIVE, r#"{"input":{"hint":TEXT}}"#),
        (NATIVE, r#"{"parameters":{"hint":TEXT}}"#),
        (
            CHAT,
            r#"{"messages":[{"content":[{"image_url":{"url":TEXT}}]}]}"#,
        ),
    ] {
        let call = read(path, &body.replace("TEXT", &text));
        assert!(call.input_tokens >= least, "{body}: {}", call.input_tokens);
        assert!(call.cautious_input_tokens >= call.input_tokens);
    }
}

#[test]
fn data_counts_by_no_bytes_and_small_members_not_at_all() {
    let data = "QUJD".repeat(50_000);
    for (path, body) in [
        (
            CHAT,
            r#"{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,DATA"}}]}]}"#,
        ),
        (
            CHAT,
            r#"{"messages":[{"content":[{"input_audio":{"data":"DATA","format":"wav"}}]}]}"#,
        ),
        (
            CHAT,
            r#"{"messages":[{"content":[{"file":{"file_data":"DATA","filename":"a b c"}}]}]}"#,
        ),
        (
            RESPONSES,
            r#"{"input":[{"content":[{"type":"input_file","file_data":"data:application/pdf;base64,DATA"}]}]}"#,
        ),
        (
            MESSAGES,
            r#"{"messages":[{"content":[{"type":"document","source":{"type":"base64","data":"DATA"}}]}]}"#,
        ),
        (COMPLETIONS, r#"{"prompt_embeds":"DATA"}"#),
        (CHAT, r#"{"extra":"data:image/png;base64,DATA"}"#),
    ] {
        let call = read(path, &body.replace("DATA", &data));
        assert!(call.input_tokens < 1_400, "{body}: {}", call.input_tokens);
    }
    let bare = read(CHAT, r#"{"messages":[{"content":"Hi"}]}"#).input_tokens;
    let usual = r#"{"user":"0123-4567","stop":["a","b"],"temperature":0.5,"seed":7,"stream":true,"tool_choice":"auto","messages":[{"role":"user","content":"Hi"}]}"#;
    assert_eq!(read(CHAT, usual).input_tokens, bare);
}
