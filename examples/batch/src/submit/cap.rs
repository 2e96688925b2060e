//! Whether the jobs stay below the caps of the user.

use super::plan::Plan;
use crate::{args::Args, caps::BadCap, exit::Failure, words};

/// Why the plan is over a cap, in a sentence.
pub(super) fn over_cap(args: &Args, plan: &Plan) -> Result<Option<String>, Failure> {
    let caps = &args.caps;
    if let Some(cap) = caps.max_cost {
        let unpriced = plan.models.iter().find(|(_, need)| need.unpriced > 0);
        if let Some((model, _)) = unpriced {
            return Err(Failure::Usage(BadCap::NoPrice(model.clone()).to_string()));
        }
        let mut pico = 0_i128;
        for &cost in &plan.total.cost {
            let converted = caps.rates().convert(cost, cap.currency());
            let converted = converted.ok_or_else(|| {
                Failure::Usage(
                    BadCap::Currency {
                        cap,
                        priced: cost.currency(),
                    }
                    .to_string(),
                )
            })?;
            pico = pico.saturating_add(converted.pico());
        }
        if pico > cap.pico() {
            return Ok(Some(format!(
                "The jobs may cost {}, which is more than --max-cost ({}). Nothing was sent.",
                words::money(&plan.total.cost),
                words::money(&[cap])
            )));
        }
    }
    let tokens = plan
        .total
        .prompt_tokens
        .saturating_add(plan.total.output_tokens);
    Ok(caps.max_tokens_total.filter(|&most| tokens > most).map(|most| {
        format!("The jobs may use {tokens} tokens, which is more than --max-tokens-total ({most}). Nothing was sent.")
    }))
}
