//! Prices by vectors computed by hand.

use proptest::prelude::*;
use tower_qwen_tokens::{
    Money, PriceBook, Usage,
    price::{Currency, InvalidPrice, Price, Region, Tier},
};

fn cost(model: &str, usage: &Usage) -> Option<String> {
    PriceBook::builtin()
        .cost(model, usage)
        .map(|money| money.to_string())
}

fn usage(input: u64, output: u64, set: impl FnOnce(&mut Usage)) -> Usage {
    let mut usage = Usage::new(input, output);
    set(&mut usage);
    usage
}

fn money(text: &str) -> Money {
    text.parse().expect("an amount")
}

fn flat(input: &str, output: &str) -> Price {
    Price::per_million(money(input), money(output)).expect("a price")
}

#[test]
fn the_page_the_project_starts_from() {
    assert_eq!(
        cost("qwen2", &Usage::new(1_000_000, 500_000)).as_deref(),
        Some("0.5 USD")
    );
    assert_eq!(
        cost("qwen2", &Usage::new(1, 0)).as_deref(),
        Some("0.0000002 USD")
    );
    assert_eq!(
        cost("qwen2", &Usage::new(0, 1)).as_deref(),
        Some("0.0000006 USD")
    );
    assert_eq!(cost("qwen2", &Usage::new(0, 0)).as_deref(), Some("0 USD"));
}

#[test]
fn the_tier_of_the_input_holds_for_all_tokens() {
    for (input, expected) in [
        (32_000, "0.0444 USD"),
        (32_001, "0.0888024 USD"),
        (128_000, "0.3192 USD"),
        (128_001, "0.399003 USD"),
        (1_000_000, "3.015 USD"),
    ] {
        assert_eq!(
            cost("qwen3-max", &Usage::new(input, 1_000)).as_deref(),
            Some(expected),
            "{input}"
        );
    }
}

#[test]
fn cache_and_reasoning() {
    let cached = usage(10_000, 100, |usage| usage.cached_tokens = Some(4_000));
    assert_eq!(cost("qwen-plus", &cached).as_deref(), Some("0.00284 USD"));
    let written = usage(10_000, 0, |usage| usage.cache_write_tokens = Some(2_000));
    assert_eq!(cost("qwen-plus", &written).as_deref(), Some("0.0042 USD"));
    let thought = usage(1_000, 1_000, |usage| usage.reasoning_tokens = Some(600));
    assert_eq!(cost("qwen-plus", &thought).as_deref(), Some("0.0044 USD"));
    let silent = usage(1_000, 1_000, |usage| usage.reasoning_tokens = Some(0));
    assert_eq!(cost("qwen-plus", &silent).as_deref(), Some("0.0016 USD"));
    let flat = usage(1_000, 1_000, |usage| usage.reasoning_tokens = Some(600));
    assert_eq!(cost("qwen-flash", &flat).as_deref(), Some("0.00045 USD"));
}

#[test]
fn parts_beyond_the_whole_are_cut() {
    let odd = usage(10, 0, |usage| {
        usage.cached_tokens = Some(50);
        usage.cache_write_tokens = Some(50);
    });
    assert_eq!(cost("qwen-plus", &odd).as_deref(), Some("0.0000008 USD"));
}

#[test]
fn batch_is_half_and_knows_no_cache() {
    let cached = usage(10_000, 1_000, |usage| usage.cached_tokens = Some(4_000));
    let cost = PriceBook::builtin().batch_cost("qwen-plus", &cached);
    assert_eq!(cost, Some(money("0.0026 USD")));
}

#[test]
fn shares_can_be_set() {
    let cached = usage(1_000_000, 0, |usage| usage.cached_tokens = Some(500_000));
    let written = usage(1_000_000, 0, |usage| {
        usage.cache_write_tokens = Some(500_000)
    });
    let price = flat("1 USD", "1 USD")
        .cached_percent(10)
        .cache_write_percent(200)
        .batch_percent(30);
    assert_eq!(price.cost(&cached), Some(money("0.55 USD")));
    assert_eq!(price.cost(&written), Some(money("1.5 USD")));
    assert_eq!(price.batch_cost(&cached), Some(money("0.3 USD")));
}

#[test]
fn embeddings_state_a_total_alone() {
    let mut embedded = Usage::default();
    embedded.total_tokens = Some(1_000_000);
    assert_eq!(
        cost("text-embedding-v4", &embedded).as_deref(),
        Some("0.07 USD")
    );
}

#[test]
fn what_is_unknown_has_no_price() {
    assert_eq!(cost("gpt-4o", &Usage::new(1, 1)), None);
    assert_eq!(cost("", &Usage::new(1, 1)), None);
    assert_eq!(cost("qwen-plus-us", &Usage::new(1, 1)), None);
    assert_eq!(cost("qwen-plus", &Usage::default()), None);
    assert_eq!(
        PriceBook::empty().cost("qwen-plus", &Usage::new(1, 1)),
        None
    );
}

#[test]
fn snapshots_and_latest_cost_what_the_stable_model_costs() {
    let stable = cost("qwen-plus", &Usage::new(1_000, 200));
    assert_eq!(stable.as_deref(), Some("0.00064 USD"));
    for model in ["qwen-plus-2025-07-28", "qwen-plus-latest", "qwen-plus-0728"] {
        assert_eq!(cost(model, &Usage::new(1_000, 200)), stable, "{model}");
    }
}

#[test]
fn regions_have_their_own_prices() {
    let beijing = PriceBook::builtin().region(Region::Beijing);
    let thought = usage(1_000, 1_000, |usage| usage.reasoning_tokens = Some(1));
    assert_eq!(
        beijing.cost("qwen-plus", &Usage::new(1_000, 1_000)),
        Some(money("0.0028 CNY"))
    );
    assert_eq!(
        beijing.cost("qwen-plus", &thought),
        Some(money("0.0088 CNY"))
    );
    assert_eq!(beijing.cost("qwen-plus", &Usage::new(128_001, 0)), None);
    assert_eq!(beijing.cost("qwen2", &Usage::new(1, 1)), None);
    assert_eq!(
        beijing.cost("qwen3-coder-plus", &Usage::new(300_000, 1_000)),
        Some(money("6.2 CNY"))
    );
    assert_eq!(Region::default(), Region::International);
}

/// One row of each kind, computed by hand: a million tokens fresh, or the same from either cache or into one.
#[test]
fn rows_of_2026() {
    use tower_qwen_tokens::CacheType::{Explicit, Implicit};

    let fresh = Usage::new(1_000_000, 1_000_000);
    let from = |cache| {
        usage(1_000_000, 0, |usage| {
            usage.cached_tokens = Some(1_000_000);
            usage.cache_type = Some(cache);
        })
    };
    let written = usage(1_000_000, 0, |usage| {
        usage.cache_write_tokens = Some(1_000_000);
    });
    for (region, model, expected) in [
        (
            Region::International,
            "qwen3.8-max",
            ["8 USD", "0.25 USD", "0.17 USD", "2.5 USD"],
        ),
        (
            Region::International,
            "qwen3.8-flash",
            ["0.62 USD", "0.016 USD", "0.016 USD", "0.2 USD"],
        ),
        (
            Region::International,
            "qwen3.7-flash",
            ["1 USD", "0.04 USD", "0.02 USD", "0.25 USD"],
        ),
        (
            Region::International,
            "qwen3.6-flash",
            ["5 USD", "0.2 USD", "0.1 USD", "1.25 USD"],
        ),
        (
            Region::International,
            "qwen-flash",
            ["2.25 USD", "0.05 USD", "0.025 USD", "0.3125 USD"],
        ),
        (
            Region::Beijing,
            "qwen3.8-max",
            ["48 CNY", "1.5 CNY", "1 CNY", "15 CNY"],
        ),
        (
            Region::Beijing,
            "qwen3.8-flash",
            ["3.5 CNY", "0.1 CNY", "0.1 CNY", "1.25 CNY"],
        ),
        (
            Region::Beijing,
            "qwen3.7-max",
            ["48 CNY", "2.4 CNY", "1.2 CNY", "15 CNY"],
        ),
        (
            Region::Beijing,
            "qwen3.7-plus",
            ["30 CNY", "1.2 CNY", "0.6 CNY", "7.5 CNY"],
        ),
        (
            Region::Beijing,
            "qwen3.5-plus",
            ["28 CNY", "0.8 CNY", "0.4 CNY", "5 CNY"],
        ),
        (
            Region::Virginia,
            "qwen-plus-us",
            ["4.8 USD", "0.24 USD", "0.12 USD", "1.5 USD"],
        ),
    ] {
        let book = PriceBook::builtin().region(region);
        let costs = [fresh, from(Implicit), from(Explicit), written]
            .map(|usage| book.cost(model, &usage).map(|cost| cost.to_string()));
        assert_eq!(costs.map(Option::unwrap_or_default), expected, "{model}");
    }
    let frankfurt = PriceBook::builtin().region(Region::Frankfurt);
    let thought = usage(100_000, 1_000, |usage| usage.reasoning_tokens = Some(1));
    assert_eq!(
        frankfurt.cost("qwen-plus", &thought),
        Some(money("0.012647 USD"))
    );
    assert_eq!(
        frankfurt.cost("qwen3.8-max", &thought),
        None,
        "not known there"
    );
}

#[test]
fn routers_names_find_the_row() {
    let usage = Usage::new(1_000, 200);
    let stable = cost("qwen-plus", &usage);
    for model in [
        "Qwen-Plus",
        "qwen/qwen-plus",
        "dashscope/qwen-plus",
        "openrouter/qwen/qwen-plus:thinking",
        "qwen/qwen-plus-20250728",
    ] {
        assert_eq!(cost(model, &usage), stable, "{model}");
    }
    assert_eq!(cost("qwen/qwen-plus:free", &usage), None);
    let router = PriceBook::builtin().with("qwen/qwen-plus", flat("7 USD", "7 USD"));
    let million = Usage::new(1_000_000, 0);
    assert_eq!(
        router.cost("qwen/qwen-plus", &million),
        Some(money("7 USD"))
    );
    assert_ne!(router.cost("qwen-plus", &million), Some(money("7 USD")));
}

#[test]
fn own_prices_come_first_and_stay_in_every_region() {
    let book = PriceBook::builtin()
        .with("qwen-plus", flat("7 EUR", "8 EUR"))
        .with("qwen-max-2025-01-25", flat("9 EUR", "9 EUR"));
    let million = Usage::new(1_000_000, 0);
    for book in [book.clone(), book.region(Region::Beijing)] {
        assert_eq!(book.cost("qwen-plus", &million), Some(money("7 EUR")));
        assert_eq!(
            book.cost("qwen-plus-latest", &million),
            Some(money("7 EUR"))
        );
        assert_eq!(
            book.cost("qwen-max-2025-01-25", &million),
            Some(money("9 EUR"))
        );
        assert_ne!(book.cost("qwen-max", &million), Some(money("9 EUR")));
    }
}

#[test]
fn built_in_prices_say_where_they_are_from() {
    let book = PriceBook::builtin();
    let row = book.price("qwen2").expect("a row");
    assert_eq!(
        row.source(),
        Some("Qwen2 Rate Limit and Token Usage Explained")
    );
    assert_eq!(row.date().map(str::len), Some(10));
    assert_eq!(row.currency(), Currency::USD);
    assert_eq!(flat("1 USD", "1 USD").source(), None);
}

#[test]
fn unsound_prices_are_refused() {
    let one = Tier::new(money("1 USD"), money("1 USD"));
    let refused = |tiers: &[Tier]| Price::tiered(tiers.iter().copied()).err();
    assert_eq!(refused(&[]), Some(InvalidPrice::Empty));
    assert_eq!(
        Price::per_million(money("1 USD"), money("1 CNY")).err(),
        Some(InvalidPrice::MixedCurrencies)
    );
    assert_eq!(
        refused(&[one.thinking_output(money("1 CNY"))]),
        Some(InvalidPrice::MixedCurrencies)
    );
    assert_eq!(
        Price::per_million(money("-1 USD"), money("1 USD")).err(),
        Some(InvalidPrice::Negative)
    );
    assert_eq!(refused(&[one, one]), Some(InvalidPrice::Bounds));
    assert_eq!(
        refused(&[one, one.up_to_input(5)]),
        Some(InvalidPrice::Bounds)
    );
    assert_eq!(
        refused(&[one.up_to_input(5), one.up_to_input(5)]),
        Some(InvalidPrice::Bounds)
    );
    assert_eq!(
        refused(&[one.up_to_input(5), one.up_to_input(6), one]),
        None
    );
    let bounded = Price::tiered([one.up_to_input(5)]).expect("a price");
    assert!(bounded.tier(5).is_some());
    assert!(bounded.tier(6).is_none());
}

#[test]
fn fractions_round_up_and_nothing_overflows() {
    let tiny = flat("0.0000001 USD", "0 USD");
    assert_eq!(tiny.cost(&Usage::new(1, 0)).map(Money::pico), Some(1));
    assert_eq!(tiny.cost(&Usage::new(10, 0)).map(Money::pico), Some(1));
    assert_eq!(tiny.cost(&Usage::new(11, 0)).map(Money::pico), Some(2));
    let huge = flat("99999999999999999999 USD", "0 USD");
    assert!(huge.cost(&Usage::new(u64::MAX, u64::MAX)).is_some());
}

proptest! {
    /// With whole cents per million nothing is rounded: a plain sum of fractions of a pico-unit says the same.
    #[test]
    fn costs_are_exact(
        input in 0_u64..2_000_000,
        output in 0_u64..2_000_000,
        cached in 0_u64..3_000_000,
        cents_in in 0_u64..10_000,
        cents_out in 0_u64..10_000,
    ) {
        let cents = |cents: u64| Money::from_pico(i128::from(cents) * 10_000_000_000, Currency::USD);
        let price = Price::per_million(cents(cents_in), cents(cents_out)).expect("a price");
        let usage = usage(input, output, |usage| usage.cached_tokens = Some(cached));
        let cached = cached.min(input);
        let fifths = 5 * (input - cached) * cents_in + cached * cents_in + 5 * output * cents_out;
        let expected = i128::from(fifths) * 2_000;
        prop_assert_eq!(price.cost(&usage).map(Money::pico), Some(expected));
    }
}
