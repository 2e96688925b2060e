//! What a chat costs beyond its texts. Unit: tokens.

/// `<|im_start|>`, the role, a newline, `<|im_end|>`, a newline.
const MESSAGE: u64 = 5;
/// `<|im_start|>assistant` and a newline: the opening of the answer.
const ANSWER: u64 = 3;

/// The instructions around the schemas of the tools.
// Those of the open templates; DashScope does not publish its own.
pub(crate) const TOOLS_FRAME: u64 = 92;
/// One image. Its size is not known from a link; this is the provider's default maximum.
pub(crate) const IMAGE: u64 = 1_280;
/// One piece of audio, taken as 30 seconds of 25 tokens each.
// A link says nothing of the length. Calibration learns the rest, apart from texts
// (`Script::Media`).
pub(crate) const AUDIO: u64 = 750;
/// One video, taken as 16 frames of 256 tokens each.
pub(crate) const VIDEO: u64 = 4_096;

/// The frame around so many messages.
pub(crate) fn chat_frame(messages: u64) -> u64 {
    messages.saturating_mul(MESSAGE).saturating_add(ANSWER)
}

#[cfg(test)]
mod tests {
    use super::chat_frame;

    #[test]
    fn five_for_a_message_and_three_for_the_answer() {
        assert_eq!(chat_frame(1), 8);
        assert_eq!(chat_frame(3), 18);
        assert_eq!(chat_frame(u64::MAX), u64::MAX);
    }
}
