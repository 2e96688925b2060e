use super::UsageBody;
use crate::{CacheType, Usage};

/// What the value of a `usage` field states; `None` where it states no tokens.
fn usage_of(value: &[u8]) -> Option<Usage> {
    let usage = UsageBody::read(value)?.into_usage();
    (!usage.is_empty()).then_some(usage)
}

fn usage(json: &str) -> Usage {
    usage_of(json.as_bytes()).unwrap_or_else(|| panic!("no usage in {json}"))
}

fn counts(input: u64, output: u64, total: Option<u64>) -> Usage {
    let mut usage = Usage::new(input, output);
    usage.total_tokens = total;
    usage
}

#[test]
fn compatible() {
    assert_eq!(
        usage(
            r#"{"prompt_tokens":3019,"completion_tokens":104,"total_tokens":3123,"prompt_tokens_details":{"cached_tokens":2048}}"#
        ),
        Usage {
            cached_tokens: Some(2048),
            ..counts(3019, 104, Some(3123))
        }
    );
    assert_eq!(
        usage(
            r#"{"completion_tokens":17,"prompt_tokens":22,"total_tokens":39,"completion_tokens_details":null,"prompt_tokens_details":{"audio_tokens":null,"cached_tokens":0}}"#
        ),
        Usage {
            cached_tokens: Some(0),
            ..counts(22, 17, Some(39))
        }
    );
    assert_eq!(
        usage(
            r#"{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16,"completion_tokens_details":{"reasoning_tokens":5},"prompt_tokens_details":{"cached_tokens":0,"cache_creation_input_tokens":8,"cache_type":"ephemeral","text_tokens":1,"image_tokens":3,"video_tokens":4}}"#
        ),
        Usage {
            cached_tokens: Some(0),
            cache_type: Some(CacheType::Explicit),
            cache_write_tokens: Some(8),
            reasoning_tokens: Some(5),
            image_tokens: Some(3),
            video_tokens: Some(4),
            ..counts(9, 7, Some(16))
        }
    );
}

#[test]
fn native_text() {
    assert_eq!(
        usage(
            r#"{"input_tokens":16,"output_tokens":14,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":0}}"#
        ),
        Usage {
            cached_tokens: Some(0),
            ..counts(16, 14, Some(30))
        }
    );
    assert_eq!(
        usage(
            r#"{"input_tokens":16,"output_tokens":14,"total_tokens":30,"output_tokens_details":{"reasoning_tokens":10,"text_tokens":4}}"#
        ),
        Usage {
            reasoning_tokens: Some(10),
            ..counts(16, 14, Some(30))
        }
    );
    assert_eq!(
        usage(
            r#"{"input_tokens":2707,"output_tokens":14,"total_tokens":2721,"plugins":{"search":{"count":1,"strategy":"standard"}}}"#
        ),
        counts(2707, 14, Some(2721))
    );
}

#[test]
fn native_images() {
    assert_eq!(
        usage(
            r#"{"input_tokens_details":{"image_tokens":2503,"text_tokens":304},"prompt_tokens_details":{},"total_tokens":2910,"output_tokens":103,"input_tokens":2807,"output_tokens_details":{"reasoning_tokens":38,"text_tokens":65},"image_tokens":2503}"#
        ),
        Usage {
            reasoning_tokens: Some(38),
            image_tokens: Some(2503),
            ..counts(2807, 103, Some(2910))
        }
    );
    let old = usage(r#"{"output_tokens":3,"input_tokens":3613,"image_tokens":3577}"#);
    assert_eq!(
        old,
        Usage {
            image_tokens: Some(3577),
            ..counts(3613, 3, None)
        }
    );
    assert_eq!(old.total(), Some(3616));
}

#[test]
fn native_others() {
    assert_eq!(
        usage(r#"{"input_tokens":10,"output_tokens":2,"total_tokens":12,"cached_tokens":4}"#),
        Usage {
            cached_tokens: Some(4),
            ..counts(10, 2, Some(12))
        }
    );
    assert_eq!(
        usage(r#"{"input_tokens":10,"output_tokens":2}"#).total(),
        Some(12)
    );
    assert_eq!(
        usage(
            r#"{"models":[{"model_id":"qwen-plus","input_tokens":1201,"output_tokens":43},{"model_id":"qwen-max","input_tokens":9,"output_tokens":7}]}"#
        ),
        counts(1210, 50, None)
    );
    let embedded = usage(r#"{"total_tokens":23}"#);
    assert_eq!(embedded.total(), Some(23));
    assert_eq!(embedded.input_tokens, None);
    assert_eq!(
        usage(r#"{"input_tokens":3}"#),
        Usage {
            input_tokens: Some(3),
            ..Usage::default()
        }
    );
    assert_eq!(
        usage(r#"{"input_tokens":30,"output_tokens":8,"input_tokens_details":{"audio_tokens":20},"output_tokens_details":{"audio_tokens":5}}"#)
            .audio_tokens,
        Some(25)
    );
}

#[test]
fn responses_parts_are_not_added_twice() {
    assert_eq!(
        usage(
            r#"{"input_tokens":40,"output_tokens":20,"total_tokens":60,"output_tokens_details":{"reasoning_tokens":12},"x_details":[{"x_billing_type":"response_api","input_tokens":40,"output_tokens":20,"total_tokens":60,"prompt_tokens_details":{"cached_tokens":16,"cache_creation_input_tokens":2,"cache_type":"ephemeral"},"output_tokens_details":{"reasoning_tokens":12}}]}"#
        ),
        Usage {
            cached_tokens: Some(16),
            cache_type: Some(CacheType::Explicit),
            cache_write_tokens: Some(2),
            reasoning_tokens: Some(12),
            ..counts(40, 20, Some(60))
        }
    );
}

#[test]
fn anthropic_input_is_made_inclusive() {
    assert_eq!(
        usage(
            r#"{"input_tokens":5,"cache_creation_input_tokens":100,"cache_read_input_tokens":2000,"output_tokens":7}"#
        ),
        Usage {
            cached_tokens: Some(2000),
            cache_write_tokens: Some(100),
            ..counts(2105, 7, None)
        }
    );
    assert_eq!(
        usage(
            r#"{"prompt_tokens":2105,"completion_tokens":7,"total_tokens":2112,"cache_read_input_tokens":2000}"#
        ),
        Usage {
            cached_tokens: Some(2000),
            ..counts(2105, 7, Some(2112))
        }
    );
}

#[test]
fn numbers_as_decimals_and_as_texts() {
    for (input, output) in [
        ("120", "7"),
        ("120.0", "7.0"),
        ("1.2e2", "7e0"),
        ("\"120\"", "\"7\""),
        ("\" 120.0 \"", "\"0.7e1\""),
        ("119.2", "6.5"),
    ] {
        assert_eq!(
            usage(&format!(
                r#"{{"prompt_tokens":{input},"completion_tokens":{output}}}"#
            )),
            counts(120, 7, None)
        );
    }
}

#[test]
fn caches_under_every_name() {
    let cached = |json: &str| {
        let body = format!(r#"{{"prompt_tokens":9,"completion_tokens":1,{json}}}"#);
        let Usage {
            cached_tokens,
            cache_type,
            cache_write_tokens,
            input_tokens,
            ..
        } = usage(&body);
        assert_eq!(input_tokens, Some(9), "{json}");
        (cached_tokens, cache_type, cache_write_tokens)
    };
    let explicit = Some(CacheType::Explicit);
    for (json, expected) in [
        (
            r#""prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":1"#,
            (Some(8), None, None),
        ),
        (
            r#""prompt_tokens_details":{"cached_tokens":0},"prompt_cache_hit_tokens":8"#,
            (Some(8), None, None),
        ),
        (r#""cached_tokens":8"#, (Some(8), None, None)),
        (
            r#""prompt_tokens_details":{"cached_tokens":9,"cache_type":"ephemeral"}"#,
            (Some(9), explicit, None),
        ),
        (
            r#""prompt_tokens_details":{"cached_tokens":9,"cache_type":null}"#,
            (Some(9), None, None),
        ),
        (
            r#""prompt_tokens_details":{"cache_write_tokens":8}"#,
            (None, None, Some(8)),
        ),
        (r#""cache_write_tokens":8"#, (None, None, Some(8))),
        (
            r#""input_tokens_details":{"cached_tokens":2,"cache_creation_input_tokens":6}"#,
            (Some(2), None, Some(6)),
        ),
    ] {
        assert_eq!(cached(json), expected, "{json}");
    }
}

#[test]
fn an_output_of_zero_is_the_rest_of_the_total() {
    let output = |json: &str| usage(json).output_tokens;
    assert_eq!(
        output(
            r#"{"prompt_tokens":21,"completion_tokens":0,"total_tokens":81,"completion_tokens_details":{"reasoning_tokens":60}}"#
        ),
        Some(60)
    );
    assert_eq!(
        output(r#"{"prompt_tokens":21,"completion_tokens":0,"total_tokens":21}"#),
        Some(0)
    );
    assert_eq!(
        output(r#"{"prompt_tokens":21,"completion_tokens":0,"total_tokens":3}"#),
        Some(0)
    );
}

#[test]
fn nothing_stated() {
    for json in [
        "null",
        "{}",
        "[]",
        "[[1]]",
        "7",
        "-7",
        "1.5",
        "\"x\"",
        "true",
        "",
        "{",
        "{\"input_tokens\":",
        "{}x",
        r#"{"image_count":1,"width":1024,"height":1024}"#,
        r#"{"prompt_tokens":null,"total_tokens":null,"prompt_tokens_details":null}"#,
        r#"{"input_tokens":"16 or so","output_tokens":-1,"total_tokens":-1.5}"#,
        r#"{"input_tokens":"-1","output_tokens":"","total_tokens":"inf"}"#,
        r#"{"input_tokens":"NaN","output_tokens":-1e300,"total_tokens":"-inf"}"#,
        r#"{"input_tokens":{"a":1},"output_tokens":[1],"total_tokens":true}"#,
        r#"{"models":null}"#,
        r#"{"models":{"a":1}}"#,
        r#"{"models":[]}"#,
        r#"{"models":[1,null,"x",{}]}"#,
        r#"{"models":7,"x_details":"x"}"#,
    ] {
        assert_eq!(usage_of(json.as_bytes()), None, "{json}");
    }
}

#[test]
fn what_is_beyond_all_counts_is_the_largest_one() {
    for number in [
        "99999999999999999999999",
        "1e300",
        "\"1e300\"",
        "18446744073709551616",
    ] {
        let json = format!(r#"{{"input_tokens":{number},"output_tokens":2}}"#);
        let usage = usage_of(json.as_bytes());
        assert_eq!(usage, Some(counts(u64::MAX, 2, None)), "{json}");
    }
}

#[test]
fn a_wrong_part_does_not_spoil_the_rest() {
    let expected = counts(1, 2, None);
    for wrong in [
        "null",
        "7",
        "\"x\"",
        "[]",
        "[{}]",
        "{}",
        "true",
        "-1.5",
        r#"{"cached_tokens":"x"}"#,
    ] {
        for name in [
            "prompt_tokens_details",
            "output_tokens_details",
            "x_details",
            "models",
            "cached_tokens",
            "other",
        ] {
            let json = format!(r#"{{"{name}":{wrong},"input_tokens":1,"output_tokens":2}}"#);
            let read = usage(&json);
            let read = Usage {
                cached_tokens: read.cached_tokens.filter(|&count| count != 7),
                ..read
            };
            assert_eq!(read, expected, "{json}");
        }
    }
    assert_eq!(
        usage(r#"{"input_tokens":1,"input_tokens":null,"output_tokens":2}"#),
        expected
    );
    assert_eq!(
        usage(r#"{"input\u005ftokens":1,"output_tokens":2}"#),
        expected
    );
}

#[test]
fn later_usage_replaces_earlier() {
    let read = |json: &str| UsageBody::read(json.as_bytes()).expect("json");
    let mut native = read(r#"{"total_tokens":18,"input_tokens":16,"output_tokens":2}"#);
    native.update(&read(
        r#"{"total_tokens":22,"input_tokens":16,"output_tokens":6}"#,
    ));
    native.update(&read("{}"));
    assert_eq!(native.into_usage(), counts(16, 6, Some(22)));
    native.update(&read(r#"{"output_tokens":9}"#));
    assert_eq!(native.into_usage(), counts(16, 9, None));

    let mut anthropic =
        read(r#"{"input_tokens":5,"cache_read_input_tokens":20,"output_tokens":1}"#);
    anthropic.update(&read(r#"{"output_tokens":15}"#));
    assert_eq!(
        anthropic.into_usage(),
        Usage {
            cached_tokens: Some(20),
            ..counts(25, 15, None)
        }
    );
    for zero in ["0", "null", "0.0", "\"0\""] {
        anthropic.update(&read(&format!(
            r#"{{"input_tokens":{zero},"cache_read_input_tokens":{zero},"output_tokens":{zero}}}"#
        )));
        assert_eq!(
            anthropic.into_usage(),
            Usage {
                cached_tokens: Some(20),
                ..counts(25, 15, None)
            },
            "{zero}"
        );
    }
    anthropic.update(&read(r#"{"input_tokens":5,"output_tokens":16}"#));
    assert_eq!(anthropic.into_usage().input_tokens, Some(25));
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = usage_of(&bytes);
    }
}
