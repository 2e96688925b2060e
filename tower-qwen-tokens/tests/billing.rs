//! What a price depends on: caches, the batch interface, the clock, service tiers. By hand, and as laws.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use tower_qwen_tokens::{
    CacheType, Money, PriceBook, Usage,
    price::{Billing, ClockWindow, Currency, Price, Rate, Region, Share, Tier},
};

fn money(text: &str) -> Money {
    text.parse().expect("an amount")
}

fn usage(input: u64, output: u64, set: impl FnOnce(&mut Usage)) -> Usage {
    let mut usage = Usage::new(input, output);
    set(&mut usage);
    usage
}

fn read_from(cache: Option<CacheType>, tokens: u64) -> Usage {
    usage(tokens, 0, |usage| {
        usage.cached_tokens = Some(tokens);
        usage.cache_type = cache;
    })
}

fn hour_in_beijing(hour: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs((hour + 24 - 8) % 24 * 3_600)
}

fn from_json(row: &str) -> PriceBook {
    PriceBook::from_json(&format!("[{row}]")).expect("a row")
}

#[test]
fn each_cache_has_its_price() {
    let price = Price::per_million(money("1 USD"), money("3 USD")).expect("a price");
    for (cache, expected) in [
        (None, "0.2 USD"),
        (Some(CacheType::Implicit), "0.2 USD"),
        (Some(CacheType::Explicit), "0.1 USD"),
    ] {
        assert_eq!(
            price.cost(&read_from(cache, 1_000_000)),
            Some(money(expected)),
            "{cache:?}"
        );
    }
    let both = usage(1_000, 100, |usage| {
        usage.cached_tokens = Some(500);
        usage.cache_write_tokens = Some(200);
        usage.cache_type = Some(CacheType::Explicit);
    });
    // 300 x 1 + 500 x 0.1 + 200 x 1.25 + 100 x 3 millionths.
    assert_eq!(price.cost(&both), Some(money("0.0009 USD")));
}

#[test]
fn a_rate_is_an_amount_or_a_share() {
    let book = from_json(
        r#"{"model": "m", "currency": "CNY", "tiers": [
            {"up_to_input": 1000, "input": "12", "output": "36", "implicit_read": "1.5", "explicit_read": "1", "cache_write": "15"},
            {"input": "24", "output": "72", "implicit_read": "12.5%", "cache_write": "125%"}
        ]}"#,
    );
    let cost = |usage: &Usage| book.cost("m", usage).map(|cost| cost.to_string());
    let implicit = |tokens| cost(&read_from(None, tokens));
    let explicit = |tokens| cost(&read_from(Some(CacheType::Explicit), tokens));
    assert_eq!(implicit(1_000).as_deref(), Some("0.0015 CNY"));
    assert_eq!(explicit(1_000).as_deref(), Some("0.001 CNY"));
    assert_eq!(implicit(10_000).as_deref(), Some("0.03 CNY"));
    assert_eq!(explicit(10_000).as_deref(), Some("0.024 CNY"));
    let written = usage(1_000, 0, |usage| usage.cache_write_tokens = Some(1_000));
    assert_eq!(cost(&written).as_deref(), Some("0.015 CNY"));
}

#[test]
fn batch_clock_and_service_tier_are_shares_of_the_whole() {
    let book = from_json(
        r#"{"model": "m", "currency": "USD", "tiers": [{"input": "1", "output": "2"}],
            "clock": [{"from": "22:00", "to": "08:00", "utc_offset": "+08:00", "share": "20%"}],
            "service_tiers": {"flex": "50%", "priority": "175%"}}"#,
    );
    let call = usage(1_000_000, 1_000_000, |usage| {
        usage.cached_tokens = Some(500_000)
    });
    let cost = |billing: Billing<'_>| {
        book.cost_of("m", &call, &billing)
            .map(|cost| cost.to_string())
    };
    let usual = Billing::new();
    assert_eq!(cost(usual).as_deref(), Some("2.6 USD"));
    assert_eq!(
        cost(usual.at(hour_in_beijing(12))).as_deref(),
        Some("2.6 USD")
    );
    assert_eq!(
        cost(usual.at(hour_in_beijing(22))).as_deref(),
        Some("0.52 USD")
    );
    assert_eq!(
        cost(usual.at(hour_in_beijing(8))).as_deref(),
        Some("2.6 USD")
    );
    assert_eq!(cost(usual.service_tier("flex")).as_deref(), Some("1.3 USD"));
    assert_eq!(
        cost(usual.service_tier("priority")).as_deref(),
        Some("4.55 USD")
    );
    assert_eq!(
        cost(usual.service_tier("default")).as_deref(),
        Some("2.6 USD")
    );
    assert_eq!(cost(usual.service_tier("scale")), None, "never a guess");
    // Batch knows no cache: half of 1 + 2.
    assert_eq!(cost(usual.batch(true)).as_deref(), Some("1.5 USD"));
    let night = usual
        .batch(true)
        .at(hour_in_beijing(3))
        .service_tier("flex");
    assert_eq!(cost(night).as_deref(), Some("0.15 USD"));
}

/// The provider's own example of what a call costs in a plan: 1.67 + 0.82 + 0.69 credits. Three of its decimals are rounded,
/// ours are not.
#[test]
fn a_plan_counts_in_credits() {
    let book = from_json(
        r#"{"model": "qwen3.6-plus", "currency": "Credits", "tiers": [{"input": "200", "output": "1200", "implicit_read": "10%"}]}"#,
    );
    let call = usage(8_349 + 40_794, 573, |usage| {
        usage.cached_tokens = Some(40_794)
    });
    let cost = book.cost("qwen3.6-plus", &call).expect("a price");
    assert_eq!(cost, money("3.17328 Credits"));
    assert_eq!(cost.currency(), Currency::CREDITS);
}

#[test]
fn unsound_rates_are_named() {
    for (fields, reason) in [
        (
            r#""tiers": [{"input": "1", "output": "1", "implicit_read": "20 %"}]"#,
            "share",
        ),
        (
            r#""tiers": [{"input": "1", "output": "1", "explicit_read": "-1"}]"#,
            "negative",
        ),
        (
            r#""tiers": [{"input": "1", "output": "1", "cache_write": 125}]"#,
            "expected a string",
        ),
        (
            r#""tiers": [{"input": "1", "output": "1"}], "clock": [{"from": "8", "to": "22:00", "utc_offset": "+08:00", "share": "20%"}]"#,
            "window of the clock",
        ),
        (
            r#""tiers": [{"input": "1", "output": "1"}], "service_tiers": {"flex": "half"}"#,
            "share",
        ),
    ] {
        let row = format!(r#"[{{"model": "m", "currency": "USD", {fields}}}]"#);
        let error = PriceBook::from_json(&row).expect_err(fields);
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(
            source.is_some_and(|source| source.contains(reason)),
            "{fields}"
        );
    }
}

#[test]
fn no_count_overflows() {
    let most = usage(u64::MAX, u64::MAX, |usage| {
        usage.cache_write_tokens = Some(u64::MAX)
    });
    for region in [Region::International, Region::Beijing] {
        let book = PriceBook::builtin().region(region);
        let cost = book.cost("qwen3.8-max", &most).expect("a price");
        // 18 million million million tokens of input written to a cache, and as many of output.
        let write = book
            .price("qwen3.8-max")
            .and_then(|price| price.tier(0))
            .expect("a tier");
        let million = i128::from(u64::MAX) / 1_000_000;
        assert!(cost.pico() > write.output.pico() * million);
        assert!(cost.pico() < write.output.pico() * million * 3);
    }
    let dear =
        Price::per_million(money("99999999999999999999 USD"), money("1 USD")).expect("a price");
    let billing = Billing::new().batch(true);
    assert_eq!(dear.cost(&most).map(Money::pico), Some(i128::MAX));
    assert_eq!(
        dear.cost_of(&most, &billing).map(Money::pico),
        Some(i128::MAX)
    );
}

/// A price whose every rate is stated, and the same with every share written as the amount that it is.
fn pair(cents: [u64; 2], percents: [u32; 3]) -> [Price; 2] {
    let cents =
        cents.map(|cents| Money::from_pico(i128::from(cents) * 10_000_000_000, Currency::USD));
    let [input, output] = cents;
    let [implicit, explicit, write] = percents.map(|percent| Rate::Share(Share::percent(percent)));
    let [implicit_is, explicit_is, write_is] = percents.map(|percent| {
        let pico = input.pico() / 100 * i128::from(percent);
        Rate::PerMillion(Money::from_pico(pico, Currency::USD))
    });
    let tier = Tier::new(input, output);
    [
        tier.implicit_read(implicit)
            .explicit_read(explicit)
            .cache_write(write),
        tier.implicit_read(implicit_is)
            .explicit_read(explicit_is)
            .cache_write(write_is),
    ]
    .map(|tier| Price::tiered([tier]).expect("a price"))
}

fn any_cache() -> impl Strategy<Value = Option<CacheType>> {
    prop_oneof![
        Just(None),
        Just(Some(CacheType::Implicit)),
        Just(Some(CacheType::Explicit)),
    ]
}

/// Fresh, read, written and output tokens.
type Counts = [u64; 4];

fn of_counts([fresh, read, write, output]: Counts, cache: Option<CacheType>) -> Usage {
    usage(fresh + read + write, output, |usage| {
        usage.cached_tokens = Some(read);
        usage.cache_write_tokens = Some(write);
        usage.cache_type = cache;
    })
}

proptest! {
    /// A share is the amount that it is of the input, to the pico-unit.
    #[test]
    fn a_share_is_its_amount(
        cents in [0_u64..100_000, 0_u64..100_000],
        percents in [0_u32..300, 0_u32..300, 0_u32..300],
        counts in [0_u64..2_000_000, 0_u64..2_000_000, 0_u64..2_000_000, 0_u64..2_000_000],
        cache in any_cache(),
        batch in any::<bool>(),
    ) {
        let [shares, amounts] = pair(cents, percents);
        let (usage, billing) = (of_counts(counts, cache), Billing::new().batch(batch));
        prop_assert_eq!(shares.cost_of(&usage, &billing), amounts.cost_of(&usage, &billing));
    }

    /// What a call costs is what its parts cost one by one. Nothing is rounded here, for prices of whole cents.
    #[test]
    fn the_whole_is_the_sum_of_its_parts(
        cents in [0_u64..100_000, 0_u64..100_000],
        percents in [0_u32..300, 0_u32..300, 0_u32..300],
        counts in [0_u64..2_000_000, 0_u64..2_000_000, 0_u64..2_000_000, 0_u64..2_000_000],
        cache in any_cache(),
    ) {
        let [price, _] = pair(cents, percents);
        let whole = price.cost(&of_counts(counts, cache)).map(Money::pico);
        let parts: i128 = (0..4)
            .map(|part| {
                let mut alone = [0; 4];
                alone[part] = counts[part];
                price.cost(&of_counts(alone, cache)).map_or(0, Money::pico)
            })
            .sum();
        prop_assert_eq!(whole, Some(parts));
    }

    /// A share of 100 % changes nothing, shares multiply, and none makes a call free of a rounding that it does not need.
    #[test]
    fn shares_multiply(
        cents in [0_u64..100_000, 0_u64..100_000],
        counts in [0_u64..2_000_000, 0_u64..2_000_000, 0_u64..2_000_000, 0_u64..2_000_000],
        one in 0_u32..200,
        other in 0_u32..200,
    ) {
        let [price, _] = pair(cents, [20, 10, 125]);
        let usage = of_counts(counts, None);
        let usual = price.cost(&usage).map_or(0, Money::pico);
        let price = price
            .clock_window(ClockWindow::new("00:00", "23:59", "+00:00", Share::percent(one)).expect("a window"))
            .service_tier("full", Share::FULL)
            .service_tier("other", Share::percent(other));
        let cost = |billing: Billing<'_>| price.cost_of(&usage, &billing).map_or(-1, Money::pico);
        prop_assert_eq!(cost(Billing::new().service_tier("full")), usual);
        let both = Billing::new().at(UNIX_EPOCH).service_tier("other");
        let exact = usual * i128::from(one) * i128::from(other);
        prop_assert_eq!(cost(both), exact / 10_000 + i128::from(exact % 10_000 > 0));
    }

    /// One token more never makes a call of a built-in model cheaper, not even where a tier ends.
    #[test]
    fn more_tokens_never_cost_less(
        counts in [0_u64..1_200_000, 0_u64..400_000, 0_u64..400_000, 0_u64..400_000],
        part in 0_usize..4,
        more in 1_u64..600_000,
        cache in any_cache(),
        beijing in any::<bool>(),
    ) {
        let region = if beijing { Region::Beijing } else { Region::International };
        let book = PriceBook::builtin().region(region);
        let mut larger = counts;
        larger[part] += more;
        for model in ["qwen3.8-max", "qwen3.8-flash", "qwen3.7-plus", "qwen-plus", "qwen-flash", "qwen3-coder-plus"] {
            let cost = |counts| book.cost(model, &of_counts(counts, cache)).map(Money::pico);
            // Beyond the last tier there is no price.
            if let (Some(less), Some(more)) = (cost(counts), cost(larger)) {
                prop_assert!(less <= more, "{model}: {less} > {more}");
            }
        }
    }
}
