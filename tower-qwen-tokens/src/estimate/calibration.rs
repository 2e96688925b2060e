use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::{macros::opaque_debug, shared::lock};

use super::{Estimated, Ratio, Script, samples::Samples};

/// How many models have figures of their own. The others share one set.
// Names come with requests: without a bound they would fill the memory. 64 models are 620 KB.
const MODELS: usize = 64;
/// Bytes of a model's name. A longer one counts as one of the rest.
const NAME: usize = 128;

/// Learns by how much estimates are off, per model and [`Script`].
///
/// A kind of call (a model and a script) is calibrated after 20 settled calls. From then on its factor is the sum of what the
/// provider counted by the sum of what was estimated, over the newest 64 calls, without those that are further than half
/// again from the middle one. Until then it is what is known so far, times a factor for caution.
///
/// One in ten calls with a wrong count does not bend it: a count that is missing (0) or more than 8 times off is ignored
/// and counted, any other that is far from the middle one is left out of the sums.
///
/// Memory: at most 64 models (names of up to 128 bytes) and one set for all others, of 5 scripts and 64 samples each: 620 KB.
///
/// # Clone
///
/// Clones share what is learned.
///
/// ```
/// use tower_qwen_tokens::estimate::{Calibration, Ratio, Script};
///
/// let calibration = Calibration::new();
/// for _ in 0..20 {
///     calibration.learn("qwen-plus", Script::Latin, 100, 108);
/// }
/// assert_eq!(calibration.factor("qwen-plus", Script::Latin), Ratio::percent(108));
/// assert_eq!(calibration.factor("qwen-plus", Script::Cjk), Ratio::percent(115));
/// ```
#[derive(Clone)]
pub struct Calibration {
    caution: Ratio,
    learned: Arc<Mutex<Learned>>,
}

/// What is known of one kind of call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindState {
    /// The model; `None` for all those beyond the first 64.
    pub model: Option<String>,
    /// What most of the text is.
    pub script: Script,
    /// What the provider counted, by what was estimated.
    pub ratio: Ratio,
    /// Calls it was learned from, those that have left the window included.
    pub samples: u64,
    /// Calls that were ignored: no count, or an absurd one.
    pub ignored: u64,
    /// Whether the factor for caution has gone.
    pub calibrated: bool,
}

#[derive(Default)]
struct Learned {
    models: BTreeMap<Box<str>, Kinds>,
    rest: Kinds,
}

type Kinds = [Samples; Script::ALL.len()];

impl Calibration {
    /// Nothing learned. Caution: 15 % more.
    #[must_use]
    pub fn new() -> Self {
        // See `with_caution`: 1 or 2 of 100 texts stay under the truth.
        Self::with_caution(Ratio::percent(115))
    }

    /// Nothing learned, with a factor for kinds that are not calibrated. [`Ratio::ONE`] is none.
    ///
    /// Of 578 texts that it was not fitted on, the estimator is under the truth in 35 of 100; with 10 % more in 6, with 15 %
    /// more in 1 or 2.
    #[must_use]
    pub fn with_caution(caution: Ratio) -> Self {
        Self {
            caution,
            learned: Arc::default(),
        }
    }

    /// What to multiply an estimate by.
    #[must_use]
    pub fn factor(&self, model: &str, script: Script) -> Ratio {
        let learned = lock(&self.learned);
        learned.samples(model, script).factor(self.caution)
    }

    /// The likely size of a prompt of this estimate, and the cautious one to reserve. Unit: tokens.
    #[cfg(feature = "http")]
    pub(crate) fn likely_and_cautious(&self, model: &str, estimated: Estimated) -> [u64; 2] {
        // Both from one lock, so that they belong to the same state of the calibration.
        let learned = lock(&self.learned);
        let samples = learned.samples(model, estimated.script);
        [Ratio::ONE, self.caution].map(|caution| samples.factor(caution).apply(estimated.tokens))
    }

    /// The tokens of an estimate, times its factor, rounded up.
    #[must_use]
    pub fn apply(&self, model: &str, estimated: Estimated) -> u64 {
        self.factor(model, estimated.script).apply(estimated.tokens)
    }

    /// Takes in a settled call: what was estimated, **before** any factor, and what the provider counted.
    pub fn learn(&self, model: &str, script: Script, estimated: u64, actual: u64) {
        lock(&self.learned).kinds(model)[script as usize].learn(estimated, actual);
    }

    /// What is known, by model and script. Kinds without any call are left out.
    #[must_use]
    pub fn snapshot(&self) -> Vec<KindState> {
        let learned = lock(&self.learned);
        let named = learned
            .models
            .iter()
            .map(|(model, kinds)| (Some(&**model), kinds));
        named
            .chain([(None, &learned.rest)])
            .flat_map(|(model, kinds)| {
                Script::ALL.map(|script| KindState::of(model, script, &kinds[script as usize]))
            })
            .filter(|kind| kind.samples > 0 || kind.ignored > 0)
            .collect()
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self::new()
    }
}

opaque_debug!(Calibration { caution }, impl std::fmt::Debug for Calibration);

impl Learned {
    fn samples(&self, model: &str, script: Script) -> &Samples {
        &self.models.get(model).unwrap_or(&self.rest)[script as usize]
    }

    fn kinds(&mut self, model: &str) -> &mut Kinds {
        // A model that has its own figures keeps them, however many others come.
        let known = self.models.contains_key(model);
        if !known && (self.models.len() >= MODELS || model.len() > NAME) {
            return &mut self.rest;
        }
        self.models.entry(model.into()).or_default()
    }
}

impl KindState {
    fn of(model: Option<&str>, script: Script, samples: &Samples) -> Self {
        Self {
            model: model.map(str::to_owned),
            script,
            ratio: samples.ratio,
            samples: samples.taken,
            ignored: samples.ignored,
            calibrated: samples.is_calibrated(),
        }
    }
}
