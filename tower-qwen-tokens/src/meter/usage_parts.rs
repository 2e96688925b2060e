//! Figures of a usage that cannot be beside its input and output.

use crate::Usage;

/// How much more than twice its sum a stated figure may be. Unit: tokens.
// Hosts count prompts of their own in the total, as they do in the input: seen were up to 2,700. And some count a few thoughts
// more than output.
const BEYOND_SUM: u64 = 8_192;

/// The usage without parts that are far larger than what they are a part of, and with a total that can be.
///
/// Input and output are believed: what they can be the call bounds.
pub(super) fn with_possible_parts(usage: Usage) -> Usage {
    let Some((input, output)) = usage.input_and_output() else {
        return Usage::default();
    };
    let sum = input.saturating_add(output);
    let of = |whole: u64| move |part: &u64| *part <= most(whole);
    Usage {
        total_tokens: usage
            .total_tokens
            .map(|total| if total > most(sum) { sum } else { total }),
        cached_tokens: usage.cached_tokens.filter(of(input)),
        cache_write_tokens: usage.cache_write_tokens.filter(of(input)),
        reasoning_tokens: usage.reasoning_tokens.filter(of(output)),
        image_tokens: usage.image_tokens.filter(of(sum)),
        audio_tokens: usage.audio_tokens.filter(of(sum)),
        video_tokens: usage.video_tokens.filter(of(sum)),
        ..usage
    }
}

fn most(sum: u64) -> u64 {
    sum.saturating_mul(2).saturating_add(BEYOND_SUM)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figure() -> impl Strategy<Value = Option<u64>> {
        prop_oneof![
            Just(None),
            (0_u64..10_000).prop_map(Some),
            Just(Some(u64::MAX)),
            Just(Some(1_000_000_000_000)),
        ]
    }

    proptest! {
        /// No part is far larger than its sum, the total is near it, and what can be stays.
        #[test]
        fn parts_are_within_their_sums(
            [input, output, total, cached, written, thought, image] in prop::array::uniform7(figure()),
        ) {
            let stated = Usage {
                input_tokens: input,
                output_tokens: output,
                total_tokens: total,
                cached_tokens: cached,
                cache_write_tokens: written,
                reasoning_tokens: thought,
                image_tokens: image,
                ..Usage::default()
            };
            let usage = with_possible_parts(stated);
            let has_sum = stated.input_and_output().is_some();
            let (input, output) = stated.input_and_output().unwrap_or_default();
            let sum = input.saturating_add(output);
            prop_assert!(usage.total().unwrap_or(0) <= most(sum));
            for (stated, part, whole) in [
                (cached, usage.cached_tokens, input),
                (written, usage.cache_write_tokens, input),
                (thought, usage.reasoning_tokens, output),
                (image, usage.image_tokens, sum),
            ] {
                let is_possible = has_sum && stated.is_some_and(|stated| stated <= most(whole));
                prop_assert_eq!(part, stated.filter(|_| is_possible));
            }
            prop_assert_eq!((usage.input_tokens, usage.output_tokens), (stated.input_tokens, stated.output_tokens));
            prop_assert_eq!(with_possible_parts(usage), usage);
        }
    }

    #[test]
    fn a_total_far_beyond_its_sum_is_replaced() {
        let of = |total| {
            let usage = Usage {
                total_tokens: Some(total),
                ..Usage::new(10, 5)
            };
            with_possible_parts(usage).total_tokens
        };
        assert_eq!(of(15), Some(15));
        assert_eq!(of(2_700), Some(2_700));
        assert_eq!(of(1_000_000_000_000), Some(15));
    }
}
