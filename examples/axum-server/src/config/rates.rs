use tower_qwen_ratelimit::budget::Rates;
use tower_qwen_tokens::price::Currency;

use super::{section::Section, values::Decimal};

/// `CNY_USD = 0.14`: one yuan is 0.14 dollars. The other way round it is the inverse, unless that is written too.
pub(super) fn rates(mut section: Section<'_, '_>) -> Rates {
    let date = section.value::<String>("date").unwrap_or_default();
    let mut rates = Rates::new();
    let mut inverses = Vec::new();
    for (key, Decimal(rate)) in section.rest::<Decimal>() {
        let currencies = key.split_once('_');
        let currencies = currencies.and_then(|(from, to)| {
            Some((from.parse::<Currency>().ok()?, to.parse::<Currency>().ok()?))
        });
        let Some((from, to)) = currencies else {
            section.note(&key, "a rate is named by two currencies, such as `CNY_USD`");
            continue;
        };
        match rates.clone().with(from, to, &rate, &date) {
            Ok(more) => rates = more,
            Err(error) => section.note(&key, error.to_string()),
        }
        if let Ok(rate) = rate.parse::<f64>() {
            inverses.push((to, from, format!("{:.12}", 1.0 / rate)));
        }
    }
    section.end();
    for (from, to, rate) in inverses {
        if rates.date(from, to).is_none() {
            // An inverse with too many digits is no rate; then calls that need it fail the check.
            rates = rates.clone().with(from, to, &rate, &date).unwrap_or(rates);
        }
    }
    rates
}
