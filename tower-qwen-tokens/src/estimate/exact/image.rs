/// No side may be more than so many times the other.
// As in the image processor that comes with the models, which raises an error there.
const MAX_RATIO: u64 = 200;
/// `<|vision_start|>` and `<|vision_end|>`.
const FRAME: u64 = 2;

/// How many tokens an image of some size is.
///
/// The provider scales an image, keeping its shape, until its area lies between two bounds, and rounds its sides to
/// multiples of a factor; every square of that factor is one token.
///
/// ```
/// use tower_qwen_tokens::estimate::ImageRule;
///
/// // 1288 by 728 pixels: 46 by 26 squares, and two tokens around them.
/// assert_eq!(ImageRule::qwen2_5_vl().tokens(1280, 720), Some(1198));
/// assert_eq!(ImageRule::qwen3_vl().tokens(1280, 720), Some(882));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageRule {
    factor: u32,
    min_pixels: u64,
    max_pixels: u64,
}

impl ImageRule {
    /// Squares of 28 pixels: Qwen2-VL, Qwen2.5-VL, and `qwen-vl-*` before August 2025.
    #[must_use]
    pub const fn qwen2_5_vl() -> Self {
        Self::of_factor(28)
    }

    /// Squares of 32 pixels: Qwen3-VL, Qwen3-Omni, and `qwen-vl-max` and `-plus` from August 2025.
    #[must_use]
    pub const fn qwen3_vl() -> Self {
        Self::of_factor(32)
    }

    const fn of_factor(factor: u32) -> Self {
        let square = factor as u64 * factor as u64;
        Self {
            factor,
            min_pixels: 4 * square,
            max_pixels: 1280 * square,
        }
    }

    /// The least area that an image is scaled up to. Default: 4 squares. Unit: pixels.
    #[must_use]
    pub const fn min_pixels(mut self, pixels: u64) -> Self {
        self.min_pixels = pixels;
        self
    }

    /// The largest area that an image is scaled down to. Default: 1280 squares, which `vl_high_resolution_images` raises to
    /// 16384. Unit: pixels.
    #[must_use]
    pub const fn max_pixels(mut self, pixels: u64) -> Self {
        self.max_pixels = pixels;
        self
    }

    /// The tokens of an image, its two marks included. Units: pixels in, tokens out.
    ///
    /// `None` where the provider refuses it: without area, or more than 200 times as long as wide.
    #[must_use]
    pub fn tokens(&self, width: u32, height: u32) -> Option<u64> {
        let (long, short) = (width.max(height), width.min(height));
        if short == 0 || u64::from(long) > MAX_RATIO * u64::from(short) {
            return None;
        }
        let squares = self.squares(f64::from(width), f64::from(height));
        Some(squares.saturating_add(FRAME))
    }

    /// The tokens of the largest image. Unit: tokens.
    #[must_use]
    pub fn most_tokens(&self) -> u64 {
        let factor = u64::from(self.factor);
        (self.max_pixels / (factor * factor)).saturating_add(FRAME)
    }

    /// In floating point, as the provider's own code has it: on the edge between two sizes, both round alike.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss
    )]
    fn squares(&self, width: f64, height: f64) -> u64 {
        let factor = f64::from(self.factor);
        let (min, max) = (self.min_pixels as f64, self.max_pixels as f64);
        let nearest = |side: f64| (side / factor).round_ties_even().max(1.0);
        // First rounded, then scaled: the order is the provider's, and it decides sizes on the
        // edge.
        let (mut across, mut down) = (nearest(width), nearest(height));
        let area = across * down * factor * factor;
        if area > max {
            let scale = (width * height / max).sqrt();
            across = (width / scale / factor).floor().max(1.0);
            down = (height / scale / factor).floor().max(1.0);
        } else if area < min {
            let scale = (min / (width * height)).sqrt();
            across = (width * scale / factor).ceil();
            down = (height * scale / factor).ceil();
        }
        (across * down) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ImageRule;

    #[test]
    fn sizes_are_those_of_the_reference() {
        let rule = ImageRule::qwen2_5_vl();
        let high = rule.max_pixels(16_384 * 28 * 28);
        for (width, height, squares, squares_high) in [
            (28, 28, 4, 4),
            (1, 1, 4, 4),
            (56, 56, 4, 4),
            (100, 100, 16, 16),
            (42, 70, 4, 4),
            (448, 224, 128, 128),
            (1024, 1024, 1225, 1369),
            (3172, 4096, 1240, 16_240),
            (5600, 28, 200, 200),
        ] {
            assert_eq!(
                rule.tokens(width, height),
                Some(squares + 2),
                "{width} {height}"
            );
            assert_eq!(
                high.tokens(width, height),
                Some(squares_high + 2),
                "{width} {height}"
            );
        }
    }

    #[test]
    fn no_area_and_no_shape_is_no_image() {
        let rule = ImageRule::qwen3_vl();
        assert_eq!(rule.tokens(0, 100), None);
        assert_eq!(rule.tokens(100, 0), None);
        assert_eq!(rule.tokens(20_100, 100), None);
        assert!(rule.tokens(20_000, 100).is_some());
    }

    #[test]
    fn defaults() {
        assert_eq!(ImageRule::qwen2_5_vl().most_tokens(), 1282);
        assert_eq!(ImageRule::qwen3_vl().most_tokens(), 1282);
    }

    proptest! {
        #[test]
        fn between_the_bounds(width in 1_u32..20_000, height in 1_u32..20_000) {
            for rule in [ImageRule::qwen2_5_vl(), ImageRule::qwen3_vl()] {
                if let Some(tokens) = rule.tokens(width, height) {
                    prop_assert!((6..=rule.most_tokens()).contains(&tokens), "{tokens}");
                }
            }
        }
    }
}
