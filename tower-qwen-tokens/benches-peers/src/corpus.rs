use std::{
    fs,
    path::{Path, PathBuf},
};

/// A text without a break, or without anything that was seen before.
pub struct Worst {
    /// What it is made of.
    pub name: &'static str,
    /// The text, of the size that was asked for.
    pub text: String,
}

/// The texts of a directory: that of the variable `CORPUS`, or the crate's own.
///
/// # Panics
///
/// The directory cannot be read.
#[must_use]
pub fn corpus() -> Vec<String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fallback = [own.join("corpus"), own.join("src")];
    let directory = std::env::var_os("CORPUS")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let found = fallback.into_iter().find(|path| path.is_dir());
            found.expect("the crate has sources")
        });
    let mut files = Vec::new();
    collect(&directory, &mut files);
    files.sort();
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .filter(|text| !text.is_empty())
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the corpus can be read") {
        let path = entry.expect("the corpus can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_none_or(|e| e != "json" || !path.ends_with("counts.json"))
        {
            files.push(path);
        }
    }
}

/// Texts of this many bytes that are hard to count.
#[must_use]
pub fn worst_cases(bytes: usize) -> Vec<Worst> {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let cjk = |offset: u64| char::from_u32(0x4e00 + offset as u32).unwrap_or('中');
    vec![
        Worst {
            name: "one letter",
            text: "a".repeat(bytes),
        },
        Worst {
            name: "spaces",
            text: " ".repeat(bytes),
        },
        Worst {
            name: "line breaks",
            text: "\n".repeat(bytes),
        },
        Worst {
            name: "one mark",
            text: "=".repeat(bytes),
        },
        Worst {
            name: "base64",
            text: (0..bytes)
                .map(|_| char::from(BASE64[random(64) as usize]))
                .collect(),
        },
        Worst {
            name: "random letters",
            text: (0..bytes)
                .map(|_| char::from(b'a' + random(26) as u8))
                .collect(),
        },
        Worst {
            name: "random CJK",
            text: (0..bytes / 3).map(|_| cjk(random(20_902))).collect(),
        },
        Worst {
            name: "decomposed letters",
            text: "e\u{301}".repeat(bytes / 3),
        },
        Worst {
            name: "line breaks among spaces",
            text: format!("\n{}", " ".repeat(4999)).repeat(bytes / 5000),
        },
    ]
}
