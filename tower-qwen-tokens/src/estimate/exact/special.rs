use super::family::Family;

/// A stretch of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Ordinary text, never empty.
    Text(&'a str),
    /// A special token, by its id.
    Special(u32),
}

/// Cuts a text at its special tokens.
pub(super) struct Parts<'a> {
    rest: &'a str,
    specials: &'static [(&'static str, u32)],
}

impl<'a> Parts<'a> {
    pub(super) fn new(text: &'a str, family: Family) -> Self {
        Self {
            rest: text,
            specials: family.specials(),
        }
    }

    /// Where the next special token begins, its length and id.
    fn next_special(&self) -> Option<(usize, usize, u32)> {
        let bytes = self.rest.as_bytes();
        let mut from = 0;
        while let Some(offset) = self.rest[from..].find('<') {
            let at = from + offset;
            // What follows `<` in every special token; spares most texts the list.
            if let Some(b'|' | b'/' | b't') = bytes.get(at + 1) {
                let tail = &self.rest[at..];
                let mut specials = self.specials.iter();
                if let Some((token, id)) = specials.find(|(token, _)| tail.starts_with(token)) {
                    return Some((at, token.len(), *id));
                }
            }
            from = at + 1;
        }
        None
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (text, rest) = match self.next_special() {
            Some((0, length, id)) => {
                self.rest = &self.rest[length..];
                return Some(Part::Special(id));
            }
            Some((start, ..)) => self.rest.split_at(start),
            None => (self.rest, ""),
        };
        self.rest = rest;
        Some(Part::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Family, Part, Parts};

    fn parts(text: &str, family: Family) -> Vec<Part<'_>> {
        Parts::new(text, family).collect()
    }

    #[test]
    fn cuts_at_special_tokens() {
        assert_eq!(
            parts("a<|im_end|><think>b<", Family::Qwen3),
            [
                Part::Text("a"),
                Part::Special(151_645),
                Part::Special(151_667),
                Part::Text("b<"),
            ]
        );
    }

    #[test]
    fn a_token_of_another_family_is_text() {
        assert_eq!(parts("<think>", Family::Qwen2_5), [Part::Text("<think>")]);
    }

    #[test]
    fn what_only_resembles_one_is_text() {
        for text in [
            "<|im_end|",
            "<|IM_END|>",
            "< |im_end|>",
            "<<<<",
            "<|",
            "</",
            "<thinker>",
            "<|extra_0|>",
        ] {
            assert_eq!(parts(text, Family::Qwen3), [Part::Text(text)]);
        }
        assert_eq!(parts("", Family::Qwen3), []);
    }

    #[test]
    fn one_directly_after_a_false_start() {
        assert_eq!(
            parts("<|<|im_end|>", Family::Qwen3),
            [Part::Text("<|"), Part::Special(151_645)]
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "(<\\|im_end\\|>|<think>|</tool_call>|<|\\||[a-z<|>/é中]{0,4}){0,12}") {
            let whole: String = Parts::new(&text, Family::Qwen3)
                .map(|part| match part {
                    Part::Text(text) => text,
                    Part::Special(id) => Family::Qwen3.specials()[(id - 151_643) as usize].0,
                })
                .collect();
            prop_assert_eq!(whole, text);
        }
    }
}
