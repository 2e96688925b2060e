//! Exact counts against those of the reference.

#![cfg(feature = "tokenizer")]

use serde_json::Value;
use tower_qwen_tokens::estimate::{Chat, Estimate, Family, ImageRule, Message, Profile, Tokenizer};

const GOLDEN: &str = include_str!("data/tokenizer/golden.jsonl");

fn lines() -> impl Iterator<Item = (&'static str, Value)> {
    GOLDEN
        .lines()
        .map(|line| (line, serde_json::from_str(line).unwrap()))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[test]
fn every_text_of_the_reference() {
    let qwen3 = Tokenizer::new(Family::Qwen3);
    let qwen2_5 = Tokenizer::new(Family::Qwen2_5);
    let mut seen = 0;
    for (line, golden) in lines() {
        let Some(text) = golden["text"].as_str() else {
            continue;
        };
        let ids: Vec<u64> = golden["ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(number)
            .collect();
        let ours: Vec<u64> = qwen3.encode(text).into_iter().map(u64::from).collect();
        assert_eq!(ours, ids, "{line}");
        assert_eq!(qwen3.count(text), number(&golden["n"]), "{line}");
        let of_qwen2_5 = golden.get("n_qwen2_5").unwrap_or(&golden["n"]);
        assert_eq!(qwen2_5.count(text), number(of_qwen2_5), "{line}");
        assert_eq!(
            qwen2_5.encode(text).len() as u64,
            number(of_qwen2_5),
            "{line}"
        );
        seen += 1;
    }
    assert_eq!(seen, 296);
}

#[test]
fn every_chat_of_the_reference() {
    let mut seen = 0;
    for (line, golden) in lines() {
        let Some(family) = golden["model_family"].as_str() else {
            continue;
        };
        let open = Profile::open_template();
        let (family, profile) = match family {
            "qwen2" => (
                Family::Qwen2_5,
                open.default_system("You are a helpful assistant."),
            ),
            "qwen2.5" => (Family::Qwen2_5, open),
            "qwen3" => (Family::Qwen3, open),
            other => panic!("{other}"),
        };
        let chat = Chat::from_body(line.as_bytes()).unwrap();
        let count = Tokenizer::new(family).count_chat(&chat, &profile);
        assert_eq!(count, number(&golden["n"]), "{line}");
        seen += 1;
    }
    assert_eq!(seen, 62);
}

/// `n(message) = 4 + n("\n" + content)`, and three for the opening of the answer.
#[test]
fn a_plain_chat_is_its_texts_and_the_frame() {
    for family in [Family::Qwen2_5, Family::Qwen3] {
        let tokenizer = Tokenizer::new(family);
        for (line, golden) in lines() {
            let Some(text) = golden["text"].as_str() else {
                continue;
            };
            let of_message = 4 + tokenizer.count(&format!("\n{text}"));
            let chat = Chat::new([Message::system(text), Message::user(text)]);
            assert_eq!(
                tokenizer.count_chat(&chat, &Profile::dash_scope()),
                2 * of_message + 3,
                "{line}"
            );
            assert_eq!(
                tokenizer.count_chat(&chat.closed(), &Profile::open_template()),
                2 * of_message,
                "{line}"
            );
        }
    }
}

/// Counts that Model Studio itself gave (qwen-max, -plus and -turbo, December 2024 to December 2025).
#[test]
fn counts_that_the_provider_gave() {
    let tokenizer = Tokenizer::new(Family::Qwen2_5);
    let count =
        |messages: Vec<Message>| tokenizer.count_chat(&Chat::new(messages), &Profile::dash_scope());
    assert_eq!(count(vec![Message::user("请问 1+1 是多少？")]), 16);
    assert_eq!(count(vec![Message::user("Hello!")]), 10);
    assert_eq!(count(vec![Message::user("你好呀!")]), 11);
    let system = Message::system("You are a helpful assistant.");
    assert_eq!(count(vec![system, Message::user("你是谁？")]), 22);
}

#[test]
fn hosts_differ_in_what_they_add() {
    let chat = Chat::new([Message::user("hi")]);
    let tokenizer = Tokenizer::new(Family::Qwen2_5);
    let bare = tokenizer.count_chat(&chat, &Profile::dash_scope());
    assert_eq!(bare, 9);
    assert_eq!(
        tokenizer.count_chat(&chat, &Profile::open_template()),
        bare + 21
    );
    let own = Profile::open_template().default_system("You are a helpful assistant.");
    assert_eq!(tokenizer.count_chat(&chat, &own), bare + 11);
    let qwen3 = Tokenizer::new(Family::Qwen3);
    assert_eq!(qwen3.count_chat(&chat, &Profile::open_template()), bare);
    assert_eq!(
        qwen3.count_chat(&chat.clone().without_thinking(), &Profile::open_template()),
        bare + 4
    );
    assert_eq!(
        tokenizer.count_chat(&chat.without_thinking(), &Profile::dash_scope()),
        bare
    );
}

#[test]
fn tools_are_rendered_as_the_template_prints_them() {
    let tokenizer = Tokenizer::new(Family::Qwen3);
    let count = |tools: &str| {
        let chat = Chat::new([Message::user("w?")]).tools(tools).unwrap();
        tokenizer.count_chat(&chat, &Profile::open_template())
    };
    let compact = r#"[{"type":"function","function":{"name":"f","description":"\u5317\u4eac"}}]"#;
    let spaced = r#"[{"type": "function", "function": {"name": "f", "description": "北京"}}]"#;
    let reordered = r#"[{"function":{"description":"北京","name":"f"},"type":"function"}]"#;
    assert_eq!(count(compact), count(spaced));
    assert!(count(reordered) > 0);
    assert_eq!(count("[]"), 10);
    assert!(count(compact) > 80);
}

#[test]
fn an_image_is_its_squares_and_its_marks() {
    let tokenizer = Tokenizer::new(Family::Qwen2_5);
    let host = Profile::dash_scope();
    let text = Chat::new([Message::user("what is it")]);
    let text = tokenizer.count_chat(&text, &host);
    let count = |chat: &Chat, host: &Profile| tokenizer.count_chat(chat, host) - text;
    let rule = ImageRule::qwen2_5_vl();

    let image = Chat::new([Message::user("").image(1280, 720).text("what is it")]);
    // The text has lost the line break before it, to the image's first mark.
    assert_eq!(count(&image, &host), rule.tokens(1280, 720).unwrap());
    let newer = host.clone().images(ImageRule::qwen3_vl());
    assert_eq!(count(&image, &newer), 882);

    let body = br#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/x"}},{"type":"text","text":"what is it"}]}]}"#;
    let unknown = Chat::from_body(body).unwrap();
    assert_eq!(count(&unknown, &host), rule.most_tokens());
    let known = unknown.image_sizes([(1280, 720)]);
    assert_eq!(count(&known, &host), rule.tokens(1280, 720).unwrap());
}

#[test]
fn texts_without_a_break_are_counted_alike() {
    let tokenizer = Tokenizer::new(Family::Qwen3);
    let library = tiktoken::get_encoding("qwen2").unwrap();
    for (unit, count) in [
        ("a", 20_000),
        (" ", 20_000),
        ("\n", 20_000),
        ("中", 9_000),
        ("ab中", 5_000),
        ("=-", 9_000),
        (" \n", 9_000),
        ("\n                                        ", 900),
    ] {
        let text = format!("It's: {}\t\t== end", unit.repeat(count));
        assert_eq!(tokenizer.encode(&text), library.encode(&text), "{unit:?}");
        assert_eq!(
            tokenizer.count(&text),
            library.count(&text) as u64,
            "{unit:?}"
        );
    }
}

#[test]
fn a_tokenizer_is_an_estimate() {
    fn estimate(by: &dyn Estimate, text: &str) -> u64 {
        by.estimate(text)
    }
    let tokenizer = Tokenizer::new(Family::Qwen3);
    assert_eq!(estimate(&tokenizer, "hello world"), 2);
    assert_eq!(estimate(&tokenizer.clone(), ""), 0);
}

#[test]
fn a_tokenizer_goes_anywhere() {
    fn everywhere<T: Clone + Send + Sync + 'static>(_: &T) {}
    let tokenizer = Tokenizer::new(Family::Qwen2_5);
    everywhere(&tokenizer);
    everywhere(&Chat::default());
    everywhere(&Profile::dash_scope());
    assert_eq!(tokenizer.family(), Family::Qwen2_5);
    assert_eq!(
        format!("{tokenizer:?}"),
        "Tokenizer { family: Qwen2_5, .. }"
    );
}
