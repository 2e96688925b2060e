//! The classes of characters that the fitted tables are indexed by. `corpus/fit.py` holds the same.

/// Groups: what a wide (not ASCII) character goes on with, if the one before it is of the same.
const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const SPACE: u8 = 3;
const NEWLINE: u8 = 4;
const MARK: u8 = 5;
/// Scripts have their own, from here on.
const SCRIPTS: u8 = 6;
const REST: u8 = 15;
/// Makes the groups of ASCII characters differ from those of wide ones.
const NARROW_GROUP: u8 = 0x80;

/// What a wide character is to the character after it. ASCII characters are 0 to 54.
const LATIN: u8 = 55;
const VIETNAMESE: u8 = 56;
const CYRILLIC: u8 = 57;
const GREEK: u8 = 58;
const RIGHT_TO_LEFT: u8 = 59;
const INDIC: u8 = 60;
const CJK: u8 = 61;
const PUNCTUATION: u8 = 62;
const OTHER: u8 = 63;
/// The first of the control characters (of no use in text) that stand for these in a code of 7 bits.
const STAND_IN: u8 = 0x0e;

/// How many classes of wide characters there are.
pub(super) const WIDE_CLASSES: usize = 36;
/// How many columns the weights of a wide class have.
pub(super) const COLUMNS: usize = 8;
/// The column of a wide character that goes on with its group.
const GOES_ON: u32 = 1;

/// The index of marks that are part of the character before them.
const COMBINING: u8 = 4;

/// What is before the first character: as after a line.
pub(super) const START: Class = Class::narrow(b'\n', NEWLINE);

const WIDE: [Class; WIDE_CLASSES] = [
    Class::wide(0, OTHER, REST),
    Class::wide(1, LATIN, LETTER),
    Class::wide(2, LATIN, LETTER),
    Class::wide(3, VIETNAMESE, LETTER),
    Class::wide(4, OTHER, MARK),
    Class::wide(5, PUNCTUATION, MARK),
    Class::wide(6, GREEK, 6),
    Class::wide(7, CYRILLIC, 7),
    Class::wide(8, CYRILLIC, 7),
    Class::wide(9, CYRILLIC, 7),
    Class::wide(10, CYRILLIC, 7),
    Class::wide(11, OTHER, 8),
    Class::wide(12, RIGHT_TO_LEFT, 9),
    Class::wide(13, RIGHT_TO_LEFT, 9),
    Class::wide(14, RIGHT_TO_LEFT, 9),
    Class::wide(15, RIGHT_TO_LEFT, 9),
    Class::wide(16, INDIC, 10),
    Class::wide(17, INDIC, 10),
    Class::wide(18, INDIC, 10),
    Class::wide(19, INDIC, 10),
    Class::wide(20, INDIC, 10),
    Class::wide(21, INDIC, 10),
    Class::wide(22, INDIC, 11),
    Class::wide(23, INDIC, 11),
    Class::wide(24, INDIC, 11),
    Class::wide(25, OTHER, 8),
    Class::wide(26, PUNCTUATION, MARK),
    Class::wide(27, PUNCTUATION, MARK),
    Class::wide(28, PUNCTUATION, MARK),
    Class::wide(29, CJK, 12),
    Class::wide(30, CJK, 12),
    Class::wide(31, CJK, 13),
    Class::wide(32, CJK, 14),
    Class::wide(33, CJK, 13),
    Class::wide(34, PUNCTUATION, MARK),
    Class::wide(35, OTHER, REST),
];

/// What each code of 7 bits is to the character after it.
pub(super) const FIRST: [u8; 128] = first();
static NARROW: [Class; 128] = narrow();
/// [`WIDE`], as many as a power of two, so that the scan need not check.
static PADDED: [Class; 64] = padded();
static LOW: [u8; 0x1000] = low();
static BLOCKS: [Class; 0x1_0000 / 32] = blocks();

/// A block of 32 code points that is not of one class, or of marks.
const MIXED: Class = Class(u32::MAX);

/// What the scan needs to know of a character, in one word. From the lowest bit: 3 the column of a wide character after it,
/// 6 the index of its class if wide, 1 free, 7 its code, 2 its bytes if CJK, 2 about its bytes if of another script that is
/// not Latin, 3 free, 8 its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class(u32);

impl Class {
    const fn wide(index: u8, first: u8, group: u8) -> Self {
        let bytes = match first {
            CJK => 3,
            CYRILLIC | GREEK | RIGHT_TO_LEFT => 2 << 2,
            _ if group >= SCRIPTS => 3 << 2,
            _ => 0,
        };
        let code = STAND_IN + first - LATIN;
        Self::new(index, code, bytes, group, group)
    }

    const fn narrow(code: u8, group: u8) -> Self {
        Self::new(0, code, 0, group, group | NARROW_GROUP)
    }

    const fn new(index: u8, code: u8, bytes: u32, kind: u8, group: u8) -> Self {
        let after = match kind {
            SPACE => 0,
            LETTER => 2,
            MARK => 3,
            SCRIPTS.. => 4,
            _ => 5,
        };
        Self(after | (index as u32) << 3 | (code as u32) << 10 | bytes << 17 | (group as u32) << 24)
    }

    /// The class of an ASCII character.
    pub(super) fn of_ascii(byte: u8) -> Self {
        NARROW[usize::from(byte & 0x7f)]
    }

    /// The class of a wide character; `None` for a mark that is part of the character before it.
    #[inline]
    pub(super) fn of_wide(code: u32) -> Option<Self> {
        let index = match LOW.get(code as usize) {
            Some(&index) => index,
            None => classify(code),
        };
        (index != COMBINING).then(|| PADDED[usize::from(index) % PADDED.len()])
    }

    /// As [`Class::of_wide`], fast for a code point from 0x1000 to 0xffff.
    #[inline]
    pub(super) fn of_three_bytes(code: u32) -> Option<Self> {
        let class = BLOCKS[code as usize / 32 % BLOCKS.len()];
        if class == MIXED {
            Self::of_wide(code)
        } else {
            Some(class)
        }
    }

    /// Where a wide character's weight is, after `before`.
    #[inline]
    pub(super) fn cell(self, before: Self) -> usize {
        // Arithmetic, since which of the two it is cannot be predicted.
        let same = (((self.0 ^ before.0) >> 24).wrapping_sub(1) as i32 >> 31) as u32;
        let column = (GOES_ON & same) | (before.0 & 7 & !same);
        ((self.0 & 0x1f8) | column) as usize
    }

    /// What it is among the last characters, of 7 bits: itself if ASCII.
    pub(super) fn code(self) -> u32 {
        self.0 >> 10 & 0x7f
    }

    /// Its bytes, if it is part of a CJK script, else 0.
    pub(super) fn cjk(self) -> u64 {
        u64::from(self.0 >> 17 & 3)
    }

    /// About its bytes, if it is part of a script that is neither Latin nor CJK, else 0.
    pub(super) fn other(self) -> u64 {
        u64::from(self.0 >> 19 & 3)
    }
}

/// Punctuation that code and data are full of, and prose is not.
pub(super) fn is_symbol(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'('
            | b')'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b'<'
            | b'>'
            | b';'
            | b':'
            | b'/'
            | b'\\'
            | b'_'
            | b'='
            | b'+'
            | b'*'
            | b'&'
            | b'|'
            | b'@'
            | b'#'
            | b'$'
            | b'^'
            | b'~'
            | b'`'
    )
}

const fn first() -> [u8; 128] {
    // Each string is one class, from 34 on.
    const MARKS: [&[u8]; 21] = [
        b"\"", b"'", b"([", b")]", b"{", b"}", b"<", b">", b",", b".", b";", b":", b"/", b"\\",
        b"-", b"_", b"=", b"+*&|", b"!?", b"@#$%^~", b"`",
    ];
    let mut first = [0; 128];
    let mut code = 0;
    while code < 128 {
        first[code as usize] = match code {
            STAND_IN..=0x16 => LATIN + code - STAND_IN,
            b'a'..=b'z' => 1 + code - b'a',
            b'A' | b'E' | b'I' | b'O' | b'U' => 28,
            b'A'..=b'Z' => 27,
            b'0'..=b'9' => 29,
            b' ' => 30,
            b'\n' => 31,
            b'\t' => 32,
            b'\r' => 33,
            _ => 0,
        };
        code += 1;
    }
    let mut kind = 0;
    while kind < MARKS.len() {
        let mut at = 0;
        while at < MARKS[kind].len() {
            first[MARKS[kind][at] as usize] = 34 + kind as u8;
            at += 1;
        }
        kind += 1;
    }
    first
}

const fn narrow() -> [Class; 128] {
    let mut narrow = [START; 128];
    let mut code = 0;
    while code < 128 {
        let group = match code {
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' => DIGIT,
            b' ' | b'\t' => SPACE,
            b'\n' | b'\r' => NEWLINE,
            b'!'..=b'~' => MARK,
            _ => 0,
        };
        narrow[code as usize] = Class::narrow(code, group);
        code += 1;
    }
    narrow
}

const fn padded() -> [Class; 64] {
    let mut padded = [WIDE[0]; 64];
    let mut index = 0;
    while index < WIDE.len() {
        padded[index] = WIDE[index];
        index += 1;
    }
    padded
}

const fn low() -> [u8; 0x1000] {
    let mut low = [0; 0x1000];
    let mut code = 0x80;
    while code < low.len() {
        low[code] = classify(code as u32);
        code += 1;
    }
    low
}

const fn blocks() -> [Class; 0x1_0000 / 32] {
    let mut blocks = [MIXED; 0x1_0000 / 32];
    let mut block = 0;
    while block < blocks.len() {
        let first = block as u32 * 32;
        let index = classify(first);
        let mut code = first + 1;
        while code < first + 32 && classify(code) == index {
            code += 1;
        }
        if code == first + 32 && index != COMBINING {
            blocks[block] = WIDE[index as usize];
        }
        block += 1;
    }
    blocks
}

/// The index into [`WIDE`] of a code point beyond ASCII.
const fn classify(code: u32) -> u8 {
    match code {
        0xd7 | 0xf7 | 0x80..=0xbf => 5,
        0xc0..=0xff => 1,
        0x102 | 0x103 | 0x110 | 0x111 | 0x1a0..=0x1b0 | 0x1e00..=0x1eff => 3,
        0x100..=0x24f => 2,
        0x300..=0x36f | 0x1161..=0x11ff => COMBINING,
        0x370..=0x3ff | 0x1f00..=0x1fff => 6,
        0x410..=0x42f => 7,
        0x430 | 0x435 | 0x438 | 0x43e | 0x443 | 0x44b | 0x44d..=0x44f | 0x451 => 8,
        0x431..=0x44c => 9,
        0x400..=0x52f => 10,
        0x530..=0x58f | 0x10a0..=0x10ff => 11,
        0x590..=0x5ff => 12,
        0x620..=0x64a => 13,
        0x600..=0x6ff | 0x750..=0x77f | 0xfb50..=0xfdff | 0xfe70..=0xfeff => 14,
        0x700..=0x8ff => 15,
        0x900..=0x97f => 16 + matra(code),
        0x980..=0x9ff => 18 + matra(code),
        0xa00..=0xdff => 20 + matra(code),
        0xe31 | 0xe34..=0xe3a | 0xe47..=0xe4e => 23,
        0xe00..=0xe7f => 22,
        0xe80..=0x109f | 0x1780..=0x17ff => 24,
        0x1100..=0x1160 | 0xac00..=0xd7af => 32,
        0x1200..=0x1dff => 25,
        0x2000..=0x206f => 26,
        0x2070..=0x2e7f => 27,
        0x3000..=0x303f | 0xff00..=0xffef => 28,
        0x3040..=0x309f => 29,
        0x30a0..=0x30ff => 30,
        0x3400..=0x9fff | 0xf900..=0xfaff => 31,
        0x2e80..=0x33ff => 33,
        0x1_f000..=0x1_ffff => 34,
        0x1_0000.. => 35,
        _ => 0,
    }
}

/// 1 for a mark (a vowel sign, say), 0 for a letter: the blocks of the scripts of India are built alike.
const fn matra(code: u32) -> u8 {
    matches!(code & 0x7f, 0..=3 | 0x3a..=0x3c | 0x3e..=0x4f | 0x51..=0x57 | 0x62 | 0x63) as u8
}

#[cfg(test)]
mod tests {
    use super::{BLOCKS, Class, FIRST, MIXED, WIDE, classify};

    #[test]
    fn a_block_of_one_class_is_what_each_of_its_characters_is() {
        for code in 0x1000..0x1_0000 {
            assert_eq!(
                Class::of_three_bytes(code),
                Class::of_wide(code),
                "{code:#x}"
            );
        }
        assert!(BLOCKS.iter().filter(|block| **block == MIXED).count() < 200);
        assert!(!WIDE.contains(&MIXED));
    }

    #[test]
    fn scripts() {
        for (text, cjk, other) in [
            ("漢かカ한", true, false),
            ("яعאहไ", false, true),
            ("éệ—。😀", false, false),
        ] {
            for c in text.chars() {
                let class = Class::of_wide(c.into()).expect("no mark");
                assert_eq!((class.cjk() > 0, class.other() > 0), (cjk, other), "{c}");
            }
        }
        assert_eq!(Class::of_wide(0x301), None);
        assert_eq!(Class::of_three_bytes(0x11a8), None);
    }

    #[test]
    fn every_ascii_character_but_controls_has_a_class() {
        let stand_ins = 0x0e..0x17;
        for byte in (0..128_u8).filter(|byte| !stand_ins.contains(byte)) {
            let is_control = byte.is_ascii_control() && !b"\t\r\n".contains(&byte);
            assert_eq!(FIRST[usize::from(byte)] == 0, is_control, "{byte}");
            assert_eq!(Class::of_ascii(byte).code(), u32::from(byte));
        }
    }

    #[test]
    fn cells() {
        let han = Class::of_wide('漢'.into()).expect("no mark");
        let kana = Class::of_wide('か'.into()).expect("no mark");
        let accented = Class::of_wide('é'.into()).expect("no mark");
        let row = 8 * usize::from(classify('漢'.into()));
        for (before, column) in [
            (Class::of_ascii(b' '), 0),
            (han, 1),
            (Class::of_ascii(b'a'), 2),
            (accented, 2),
            (Class::of_ascii(b'.'), 3),
            (kana, 4),
            (Class::of_ascii(b'7'), 5),
        ] {
            assert_eq!(han.cell(before), row + column);
        }
        assert_eq!(accented.cell(Class::of_ascii(b'a')) % 8, 2);
        assert_eq!(accented.cell(accented) % 8, 1);
    }
}
