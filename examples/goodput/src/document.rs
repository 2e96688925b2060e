//! Tables of a document that a program writes.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Replaces the table behind each mark, `<!-- known -->` of the mark `known`, or puts it there.
///
/// # Errors
///
/// Where there is no such mark, or the file cannot be read or written.
pub(crate) fn replace(path: &Path, tables: &[(String, String)]) -> anyhow::Result<()> {
    let name = path.display();
    let mut text = fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
    for (mark, table) in tables {
        text = replaced(&text, mark, table)
            .with_context(|| format!("{name} has no <!-- {mark} -->"))?;
    }
    fs::write(path, text).with_context(|| format!("{name} cannot be written"))
}

fn replaced(text: &str, mark: &str, table: &str) -> Option<String> {
    let mark = format!("<!-- {mark} -->\n\n");
    let begin = text.find(&mark)? + mark.len();
    let rest = &text[begin..];
    let lines = rest.split_inclusive('\n');
    let old: usize = lines
        .take_while(|line| line.starts_with('|'))
        .map(str::len)
        .sum();
    let blank = if old == 0 { "\n" } else { "" };
    Some(format!("{}{table}{blank}{}", &text[..begin], &rest[old..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_table_behind_the_mark_is_replaced() {
        let text = "<!-- a -->\n\n| 1 |\n\n<!-- b -->\n\n| 2 |\n| 3 |\n\nEnd\n";
        let written = replaced(text, "b", "| 4 |\n");
        assert_eq!(
            written.as_deref(),
            Some("<!-- a -->\n\n| 1 |\n\n<!-- b -->\n\n| 4 |\n\nEnd\n")
        );
        assert_eq!(replaced(text, "c", ""), None);
        let written = replaced("<!-- a -->\n\nText\n", "a", "| 1 |\n");
        assert_eq!(written.as_deref(), Some("<!-- a -->\n\n| 1 |\n\nText\n"));
    }
}
