//! The largest setting of a method whose parameters stay within a part of the base's.

use std::collections::BTreeSet;

use super::error::ModelError;
use super::layout::Layout;
use super::lora::{LoraConfig, LoraVariant, Target};
use super::method::{Method, MethodKind};
use crate::base::{BertConfig, expected_tensors};

/// Highest rank, longest prefix and widest bottleneck that are tried.
const MOST: usize = 256;

/// Numbers in a base's encoder.
#[must_use]
pub fn base_parameters(base: &BertConfig) -> usize {
    expected_tensors(base).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

impl Method {
    /// The setting with the most parameters, score head included, that are at most `share` of the
    /// base's: a length, a width, or a rank and the layers to adapt, of which query and value are the
    /// first and all six the last. What is equal in number adapts more layers. Other settings of LoRA
    /// are taken from `lora`; alpha is twice the rank.
    ///
    /// # Errors
    /// [`ModelError::Budget`] when the share is no number above 0, the smallest setting has more
    /// parameters, or the method has nothing to choose and too many.
    pub fn within(
        kind: MethodKind,
        share: f64,
        base: &BertConfig,
        lora: &LoraConfig,
    ) -> Result<Self, ModelError> {
        use Target::{AttentionOutput, Key, Query, Value};
        let sets: [&[Target]; 4] = [
            &[Query, Value],
            &[Query, Key, Value],
            &[Query, Key, Value, AttentionOutput],
            &Target::ALL,
        ];
        let sizes = 1..=MOST.min(base.hidden_size);
        let candidates: Vec<Self> = match kind {
            kind if kind.is_lora() => {
                let ranks = |targets: &&[Target]| {
                    let targets: BTreeSet<Target> = targets.iter().copied().collect();
                    sizes.clone().filter_map(move |rank| {
                        let (alpha, targets) = (2.0 * rank as f32, targets.clone());
                        let lora = LoraConfig { alpha, targets, ..lora.clone() };
                        kind.with_rank(lora, rank).map(Self::Lora)
                    })
                };
                sets.iter().flat_map(ranks).collect()
            }
            MethodKind::Prefix => sizes.map(|length| Self::Prefix { length }).collect(),
            MethodKind::Houlsby => sizes.map(|width| Self::Houlsby { width }).collect(),
            MethodKind::Head => vec![Self::Head],
            MethodKind::BitFit => vec![Self::BitFit],
            _ => vec![Self::Full],
        };
        let total = base_parameters(base);
        let most = share * total as f64;
        let (mut best, mut least) = (None, usize::MAX);
        for method in candidates {
            let count = match &method {
                // What is kept of the run.
                Self::Lora(LoraConfig {
                    variant: LoraVariant::Reduced { target_rank: rank, .. },
                    targets,
                    ..
                }) => {
                    let (rank, targets) = (*rank, targets.clone());
                    let kept = LoraConfig { rank, targets, ..LoraConfig::default() };
                    Layout::new(base, &kept.into())?.len()
                }
                method => Layout::new(base, method)?.len(),
            };
            least = least.min(count);
            let fits = count as f64 <= most && best.as_ref().is_none_or(|(len, _)| count >= *len);
            if fits {
                best = Some((count, method));
            }
        }
        best.map(|(_, method)| method).ok_or(ModelError::Budget { kind, share, least, total })
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
    fn the_largest_setting_within_a_share_is_taken() {
        let (base, lora) = (mini(), LoraConfig::default());
        let total = base_parameters(&base) as f64;
        for share in [0.0008, 0.0027, 0.02] {
            for kind in [MethodKind::Lora, MethodKind::Prefix, MethodKind::Houlsby] {
                let Ok(method) = Method::within(kind, share, &base, &lora) else {
                    assert_eq!((kind, share), (MethodKind::Houlsby, 0.0008), "{kind} {share}");
                    continue;
                };
                let count = Layout::new(&base, &method).unwrap().len() as f64;
                assert!(count <= share * total && count > 0.5 * share * total, "{method:?}");
            }
        }
        let Method::Lora(least) = Method::within(MethodKind::Lora, 0.0008, &base, &lora).unwrap()
        else {
            panic!("no LoRA")
        };
        assert_eq!((least.rank, least.targets.len(), least.alpha), (1, 3, 2.0));
    }

    #[test]
    fn what_does_not_fit_says_how_much_it_takes() {
        for (kind, share) in
            [(MethodKind::Full, 0.5), (MethodKind::Lora, 1e-6), (MethodKind::Lora, f64::NAN)]
        {
            let error = Method::within(kind, share, &mini(), &LoraConfig::default()).unwrap_err();
            assert!(error.to_string().contains("parameters at least"), "{error}");
        }
    }
}
