use super::{
    classes::is_symbol,
    heuristic::{Scan, scan},
};

/// Latin text is taken for code when one byte in this many is punctuation of code or data.
// In the held-out corpus: one byte in 5 to 12 of code and JSON, seldom more than one in 15 of
// prose.
const CODE: u64 = 16;
/// The bytes of a piece, from its start, that this is classified by.
// The start shows what a piece is; the whole of a long one would be a second pass over it.
const SAMPLE: usize = 2048;
/// Which bytes are such punctuation: every byte of a prompt is found in it, in a sixth of the steps of the ranges.
static SYMBOLS: [bool; 256] = symbols();

/// The kind of text that a call mostly is: what an estimate's error depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Script {
    /// Prose in Latin letters.
    Latin,
    /// Code, JSON and other text with much punctuation, in Latin letters.
    Code,
    /// Chinese, Japanese, Korean.
    Cjk,
    /// Any other script.
    Other,
    /// Not text alone: images, audio or video with it, whose size is mostly a guess.
    Media,
}

/// An estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Estimated {
    /// Tokens.
    pub tokens: u64,
    /// What most of the bytes are.
    pub script: Script,
}

/// Adds up the pieces of one call.
///
/// The tokens are those of [`estimate_text`](super::estimate_text), piece by piece.
///
/// ```
/// use tower_qwen_tokens::estimate::{Script, Tally};
///
/// let mut tally = Tally::new();
/// tally.push("翻译成英文：");
/// tally.push("今天天气很好，我们去公园散步吧。");
/// assert_eq!(tally.finish().script, Script::Cjk);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    tokens: u64,
    bytes: u64,
    sampled: u64,
    symbols: u64,
    cjk: u64,
    other: u64,
    has_media: bool,
}

impl Script {
    /// All of them.
    // In the order of their declaration, which is that of the figures by script.
    pub const ALL: [Self; 5] = [Self::Latin, Self::Code, Self::Cjk, Self::Other, Self::Media];

    /// Its name, for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latin => "latin",
            Self::Code => "code",
            Self::Cjk => "cjk",
            Self::Other => "other",
            Self::Media => "media",
        }
    }
}

impl Estimated {
    /// An estimate that was made elsewhere.
    #[must_use]
    pub fn new(tokens: u64, script: Script) -> Self {
        Self { tokens, script }
    }

    /// The estimate of one text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut tally = Tally::new();
        tally.push(text);
        tally.finish()
    }
}

impl Tally {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text and gives back its tokens.
    pub fn push(&mut self, text: &str) -> u64 {
        let found = scan(text);
        let tokens = found.tokens(text);
        self.take(text, &found, tokens);
        tokens
    }

    /// Adds a text of so many tokens, by another's count.
    pub fn push_counted(&mut self, text: &str, tokens: u64) {
        self.take(text, &scan(text), tokens);
    }

    fn take(&mut self, text: &str, found: &Scan, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
        self.bytes = self.bytes.saturating_add(text.len() as u64);
        let sample = text.as_bytes().iter().take(SAMPLE);
        let symbols = sample
            .clone()
            .map(|&byte| u64::from(SYMBOLS[usize::from(byte)]));
        self.symbols = self.symbols.saturating_add(symbols.sum());
        self.sampled = self.sampled.saturating_add(sample.len() as u64);
        self.cjk = self.cjk.saturating_add(found.cjk);
        self.other = self.other.saturating_add(found.other);
    }

    /// Adds the tokens of an image, of audio or video.
    pub fn add_media(&mut self, tokens: u64) {
        self.has_media = true;
        self.add(tokens);
    }

    /// Adds tokens that are not text: a frame.
    pub fn add(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// The tokens so far.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The bytes of the texts so far.
    #[cfg(feature = "http")]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sum so far.
    #[must_use]
    pub fn finish(&self) -> Estimated {
        Estimated {
            tokens: self.tokens,
            script: self.script(),
        }
    }

    fn script(&self) -> Script {
        let latin = self
            .bytes
            .saturating_sub(self.cjk)
            .saturating_sub(self.other);
        // The guess for one image outweighs what is off in most texts.
        if self.has_media {
            Script::Media
        } else if self.cjk > latin && self.cjk >= self.other {
            Script::Cjk
        } else if self.other > latin {
            Script::Other
        } else if self.symbols.saturating_mul(CODE) > self.sampled {
            Script::Code
        } else {
            Script::Latin
        }
    }
}

const fn symbols() -> [bool; 256] {
    let mut symbols = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        symbols[byte] = is_symbol(byte as u8);
        byte += 1;
    }
    symbols
}

#[cfg(test)]
mod tests {
    use super::{Estimated, Script, Tally};

    #[test]
    fn script_of_a_text() {
        for (text, script) in [
            ("", Script::Latin),
            (
                "The weather is fine, and so are we (both of us).",
                Script::Latin,
            ),
            ("fn main() { println!(\"{}\", 1 + 1); }", Script::Code),
            ("{\"model\": \"qwen-plus\", \"stream\": true}", Script::Code),
            ("今日は良い天気ですね。", Script::Cjk),
            ("오늘 날씨가 좋네요.", Script::Cjk),
            ("Сегодня хорошая погода.", Script::Other),
            ("आज मौसम अच्छा है।", Script::Other),
            ("12345", Script::Latin),
        ] {
            assert_eq!(Estimated::of(text).script, script, "{text}");
        }
    }

    #[test]
    fn media_is_a_kind_of_its_own() {
        let mut tally = Tally::new();
        tally.push("What is this?");
        tally.add(8);
        assert_eq!(tally.finish().script, Script::Latin);
        tally.add_media(1_280);
        assert_eq!(tally.finish().script, Script::Media);
        assert_eq!(tally.tokens(), 4 + 8 + 1_280);
    }

    #[test]
    fn anothers_count_stands() {
        let mut tally = Tally::new();
        tally.push_counted("これは長い文章です", 3);
        assert_eq!(tally.finish(), Estimated::new(3, Script::Cjk));
    }

    #[test]
    fn the_dominant_script_wins_and_sums_saturate() {
        let mut tally = Tally::new();
        tally.push("short");
        tally.push("これは長い文章です");
        assert_eq!(tally.finish().script, Script::Cjk);
        tally.add(u64::MAX);
        assert_eq!(tally.finish().tokens, u64::MAX);
    }
}
