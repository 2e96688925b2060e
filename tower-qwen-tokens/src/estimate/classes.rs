//! The classes of characters that the fitted tables are indexed by. `corpus/fit.py` holds the same.

/// Groups of characters: a wide (not ASCII) character after one of its own group is likely to be in
/// the same token.
const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const SPACE: u8 = 3;
const NEWLINE: u8 = 4;
const MARK: u8 = 5;
/// Scripts have their own, from here on.
// Scripts differ in how their letters join into tokens, so each is a group.
const SCRIPTS: u8 = 6;
const REST: u8 = 15;
/// Makes the groups of ASCII characters differ from those of wide ones.
// A Latin letter goes on differently after an ASCII letter than after an accented one.
const NARROW_GROUP: u8 = 0x10;
/// How many groups there are, rounded up to a power of two.
const GROUPS: usize = 32;

/// The class of a wide character, as the next character sees it. ASCII characters are 0 to 54.
const LATIN: u8 = 55;
const VIETNAMESE: u8 = 56;
const CYRILLIC: u8 = 57;
const GREEK: u8 = 58;
const RIGHT_TO_LEFT: u8 = 59;
const INDIC: u8 = 60;
const CJK: u8 = 61;
const PUNCTUATION: u8 = 62;
const OTHER: u8 = 63;
/// Classes of wide characters use the codes of control characters, from this one on: those do not
/// occur in text.
// Seven bits index the table of three characters; control characters leave codes free.
const STAND_IN: u8 = 0x0e;

/// How many classes of wide characters there are.
pub(super) const WIDE_CLASSES: usize = 36;
/// How many columns the weights of a wide class have.
pub(super) const COLUMNS: usize = 8;

/// The index of marks that are part of the character before them.
const COMBINING: u8 = 4;

/// The class before the first character: a text starts as a line does.
pub(super) const START: Class = NARROW[b'\n' as usize];

const WIDE: [Class; WIDE_CLASSES] = wide();

/// How many cells the weights of wide characters have.
pub(super) const CELLS: usize = GROUPS * 64;
/// What each code of 7 bits is to the character after it.
pub(super) const FIRST: [u8; 128] = first();
const NARROW: [Class; 128] = narrow();
static BY_BYTE: [Class; 128] = NARROW;
static TABLE: Table = table();

/// A mark that is part of the character before it.
const COMBINED: Class = Class(u64::MAX);

/// Code points of a block.
// Small enough that few blocks mix scripts, large enough for a table of 2,048 blocks.
const BLOCK: usize = 32;
/// Code points beyond are not in the table.
// Emoji and rare scripts: `classify` is called for them, and they are few.
const BEYOND: u32 = 0x1_0000;
/// Code points below it (those of two bytes) are in the table one by one.
// Most accented letters and all Cyrillic: one look-up instead of two.
const ALONE: usize = 0x800;
/// Blocks that differ, and room up to a power of two.
// A power of two, so that an index is masked instead of checked.
const ROOM: usize = 128;

/// The classes of the code points below [`BEYOND`]. Equal blocks share their entries.
struct Table {
    /// Where each block begins among the classes.
    blocks: [u16; BEYOND as usize / BLOCK],
    classes: [Class; ROOM * BLOCK],
}

/// What the scan needs to know of a character, in one word. From the lowest bit: 2 its bytes if CJK, 4 free, 5 its group, 5
/// free, 7 its code, 9 free, 2 about its bytes if of another script that is not Latin, 24 free, 6 the index of its class if
/// wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class(u64);

/// Bytes of CJK scripts, and of scripts that are neither Latin nor CJK: each in one half, so that both are added at once.
/// Good for texts of up to 4 GB.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bytes(u64);

impl Bytes {
    #[inline(always)]
    pub(super) fn add(&mut self, class: Class) {
        self.0 = self.0.wrapping_add(class.0 & Class::BYTES);
    }

    pub(super) fn cjk(self) -> u64 {
        (self.0 >> Class::CJK) & u64::from(u32::MAX)
    }

    pub(super) fn other(self) -> u64 {
        self.0 >> Class::OTHER
    }
}

impl Class {
    const CJK: u32 = 0;
    /// From here on a group is the row of a cell.
    const GROUP: u32 = 6;
    const CODE: u32 = 16;
    const OTHER: u32 = 32;
    const INDEX: u32 = 58;
    const ROW: u64 = (GROUPS as u64 - 1) << Self::GROUP;
    const BYTES: u64 = 3 << Self::CJK | 3 << Self::OTHER;

    const fn wide(index: u8, first: u8, group: u8) -> Self {
        let bytes = match first {
            CJK => 3 << Self::CJK,
            CYRILLIC | GREEK | RIGHT_TO_LEFT => 2 << Self::OTHER,
            _ if group >= SCRIPTS => 3 << Self::OTHER,
            _ => 0,
        };
        let code = (STAND_IN + first - LATIN) as u64;
        let group = (group as u64) << Self::GROUP;
        Self(bytes | group | code << Self::CODE | (index as u64) << Self::INDEX)
    }

    const fn narrow(code: u8, group: u8) -> Self {
        let group = (group | NARROW_GROUP) as u64;
        Self((code as u64) << Self::CODE | group << Self::GROUP)
    }

    /// The class of an ASCII character.
    pub(super) fn of_ascii(byte: u8) -> Self {
        BY_BYTE[usize::from(byte & 0x7f)]
    }

    /// The class of a wide character; `None` for a mark that is part of the character before it.
    #[inline(always)]
    pub(super) fn of_wide(code: u32) -> Option<Self> {
        let class = if code < BEYOND {
            let block = usize::from(TABLE.blocks[code as usize / BLOCK]);
            TABLE.classes[(block + code as usize % BLOCK) % TABLE.classes.len()]
        } else {
            WIDE[usize::from(classify(code))]
        };
        (class != COMBINED).then_some(class)
    }

    /// As [`Class::of_wide`], for a code point below 0x800.
    #[inline(always)]
    pub(super) fn of_two_bytes(code: u32) -> Option<Self> {
        let class = TABLE.classes[code as usize % ALONE];
        (class != COMBINED).then_some(class)
    }

    /// Where a wide character's weight is, after `before`.
    #[inline(always)]
    pub(super) fn cell(self, before: Self) -> usize {
        ((before.0 & Self::ROW) | (self.0 >> Self::INDEX)) as usize
    }

    /// What it is among the last characters, of 7 bits: itself if ASCII.
    pub(super) fn code(self) -> u32 {
        ((self.0 >> Self::CODE) & 0x7f) as u32
    }
}

/// The column of the fitted weights for each cell, and the row.
pub(super) const fn column(cell: usize) -> (usize, usize) {
    let (before, index) = ((cell / 64) as u8, cell % 64);
    if index >= WIDE_CLASSES {
        return (0, 0);
    }
    let column = match before & (NARROW_GROUP - 1) {
        _ if (before as u64) << Class::GROUP == WIDE[index].0 & Class::ROW => 1,
        SPACE => 0,
        LETTER => 2,
        MARK => 3,
        SCRIPTS.. => 4,
        _ => 5,
    };
    (index, column)
}

/// Punctuation that code and data are full of, and prose is not.
pub(super) const fn is_symbol(byte: u8) -> bool {
    matches!(
        byte,
        b'"'..=b'$' | b'&' | b'('..=b'+' | b'/' | b':'..=b'>' | b'@' | b'['..=b'`' | b'{'..=b'~'
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
    let mut narrow = [Class(0); 128];
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

const fn wide() -> [Class; WIDE_CLASSES] {
    let mut wide = [COMBINED; WIDE_CLASSES];
    let mut index = 0;
    while index < WIDE_CLASSES {
        let (first, group) = match index {
            1 | 2 => (LATIN, LETTER),
            3 => (VIETNAMESE, LETTER),
            4 => (OTHER, MARK),
            5 | 26..=28 | 34 => (PUNCTUATION, MARK),
            6 => (GREEK, 6),
            7..=10 => (CYRILLIC, 7),
            11 | 25 => (OTHER, 8),
            12..=15 => (RIGHT_TO_LEFT, 9),
            16..=21 => (INDIC, 10),
            22..=24 => (INDIC, 11),
            29 | 30 => (CJK, 12),
            31 | 33 => (CJK, 13),
            32 => (CJK, 14),
            _ => (OTHER, REST),
        };
        wide[index] = Class::wide(index as u8, first, group);
        index += 1;
    }
    wide
}

const fn table() -> Table {
    let mut table = Table {
        blocks: [0; BEYOND as usize / BLOCK],
        classes: [COMBINED; ROOM * BLOCK],
    };
    let mut used = 0;
    let mut block = 0;
    while block < table.blocks.len() {
        let mut at = 0;
        while at < BLOCK {
            table.classes[used * BLOCK + at] = of(block * BLOCK + at);
            at += 1;
        }
        let mut same = if block < ALONE / BLOCK { used } else { 0 };
        while !is_same(&table.classes, same, used) {
            same += 1;
        }
        table.blocks[block] = (same * BLOCK) as u16;
        if same == used {
            used += 1;
        }
        block += 1;
    }
    table
}

const fn of(code: usize) -> Class {
    if code < 0x80 {
        return NARROW[code];
    }
    match classify(code as u32) {
        COMBINING => COMBINED,
        index => WIDE[index as usize],
    }
}

const fn is_same(classes: &[Class], one: usize, other: usize) -> bool {
    let mut at = 0;
    while at < BLOCK && classes[one * BLOCK + at].0 == classes[other * BLOCK + at].0 {
        at += 1;
    }
    at == BLOCK
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
    use super::{
        ALONE, BEYOND, BLOCK, Bytes, COMBINING, Class, FIRST, TABLE, WIDE, classify, column, of,
    };

    #[test]
    fn the_table_holds_the_class_of_every_character() {
        for code in 0x80..=u32::from(char::MAX) {
            let index = classify(code);
            let class = (index != COMBINING).then(|| WIDE[usize::from(index)]);
            assert_eq!(Class::of_wide(code), class, "{code:#x}");
            if (code as usize) < ALONE {
                assert_eq!(Class::of_two_bytes(code), class, "{code:#x}");
            }
        }
        for byte in 0..0x80_u8 {
            assert_eq!(Class::of_ascii(byte), of(byte.into()));
        }
        assert_eq!(TABLE.blocks.len() * BLOCK, BEYOND as usize);
    }

    #[test]
    fn scripts() {
        for (text, cjk, other) in [("漢かカ한", 12, 0), ("яעאहไ", 0, 12), ("éệ—。😀", 0, 0)]
        {
            let mut bytes = Bytes::default();
            for c in text.chars() {
                bytes.add(Class::of_wide(c.into()).expect("no mark"));
            }
            assert_eq!((bytes.cjk(), bytes.other()), (cjk, other), "{text}");
        }
        assert_eq!(Class::of_two_bytes(0x301), None);
        assert_eq!(Class::of_wide(0x11a8), None);
    }

    #[test]
    fn the_bytes_of_long_texts_stay_apart() {
        const COUNT: u64 = 9_000_000;
        let class = |c: char| Class::of_wide(c.into()).expect("no mark");
        let (han, letter) = (class('漢'), class('я'));
        let mut bytes = Bytes::default();
        for _ in 0..COUNT {
            bytes.add(han);
            bytes.add(letter);
        }
        assert_eq!((bytes.cjk(), bytes.other()), (3 * COUNT, 2 * COUNT));
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
        let class = |c: char| Class::of_wide(c.into()).expect("no mark");
        let (han, accented) = (class('漢'), class('é'));
        for (class, before, expected) in [
            (han, Class::of_ascii(b' '), 0),
            (han, han, 1),
            (han, Class::of_ascii(b'a'), 2),
            (han, accented, 2),
            (han, Class::of_ascii(b'.'), 3),
            (han, class('か'), 4),
            (han, Class::of_ascii(b'7'), 5),
            (accented, Class::of_ascii(b'a'), 2),
            (accented, accented, 1),
        ] {
            let index = WIDE.iter().position(|wide| *wide == class);
            let index = index.expect("it is listed");
            assert_eq!(column(class.cell(before)), (index, expected));
        }
    }
}
