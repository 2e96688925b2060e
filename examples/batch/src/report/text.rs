//! Texts of the input and the host, and figures, as they are shown.

use std::time::Duration;

use tower_qwen_tokens::Money;

/// The most characters that are shown of a name or an id.
const MOST: usize = 80;

/// A name or an id that came from outside. Characters that are not seen could make it look like another one.
pub(super) fn shown(name: &str) -> String {
    match name {
        "" => "(no model)".to_owned(),
        name => cut(&visible(name), MOST),
    }
}

/// A message of the host without what begins like a key: some hosts repeat the key that they reject.
pub(super) fn message(text: &str) -> String {
    let mut shown = String::new();
    for (number, part) in visible(text).split("sk-").enumerate() {
        if number == 0 {
            shown.push_str(part);
            continue;
        }
        let is_of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.');
        let rest = part.trim_start_matches(is_of_key);
        shown.push_str("sk-..");
        shown.push_str(rest);
    }
    shown
}

/// Control characters, and those that change the direction of the text around them, become visible.
fn visible(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.replace(is_hidden, "\u{fffd}")
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}

/// A number with commas.
pub(super) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// A share as percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A number in three digits: `950`, `12.5 k`, `1.2 M`.
pub(super) fn short(number: f64) -> String {
    let (value, unit) = match number {
        n if n >= 1e9 => (n / 1e9, " G"),
        n if n >= 1e6 => (n / 1e6, " M"),
        n if n >= 1e3 => (n / 1e3, " k"),
        n => (n, ""),
    };
    // Rounded to what three digits hold; zeros at the end say nothing.
    let text = match value {
        v if v >= 100.0 || v == 0.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.5}"),
    };
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{unit}")
}

/// A latency: milliseconds matter below a second, and no more than three digits.
pub(super) fn latency(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 0.000_5 => "0 ms".to_owned(),
        s if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 99.95 => format!("{s:.1} s"),
        _ => crate::words::duration(Duration::from_secs(seconds.round() as u64)),
    }
}

/// An amount as a number, for charts.
pub(super) fn amount(money: Money) -> f64 {
    money.pico() as f64 / 1e12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_hides_what_it_is() {
        for (text, expected) in [
            ("qwen-plus", "qwen-plus"),
            ("", "(no model)"),
            ("a\u{202e}b\u{0}c\n", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("模型", "模型"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown(&"字".repeat(1_000)).chars().count(), MOST + 2);
    }

    #[test]
    fn no_message_has_a_key() {
        for (text, expected) in [
            ("bad", "bad"),
            ("key: sk-0123abcXYZ, see", "key: sk-.., see"),
            ("sk-proj-a_b, sk-c", "sk-.., sk-.."),
            (
                "Incorrect API key provided: sk-ab***yz.",
                "Incorrect API key provided: sk-..",
            ),
        ] {
            assert_eq!(message(text), expected);
        }
    }

    #[test]
    fn figures_have_three_digits() {
        for (number, expected) in [
            (0.0, "0"),
            (0.05, "0.05"),
            (1.0, "1"),
            (2.5, "2.5"),
            (950.0, "950"),
            (12_500.0, "12.5 k"),
            (1_200_000.0, "1.2 M"),
            (3e9, "3 G"),
        ] {
            assert_eq!(short(number), expected);
        }
        for (millis, expected) in [
            (0, "0 ms"),
            (73, "73 ms"),
            (1_234, "1.23 s"),
            (12_340, "12.3 s"),
            (754_000, "12 min 34 s"),
        ] {
            assert_eq!(latency(Duration::from_millis(millis)), expected);
        }
    }
}
