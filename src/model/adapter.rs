//! An adapter on the host: its method, its layout and its values.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::error::ModelError;
use super::layout::{Initial, Layout, Slot};
use super::method::Method;
use crate::base::{BaseWeights, BertConfig, HostTensor};

/// A trained adapter with its score head: method, layout and values.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// The method and its settings.
    pub method: Method,
    /// The position of each value.
    pub layout: Layout,
    /// The values, flat, in the layout's order, `[P]`.
    pub parameters: Vec<f32>,
}

impl Adapter {
    /// An initial adapter, which does not change the base, with a random score head.
    ///
    /// The [`Initial`] of each slot defines its values. The same seed gives the same bits on every platform.
    ///
    /// # Errors
    /// [`ModelError::Lora`] or [`ModelError::Method`] if a setting does not fit the base, [`ModelError::StartsAtBase`]
    /// for methods that need [`init_on`](Self::init_on).
    pub fn init(
        base: &BertConfig,
        method: impl Into<Method>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let method = method.into();
        let name = method.name();
        let adapter = Self::with_random_weights(base, method, seed)?;
        if adapter.layout.slots().iter().any(|slot| slot.initial.is_of_base()) {
            return Err(ModelError::StartsAtBase { method: name });
        }
        Ok(adapter)
    }

    /// [`init`](Self::init) for any method: trained base tensors start at the base's values, which must not have been
    /// taken yet.
    ///
    /// # Errors
    /// Those of [`init`](Self::init) except the last, and [`ModelError::Base`] if a tensor is missing.
    pub fn init_on(
        base: &BertConfig,
        weights: &BaseWeights,
        method: impl Into<Method>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let mut adapter = Self::with_random_weights(base, method.into(), seed)?;
        for slot in adapter.layout.slots() {
            let get = |tensor: &str| weights.get(&format!("{}.{tensor}", slot.module));
            let values = match slot.initial {
                Initial::BaseTensor => get(slot.kind.0)?.data,
                Initial::BaseRowNorms => row_norms(&get("weight")?),
                Initial::Zeros | Initial::Normal(_) | Initial::Kaiming => continue,
            };
            adapter.parameters[slot.range()].copy_from_slice(&values);
        }
        Ok(adapter)
    }

    /// An adapter whose base tensors, if any, are zeros.
    pub(crate) fn with_random_weights(
        base: &BertConfig,
        method: Method,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let layout = Layout::new(base, &method)?;
        let mut parameters = vec![0.0; layout.len()];
        let mut random = Random::new(seed);
        for slot in layout.slots() {
            let values = &mut parameters[slot.range()];
            match slot.initial {
                Initial::Normal(deviation) => {
                    values.fill_with(|| (random.normal() * deviation) as f32);
                }
                Initial::Kaiming => {
                    let bound = 1.0 / libm::sqrt(slot.shape[1] as f64);
                    values.fill_with(|| ((2.0 * random.unit() - 1.0) * bound) as f32);
                }
                Initial::Zeros | Initial::BaseTensor | Initial::BaseRowNorms => {}
            }
        }
        Ok(Self { method, layout, parameters })
    }

    /// An adapter with given values.
    ///
    /// # Errors
    /// [`ModelError::Lora`] if a setting does not fit the base, [`ModelError::ParameterCount`] if the number of values
    /// does not match the layout.
    pub fn from_parameters(
        base: &BertConfig,
        method: impl Into<Method>,
        parameters: Vec<f32>,
    ) -> Result<Self, ModelError> {
        let method = method.into();
        let layout = Layout::new(base, &method)?;
        if parameters.len() != layout.len() {
            return Err(ModelError::ParameterCount {
                found: parameters.len(),
                expected: layout.len(),
            });
        }
        Ok(Self { method, layout, parameters })
    }

    /// The adapter to save after training; see [`TuningMethod::finish`](super::TuningMethod::finish).
    #[must_use]
    pub fn finished(self) -> Self {
        self.method.finish(&self).unwrap_or(self)
    }

    /// The values of one slot, row-major.
    #[must_use]
    pub fn values(&self, slot: &Slot) -> &[f32] {
        &self.parameters[slot.range()]
    }
}

/// Euclidean norm of each row.
fn row_norms(weight: &HostTensor) -> Vec<f32> {
    let rows = weight.data.chunks_exact(weight.shape[1]);
    let square = |row: &[f32]| row.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>();
    rows.map(|row| libm::sqrt(square(row)) as f32).collect()
}

/// Random initial values. The same seed gives the same bits on every platform.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform in `[0, 1)` from 53 random bits.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal by the Box-Muller transform (1958); libm's functions give the same bits on every platform.
    pub fn normal(&mut self) -> f64 {
        // 1 - u is in (0, 1], where the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tests::tiny_config;
    use crate::methods::{LORA_A, LORA_B, LoraConfig};
    use crate::model::{SCORE_HEAD, SlotKind, Target};

    fn config() -> LoraConfig {
        LoraConfig { rank: 2, targets: Target::ALL.into(), ..LoraConfig::default() }
    }

    #[test]
    fn slots_are_contiguous_in_the_documented_order() {
        let base = tiny_config();
        let layout = Layout::new(&base, &config().into()).unwrap();
        let mut offset = 0;
        for slot in layout.slots() {
            assert_eq!(slot.offset, offset);
            offset = slot.range().end;
        }
        assert_eq!(offset, layout.len());
        let (h, i, r) = (base.hidden_size, base.intermediate_size, 2);
        assert_eq!(
            layout.len(),
            base.num_hidden_layers * (4 * 2 * r * h + 2 * r * (h + i)) + h + 1
        );
        let first: Vec<_> =
            layout.slots().iter().take(8).map(|s| (&s.module[16..], s.kind)).collect();
        assert_eq!(
            first,
            [
                ("attention.self.query", LORA_A),
                ("attention.self.key", LORA_A),
                ("attention.self.value", LORA_A),
                ("attention.self.query", LORA_B),
                ("attention.self.key", LORA_B),
                ("attention.self.value", LORA_B),
                ("attention.output.dense", LORA_A),
                ("attention.output.dense", LORA_B),
            ]
        );
        assert_eq!(
            layout.find("encoder.layer.1.intermediate.dense", LORA_B).unwrap().shape,
            [i, r]
        );
        assert_eq!(layout.find("encoder.layer.1.output.dense", LORA_A).unwrap().shape, [r, i]);
        assert_eq!(layout.find(SCORE_HEAD, SlotKind::HEAD_WEIGHT).unwrap().shape, [1, h]);
        assert_eq!(layout.slots().last().unwrap().range(), layout.len() - 1..layout.len());
    }

    #[test]
    fn selected_layers_are_sorted_and_counted_once() {
        let lora = LoraConfig { layers: Some(vec![1, 1]), ..config() };
        let layout = Layout::new(&tiny_config(), &lora.into()).unwrap();
        assert!(
            layout
                .slots()
                .iter()
                .all(|s| s.module == SCORE_HEAD || s.module.starts_with("encoder.layer.1."))
        );
        assert_eq!(layout.slots().len(), 6 * 2 + 2);
    }

    #[test]
    fn initial_values_follow_the_seed_and_the_distributions() {
        let base = BertConfig { hidden_size: 384, intermediate_size: 1536, ..tiny_config() };
        let adapter = Adapter::init(&base, config(), 7).unwrap();
        assert_eq!(adapter, Adapter::init(&base, config(), 7).unwrap());
        assert_ne!(adapter.parameters, Adapter::init(&base, config(), 8).unwrap().parameters);
        for slot in adapter.layout.slots() {
            let values = adapter.values(slot);
            let variance =
                values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64;
            let expected = match slot.kind {
                LORA_A => 1.0 / (3.0 * slot.shape[1] as f64),
                SlotKind::HEAD_WEIGHT => 0.0004,
                _ => 0.0,
            };
            assert!(
                (variance - expected).abs() <= 0.2 * expected,
                "{slot:?}: {variance} {expected}"
            );
            if slot.kind == LORA_A {
                let bound = 1.0 / (slot.shape[1] as f32).sqrt();
                assert!(values.iter().all(|v| v.abs() <= bound * 1.000_001));
            }
        }
    }

    #[test]
    fn a_wrong_number_of_values_is_rejected() {
        let error = Adapter::from_parameters(&tiny_config(), config(), vec![0.0; 3]).unwrap_err();
        assert!(error.to_string().contains("has 3 parameters"), "{error}");
    }
}
