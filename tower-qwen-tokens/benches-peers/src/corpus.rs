use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is counted, and the directories of the corpus it is made of; none: all.
pub const KINDS: [(&str, &[&str]); 13] = [
    ("Chinese", &["zh"]),
    ("Japanese", &["ja"]),
    ("Korean", &["ko"]),
    ("Thai", &["th"]),
    ("Hindi", &["hi"]),
    ("Arabic", &["ar"]),
    ("Russian", &["ru"]),
    ("German", &["de"]),
    ("French", &["fr"]),
    ("English", &["en"]),
    (
        "code",
        &["c", "go", "javascript", "python", "rust", "typescript"],
    ),
    ("JSON", &["json"]),
    ("all mixed", &[]),
];

/// A text without a break, or without anything that was seen before.
pub struct Worst {
    /// What it is made of.
    pub name: &'static str,
    /// The text, of the size that was asked for.
    pub text: String,
}

/// The documents of these directories in one half of the crate's corpus, `fit` or `held_out`.
///
/// # Panics
///
/// The corpus cannot be read.
#[must_use]
pub fn texts(half: &str, directories: &[&str]) -> Vec<String> {
    let half = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(half);
    let mut files: Vec<PathBuf> = list(&half)
        .into_iter()
        .filter(|path| path.is_dir())
        .filter(|path| directories.is_empty() || directories.iter().any(|d| path.ends_with(d)))
        .flat_map(|path| list(&path))
        .collect();
    // Languages side by side, as in a busy service.
    files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    files
        .iter()
        .map(|file| fs::read_to_string(file).expect("the corpus can be read"))
        .collect()
}

fn list(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the corpus can be read");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the corpus can be read").path())
        .collect();
    paths.sort();
    paths
}

/// Texts of about this many bytes that are hard to count.
#[must_use]
pub fn worst_cases(bytes: usize) -> Vec<Worst> {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ bytes as u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let cjk = |offset: u64| char::from_u32(0x4e00 + offset as u32).unwrap_or('中');
    let worst = |name, text| Worst { name, text };
    vec![
        worst("one letter", "a".repeat(bytes)),
        worst("spaces", " ".repeat(bytes)),
        worst("line breaks", "\n".repeat(bytes)),
        worst("one mark, `=`", "=".repeat(bytes)),
        worst("one CJK character", "中".repeat(bytes / 3)),
        worst(
            "random CJK",
            (0..bytes / 3).map(|_| cjk(random(20_902))).collect(),
        ),
        worst(
            "base64",
            (0..bytes)
                .map(|_| char::from(BASE64[random(64) as usize]))
                .collect(),
        ),
        worst(
            "random letters",
            (0..bytes)
                .map(|_| char::from(b'a' + random(26) as u8))
                .collect(),
        ),
        worst("decomposed letters", "e\u{301}".repeat(bytes / 3)),
    ]
}
