//! The page, of figures that are made up.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use batch::{
    advice::Target,
    call::CallTimes,
    counts::Counts,
    measure::Measure,
    output::{ErrorPart, Record as Line},
    report::{Report, page},
    summary::{Facts, Summary},
    tally::Attempts,
};
use proptest::prelude::*;
use tower_qwen_ratelimit::{Limiter, Quota};
use tower_qwen_tokens::{
    Cause, Money, Usage,
    ledger::{Basis, End, Entry, LedgerSink, Record, Totals},
    price::Currency,
};

use crate::html::Html;

/// The texts of a run that come from outside.
#[derive(Debug, Clone, Copy)]
struct Texts<'a> {
    provider: &'a str,
    model: &'a str,
    code: &'a str,
    message: &'a str,
    id: &'a str,
}

const PLAIN: Texts<'static> = Texts {
    provider: "https://host",
    model: "qwen-plus",
    code: "code",
    message: "message",
    id: "id",
};

/// The page of a run of two models, with attempts, throttles and a failure.
fn page_of(texts: Texts<'_>) -> String {
    let measure = Measure::start();
    for model in [texts.model, "another"] {
        let mut entry = Entry::new(model, Usage::new(500, 100), Basis::Reported, End::Complete);
        entry.first_token = Some(Duration::from_millis(300));
        // Of every model, or a price would be the difference between two pages.
        let cost = Money::from_pico(640_000_000, Currency::USD);
        measure.record(&Record::new(&entry, Some(cost), None));
        entry.cause = Some(Cause::RequestRate);
        measure.record(&Record::new(&entry, Some(cost), None));
        let times = CallTimes {
            wait: Duration::from_millis(20),
            total: Duration::from_secs(3),
        };
        measure.call(model, Some(times), true);
    }
    measure.call(texts.model, None, false);
    let mut counts = Counts {
        succeeded: 2,
        failed: 1,
        ..Counts::default()
    };
    let error = ErrorPart::new(texts.code, texts.message);
    counts
        .failures
        .note(&Line::new(texts.id.to_owned(), None, Some(error)));
    let measured = measure.models();
    let summary = Summary::new(Facts {
        provider: texts.provider.to_owned(),
        counts: &counts,
        attempts: Attempts::default(),
        totals: Totals::default(),
        quota: Quota::qwen2(),
        quotas: &BTreeMap::new(),
        accounts: &Limiter::new(Quota::qwen2()).snapshot(),
        used: Vec::new(),
        duration: Duration::from_secs(10),
        target: &Target::remote("http://h", None),
        measured: &measured,
        stats: None,
    });
    page(&Report {
        summary: &summary,
        failures: &counts.failures,
        models: &measured,
        began: SystemTime::UNIX_EPOCH,
    })
}

#[test]
fn texts_from_outside_are_texts() {
    let hostile = Texts {
        provider: "http://h/\"><script>alert(1)</script>",
        model: "</title><img src=x onerror=alert(1)>",
        code: "<!-- a & b",
        message: "</td></table><style>*{display:none}</style> & &lt; key sk-0123456789abcdef",
        id: "'\" onload=x \u{202e}\u{0}\u{1b}[2J",
    };
    let (plain, page) = (page_of(PLAIN), page_of(hostile));
    let plain = Html::read(&plain).expect("it is well-formed");
    let html = Html::read(&page).expect("it is well-formed");
    html.assert_inert();
    assert!(html.elements == plain.elements);
    for text in [hostile.provider, hostile.model, hostile.code] {
        assert!(html.text.contains(text), "{text} in {}", html.text);
    }
    assert!(
        html.text
            .contains("</table><style>*{display:none}</style> & &lt; key sk-..")
    );
    assert!(
        html.text
            .contains("'\" onload=x \u{fffd}\u{fffd}\u{fffd}[2J")
    );
    assert!(!page.contains("0123456789abcdef"));
}

#[test]
fn each_chart_has_a_name_a_description_and_a_table() {
    let html = Html::read(&page_of(PLAIN)).expect("it is well-formed");
    let count = |name: &str| {
        html.elements
            .iter()
            .filter(|(_, element)| element == name)
            .count()
    };
    // Of each of two models: quota, wait, first token, whole call. And the tokens, and the cost.
    let charts = 2 * 4 + 2;
    let named = html
        .values("role")
        .iter()
        .filter(|role| *role == "img")
        .count();
    assert_eq!(
        (named, count("desc"), count("title")),
        (charts, charts, charts + 1)
    );
    // Of each model two, then of the cost, and of the failures.
    assert_eq!(count("table"), 2 * 2 + 2);
    assert_eq!(count("figure"), count("table"));
    for figure in [
        "2 of 3 calls answered",
        "p50 20 ms",
        "p99 3.01 s",
        "1,000",
        "https://host",
        "Thu, 01 Jan 1970",
    ] {
        assert!(html.text.contains(figure), "{figure} in {}", html.text);
    }
}

#[test]
fn a_run_without_a_call_has_a_page() {
    let nothing = BTreeMap::new();
    let counts = Counts::default();
    let summary = Summary::new(Facts {
        provider: "p".to_owned(),
        counts: &counts,
        attempts: Attempts::default(),
        totals: Totals::default(),
        quota: Quota::unlimited(),
        quotas: &BTreeMap::new(),
        accounts: &[],
        used: Vec::new(),
        duration: Duration::ZERO,
        target: &Target::built_in(),
        measured: &nothing,
        stats: None,
    });
    let page = page(&Report {
        summary: &summary,
        failures: &counts.failures,
        models: &nothing,
        began: SystemTime::UNIX_EPOCH,
    });
    let html = Html::read(&page).expect("it is well-formed");
    html.assert_inert();
    assert!(html.text.contains("0 of 0 calls answered"));
    assert!(!page.contains("NaN") && !page.contains("inf"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_changes_the_page(
        provider in any::<String>(),
        model in "[^a]{1,40}",
        code in any::<String>(),
        message in any::<String>(),
        id in any::<String>(),
    ) {
        let texts = Texts { provider: &provider, model: &model, code: &code, message: &message, id: &id };
        let html = Html::read(&page_of(texts)).expect("it is well-formed");
        html.assert_inert();
        let plain = Html::read(&page_of(PLAIN)).expect("it is well-formed");
        prop_assert!(html.elements == plain.elements);
    }
}
