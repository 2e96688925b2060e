use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use super::{
    ChatError,
    chat::Chat,
    message::{Message, ToolCall},
    python::{self, Printed},
};

/// The body of a chat request, compatible or native.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    messages: Option<Vec<WireMessage<'a>>>,
    tools: Option<Vec<Printed>>,
    enable_thinking: Option<bool>,
    add_generation_prompt: Option<bool>,
    chat_template_kwargs: Option<Thinking>,
    #[serde(borrow)]
    input: Option<Input<'a>>,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    messages: Option<Vec<WireMessage<'a>>>,
}

#[derive(Deserialize)]
struct Parameters {
    tools: Option<Vec<Printed>>,
    enable_thinking: Option<bool>,
}

#[derive(Deserialize)]
struct Thinking {
    enable_thinking: Option<bool>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Content<'a>,
    reasoning_content: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<Vec<WireToolCall<'a>>>,
}

#[derive(Deserialize)]
struct WireToolCall<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    arguments: Arguments,
}

/// A text, or a list of parts.
#[derive(Default)]
struct Content<'a>(Vec<ContentPart<'a>>);

/// A part of a message, in the spelling of either dialect.
#[derive(Default, Deserialize)]
struct ContentPart<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    image_url: Option<IgnoredAny>,
    image: Option<IgnoredAny>,
}

/// Arguments of a call: JSON within a string, or the object itself.
#[derive(Default)]
struct Arguments(String);

struct ContentVisitor;
struct ArgumentsVisitor;

impl Chat {
    /// The chat in the body of a request: compatible (`messages`, `tools`) or native (`input`,
    /// `parameters`).
    ///
    /// Images come without their size; see [`image_sizes`](Self::image_sizes).
    ///
    /// # Errors
    ///
    /// The body is not JSON, or no chat.
    pub fn from_body(body: &[u8]) -> Result<Self, ChatError> {
        let body: Body<'_> =
            serde_json::from_slice(body).map_err(|error| ChatError::new(&error))?;
        let native = body.input.and_then(|input| input.messages);
        let (native_tools, native_thinking) = match body.parameters {
            Some(Parameters {
                tools,
                enable_thinking,
            }) => (tools, enable_thinking),
            None => (None, None),
        };
        // vLLM and SGLang take it there, and it goes before the field of DashScope.
        let template_thinking = body
            .chat_template_kwargs
            .and_then(|options| options.enable_thinking);
        let thinking = template_thinking
            .or(body.enable_thinking)
            .or(native_thinking);
        let mut chat = Chat {
            tools: print_all(body.tools.or(native_tools).unwrap_or_default()),
            is_closed: body.add_generation_prompt == Some(false),
            is_without_thinking: thinking == Some(false),
            ..Chat::default()
        };
        for message in body.messages.or(native).unwrap_or_default() {
            let message = message.read(&mut chat.unread_parts);
            chat.messages.push(message);
        }
        Ok(chat)
    }

    /// Adds tools: a JSON array of their schemas, as in the request.
    ///
    /// # Errors
    ///
    /// The text is no JSON array.
    pub fn tools(mut self, json: &str) -> Result<Self, ChatError> {
        self.tools.extend(read_tools(json)?);
        Ok(self)
    }
}

fn read_tools(json: &str) -> Result<Vec<String>, ChatError> {
    serde_json::from_str(json)
        .map(print_all)
        .map_err(|error| ChatError::new(&error))
}

fn print_all(tools: Vec<Printed>) -> Vec<String> {
    tools.into_iter().map(|printed| printed.0).collect()
}

impl WireMessage<'_> {
    fn read(self, unread_parts: &mut usize) -> Message {
        let mut message = match &*self.role {
            "system" => Message::system(""),
            "user" => Message::user(""),
            "assistant" => Message::assistant(""),
            "tool" => Message::tool(""),
            _ => Message::unknown(),
        };
        for part in self.content.0 {
            if let Some(text) = part.text {
                message.content.push_str(&text);
            } else if part.image_url.is_some() || part.image.is_some() {
                message.push_image(None);
            } else {
                *unread_parts += 1;
            }
        }
        message.reasoning = self.reasoning_content;
        let calls = self.tool_calls.unwrap_or_default();
        message.tool_calls = calls
            .into_iter()
            .filter_map(|call| call.function)
            .map(|function| ToolCall {
                name: function.name.into_owned(),
                arguments: function.arguments.0,
            })
            .collect();
        message
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or parts of one")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        let text = Some(Cow::Owned(text.to_owned()));
        Ok(Content(vec![ContentPart {
            text,
            ..ContentPart::default()
        }]))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Content)
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(ArgumentsVisitor)
            .map(Arguments)
    }
}

impl<'de> Visitor<'de> for ArgumentsVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("arguments")
    }

    fn visit_str<E>(self, json: &str) -> Result<String, E> {
        Ok(python::render(json))
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<String, A::Error> {
        python::print_map(map)
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Role;
    use super::{Chat, read_tools};

    fn texts(chat: &Chat) -> Vec<&str> {
        chat.messages.iter().map(|m| m.content.as_str()).collect()
    }

    #[test]
    fn compatible_and_native_say_the_same() {
        let compatible = br#"{"model":"q","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}},{"type":"text","text":"b"}]}],"tools":[{"type":"function"}],"enable_thinking":false}"#;
        let native = br#"{"model":"q","input":{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"text":"a"},{"image":"u"},{"text":"b"}]}]},"parameters":{"tools":[{"type":"function"}],"enable_thinking":false}}"#;
        for body in [&compatible[..], native] {
            let chat = Chat::from_body(body).unwrap();
            assert_eq!(
                texts(&chat),
                ["s", "a<|vision_start|><|image_pad|><|vision_end|>b"]
            );
            assert_eq!(chat.messages[0].role, Role::System);
            assert_eq!(chat.messages[1].images, [None]);
            assert_eq!(chat.tools, [r#"{"type": "function"}"#]);
            assert!(chat.is_without_thinking);
            assert!(!chat.is_closed);
            assert_eq!(chat.unread_parts(), 0);
        }
    }

    #[test]
    fn arguments_come_as_text_or_as_an_object() {
        let body = br#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}},{"function":{"name":"g","arguments":{"a":1}}},{"function":{"name":"h","arguments":"{\"a\":"}}]}]}"#;
        let chat = Chat::from_body(body).unwrap();
        let calls = &chat.messages[0].tool_calls;
        let arguments: Vec<_> = calls.iter().map(|call| call.arguments.as_str()).collect();
        assert_eq!(arguments, [r#"{"a": 1}"#, r#"{"a": 1}"#, r#"{"a":"#]);
        assert_eq!(texts(&chat), [""]);
    }

    #[test]
    fn thinking_may_be_said_to_the_template() {
        let body = br#"{"messages":[],"chat_template_kwargs":{"enable_thinking":false},"enable_thinking":true}"#;
        assert!(Chat::from_body(body).unwrap().is_without_thinking);
        let body = br#"{"messages":[],"enable_thinking":true}"#;
        assert!(!Chat::from_body(body).unwrap().is_without_thinking);
    }

    #[test]
    fn unread_parts_are_counted() {
        let body = br#"{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}},{"text":"x"}]},{"role":"critic","content":"y"}]}"#;
        let chat = Chat::from_body(body).unwrap();
        assert_eq!(chat.unread_parts(), 1);
        assert_eq!(chat.messages[1].role, Role::Unknown);
    }

    #[test]
    fn what_is_no_chat_is_an_error() {
        for body in [
            "",
            "[]x",
            "7",
            r#"{"messages":"x"}"#,
            r#"{"messages":[{"content":"x"}]}"#,
            r#"{"messages":[{"role":"user","content":7}]}"#,
        ] {
            assert!(Chat::from_body(body.as_bytes()).is_err(), "{body}");
        }
        assert!(read_tools("{}").is_err());
        assert_eq!(read_tools("[]").unwrap().len(), 0);
    }

    #[test]
    fn the_error_shows_no_text() {
        let error = Chat::from_body(br#"{"messages":"secret"}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not the JSON of a chat (line 1, column 20)"
        );
    }
}
