//! The largest size of a method whose parameters stay within a fraction of the base's.

use serde_json::json;

use super::low_rank::{ALPHA, TARGETS};
use super::{METHODS, MethodInfo, Setting, Settings};
use crate::base::BertConfig;
use crate::base::arch::BERT;
use crate::model::{Layout, Method, ModelError, Target, base_parameters};

/// The largest rank, prefix or bottleneck that is tried.
const MOST: usize = 256;

/// Whether a budget chooses a setting, so that it cannot be set together with a budget.
#[must_use]
pub fn chosen_by_budget(setting: &Setting) -> bool {
    let sizes = METHODS.iter().filter_map(|info| info.size);
    sizes.chain([&ALPHA, &TARGETS]).any(|chosen| chosen == setting)
}

impl MethodInfo {
    /// The largest size of the method whose parameters, score head included, are at most `fraction` of the
    /// base's. For a low-rank method, it chooses the rank and the layers to adapt, from query and value to all
    /// six; of two choices with the same number of parameters, it uses the one with more layers. Alpha is twice the
    /// rank. Other settings are taken from `settings`.
    ///
    /// # Errors
    /// [`ModelError::Budget`] when the fraction is not above 0 or the smallest size has more parameters.
    pub fn within_budget(
        &self,
        fraction: f64,
        base: &BertConfig,
        settings: &Settings,
    ) -> Result<Method, ModelError> {
        let total = base_parameters(base);
        let most = fraction * total as f64;
        let (mut best, mut least) = (None, usize::MAX);
        for settings in self.sizes(base, settings) {
            let method = (self.build)(&settings)?;
            let kept = method.finished_method();
            let count = Layout::new(base, kept.as_ref().unwrap_or(&method))?.len();
            least = least.min(count);
            let fits = count as f64 <= most && best.as_ref().is_none_or(|(len, _)| count >= *len);
            if fits {
                best = Some((count, method));
            }
        }
        let error = ModelError::Budget { kind: self.name, share: fraction, least, total };
        best.map(|(_, method)| method).ok_or(error)
    }

    /// Every size that is tried.
    fn sizes(&self, base: &BertConfig, settings: &Settings) -> Vec<Settings> {
        use Target::{AttentionOutput, Key, Query, Value};
        let Some(size) = self.size else { return vec![settings.clone()] };
        let sizes = 1..=MOST.min(base.hidden_size);
        if !self.low_rank {
            return sizes.map(|value| settings.clone().with(size, value)).collect();
        }
        let sets: [&[Target]; 4] = [
            &[Query, Value],
            &[Query, Key, Value],
            &[Query, Key, Value, AttentionOutput],
            &Target::ALL,
        ];
        let of_set = |set: &&[Target]| {
            let names: Vec<&str> = set.iter().map(|target| target.name_in(&BERT).peft).collect();
            let settings = settings.clone().with(&TARGETS, json!(names));
            sizes
                .clone()
                .map(move |rank| settings.clone().with(size, rank).with(&ALPHA, 2.0 * rank as f64))
        };
        sets.iter().flat_map(of_set).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mini() -> BertConfig {
        BertConfig {
            vocab_size: 30522,
            hidden_size: 384,
            num_hidden_layers: 6,
            num_attention_heads: 12,
            intermediate_size: 1536,
            max_position_embeddings: 512,
            ..crate::base::tests::tiny_config()
        }
    }

    #[test]
    fn the_largest_setting_within_a_budget_is_used() {
        let (base, given) = (mini(), Settings::new());
        let total = base_parameters(&base) as f64;
        for share in [0.0008, 0.0027, 0.02] {
            for kind in ["lora", "prefix", "houlsby"] {
                let info = MethodInfo::find(kind).unwrap();
                let Ok(method) = info.within_budget(share, &base, &given) else {
                    assert_eq!((kind, share), ("houlsby", 0.0008), "{kind} {share}");
                    continue;
                };
                let count = Layout::new(&base, &method).unwrap().len() as f64;
                assert!(count <= share * total && count > 0.5 * share * total, "{method:?}");
            }
        }
        let least = crate::methods::lora::INFO.within_budget(0.0008, &base, &given).unwrap();
        let least = least.downcast::<crate::methods::LoraConfig>().unwrap();
        assert_eq!((least.rank, least.targets.len(), least.alpha), (1, 3, 2.0));
    }

    #[test]
    fn a_budget_that_is_too_small_reports_the_minimum() {
        for (kind, share) in [("full", 0.5), ("lora", 1e-6), ("lora", f64::NAN)] {
            let info = MethodInfo::find(kind).unwrap();
            let error = info.within_budget(share, &mini(), &Settings::new()).unwrap_err();
            assert!(error.to_string().contains("at least"), "{error}");
        }
    }
}
