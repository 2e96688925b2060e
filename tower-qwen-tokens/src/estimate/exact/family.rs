/// A vocabulary: which texts count as one special token. The ordinary tokens are the same in all of them.
///
/// Qwen3.5 and later have another vocabulary, which is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Qwen2.5: 22 special tokens. Qwen2, too, for texts without tool calls and images.
    Qwen2_5,
    /// Qwen3: 26 special tokens, among them `<think>` and `<tool_response>`.
    Qwen3,
}

/// Special tokens and their ids, those of Qwen2.5 first.
///
/// Source: `tokenizer_config.json` of Qwen2.5 and Qwen3, November 2026.
const SPECIALS: [(&str, u32); 26] = [
    ("<|endoftext|>", 151_643),
    ("<|im_start|>", 151_644),
    ("<|im_end|>", 151_645),
    ("<|object_ref_start|>", 151_646),
    ("<|object_ref_end|>", 151_647),
    ("<|box_start|>", 151_648),
    ("<|box_end|>", 151_649),
    ("<|quad_start|>", 151_650),
    ("<|quad_end|>", 151_651),
    ("<|vision_start|>", 151_652),
    ("<|vision_end|>", 151_653),
    ("<|vision_pad|>", 151_654),
    ("<|image_pad|>", 151_655),
    ("<|video_pad|>", 151_656),
    ("<tool_call>", 151_657),
    ("</tool_call>", 151_658),
    ("<|fim_prefix|>", 151_659),
    ("<|fim_middle|>", 151_660),
    ("<|fim_suffix|>", 151_661),
    ("<|fim_pad|>", 151_662),
    ("<|repo_name|>", 151_663),
    ("<|file_sep|>", 151_664),
    ("<tool_response>", 151_665),
    ("</tool_response>", 151_666),
    ("<think>", 151_667),
    ("</think>", 151_668),
];

impl Family {
    /// The special tokens and their ids.
    pub(super) fn specials(self) -> &'static [(&'static str, u32)] {
        match self {
            // The four that Qwen3 added are the last ones.
            Self::Qwen2_5 => &SPECIALS[..22],
            Self::Qwen3 => &SPECIALS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, SPECIALS};

    #[test]
    fn ids_follow_the_ordinary_tokens() {
        for ((_, id), expected) in SPECIALS.iter().zip(151_643..) {
            assert_eq!(*id, expected);
        }
    }

    #[test]
    fn thinking_is_special_to_qwen3_only() {
        let has = |family: Family, text| family.specials().iter().any(|(token, _)| *token == text);
        for text in ["<think>", "</think>", "<tool_response>", "</tool_response>"] {
            assert!(has(Family::Qwen3, text));
            assert!(!has(Family::Qwen2_5, text));
        }
        assert!(has(Family::Qwen2_5, "<tool_call>"));
    }
}
