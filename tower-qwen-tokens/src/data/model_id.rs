use std::borrow::Cow;

/// The stable id behind `-latest`.
pub(crate) fn without_latest(model: &str) -> Option<&str> {
    model.strip_suffix("-latest")
}

/// The stable id behind `-latest` or behind the date of a snapshot.
pub(crate) fn without_latest_or_date(model: &str) -> Option<&str> {
    without_latest(model).or_else(|| without_date(model))
}

/// An id as the provider writes it, of one as a router or a person does: in small letters, without the makers and routers
/// before the last `/`, and without a variant such as `:thinking`.
///
/// A variant that has digits is a tag or a size at another host, and `:free` is another price: both stay.
pub(super) fn canonical(model: &str) -> Cow<'_, str> {
    let own = model.trim();
    let own = own.rsplit_once('/').map_or(own, |(_, own)| own);
    let own = match own.split_once(':') {
        Some((id, variant)) if is_variant(variant) => id,
        _ => own,
    };
    if own.bytes().any(|byte| byte.is_ascii_uppercase()) {
        own.to_ascii_lowercase().into()
    } else {
        own.into()
    }
}

fn is_variant(text: &str) -> bool {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_word && !text.eq_ignore_ascii_case("free")
}

/// The id before `-2025-07-28`, `-20250728` or `-0728`.
fn without_date(model: &str) -> Option<&str> {
    let (rest, day) = model.rsplit_once('-')?;
    match day.len() {
        // As routers write them.
        8 => {
            let (year, day) = day.split_at_checked(4)?;
            (number(year).is_some() && is_day(day)).then_some(rest)
        }
        // Early snapshots carry month and day alone: `qwen-max-0428`.
        4 => is_day(day).then_some(rest),
        2 => {
            let (rest, month) = rest.rsplit_once('-')?;
            let (stable, year) = rest.rsplit_once('-')?;
            let is_year = year.len() == 4 && number(year).is_some();
            (is_year && month.len() == 2 && is_day(&format!("{month}{day}"))).then_some(stable)
        }
        _ => None,
    }
}

/// Whether these four digits are a month and a day.
pub(super) fn is_day(digits: &str) -> bool {
    number(digits)
        .is_some_and(|value| (1..=12).contains(&(value / 100)) && (1..=31).contains(&(value % 100)))
}

pub(super) fn number(digits: &str) -> Option<u32> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_no_part_of_a_name() {
        for (model, stable) in [
            ("qwen-plus-2025-07-28", Some("qwen-plus")),
            ("qwen-plus-latest", Some("qwen-plus")),
            ("qwen-max-0428", Some("qwen-max")),
            ("qwen-plus", None),
            ("qwen-plus-2025-13-28", None),
            ("qwen-plus-2025-07-32", None),
            ("qwen-plus-25-07-28", None),
            ("qwen-plus-+725-07-28", None),
            ("qwen3.7-max-20260520", Some("qwen3.7-max")),
            ("qwen3.7-max-20261320", None),
            ("qwen3-max-instruct", None),
            ("qwen-max-9999", None),
            ("qwen-max-0a28", None),
            ("qwen2.5-7b", None),
            ("07-28", None),
            ("", None),
            ("é-é", None),
        ] {
            assert_eq!(without_latest_or_date(model), stable, "{model}");
        }
        assert_eq!(
            without_latest("qwen-max-0428-latest"),
            Some("qwen-max-0428")
        );
        assert_eq!(without_latest("qwen-plus-latest"), Some("qwen-plus"));
        assert_eq!(without_latest("qwen-plus-2025-07-28"), None);
        assert_eq!(without_latest("qwen-max-0428"), None);
    }
    #[test]
    fn routers_write_ids_their_own_way() {
        for (model, id) in [
            ("qwen-plus", "qwen-plus"),
            ("Qwen-Plus", "qwen-plus"),
            ("qwen/qwen-plus", "qwen-plus"),
            ("dashscope/qwen-plus", "qwen-plus"),
            ("openrouter/qwen/Qwen-Plus:thinking", "qwen-plus"),
            (" qwen-plus\n", "qwen-plus"),
            ("qwen-plus:free", "qwen-plus:free"),
            ("qwen2:7b", "qwen2:7b"),
            ("qwen2:", "qwen2:"),
            ("qwen/", ""),
            ("", ""),
            ("Ünïcode/é", "é"),
        ] {
            assert_eq!(canonical(model), id, "{model}");
        }
    }
}
