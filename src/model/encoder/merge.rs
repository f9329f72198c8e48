//! Merges an adapter into the weights of the base.

use super::{Encoder, Linear, Projections};
use crate::model::attach::LinearTensors;
use crate::model::trainable::TrainableTensors;
use crate::ops::{Precision, Weights};

impl Encoder {
    /// The encoder with the adapter merged into its weights as far as possible, and the remaining tensors, so that
    /// scoring takes no longer than with the bare base. In f32, scores change only by rounding.
    ///
    /// Rounding would remove the change from weights of lower precision, so they are not merged. Consumes the
    /// encoder, so that a device need not store both.
    #[must_use]
    pub fn merged(mut self, mut trainable: TrainableTensors) -> (Self, TrainableTensors) {
        let mut layers = std::mem::take(&mut trainable.layers);
        for (layer, own) in self.layers.iter_mut().zip(&mut layers) {
            match &mut layer.projections {
                Projections::Fused(projections) => projections.merge(&mut own.fused, &trainable),
                Projections::Split { query, key_value } => {
                    query.merge(&mut own.query, &trainable);
                    key_value.merge(&mut own.key_value, &trainable);
                }
            }
            layer.attention_output.merge(&mut own.attention_output, &trainable);
            layer.intermediate.merge(&mut own.intermediate, &trainable);
            layer.output.merge(&mut own.output, &trainable);
        }
        trainable.layers = layers;
        (self, trainable)
    }
}

impl Linear {
    /// Merges a method's change into the weight, if the method allows it and the weight is f32.
    fn merge(&mut self, own: &mut LinearTensors, tensors: &TrainableTensors) {
        if self.weight.storage.precision == Precision::F32
            && let Some(weight) = own.hook.as_ref().and_then(|hook| hook.merged(self, tensors))
        {
            self.weight = Weights::from(weight);
            own.hook = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::bench::{Shape, random_weights};
    use crate::methods::LoraConfig;
    use crate::model::{Adapter, PackedBatch, Target, TuningMethod, read};

    fn scores(encoder: &Encoder, trainable: &TrainableTensors) -> Vec<f32> {
        let batch: PackedBatch =
            [&[2, 40, 41, 3][..], &[2, 9, 8, 7, 6, 3], &[2, 3]].into_iter().collect();
        pollster::block_on(read(encoder.forward(&batch, trainable, None).unwrap().scores)).unwrap()
    }

    #[test]
    fn a_merged_adapter_gives_the_same_scores() {
        let (config, device) = (Shape::Tiny.config(), Device::flex());
        for precision in [Precision::F32, Precision::Int8] {
            for targets in
                [&Target::ALL[..], &[Target::Query, Target::Value], &[Target::Intermediate]]
            {
                let mut weights = random_weights(&config, 3).unwrap();
                let encoder =
                    Encoder::with_precision(&config, &mut weights, precision, &device).unwrap();
                let lora = LoraConfig {
                    rank: 3,
                    targets: targets.iter().copied().collect(),
                    ..LoraConfig::default()
                };
                lora.validate(&config).unwrap();
                let mut adapter = Adapter::init(&config, lora, 5).unwrap();
                for (i, number) in adapter.parameters.iter_mut().enumerate() {
                    *number += (i * 37 % 101) as f32 * 1e-3 - 0.05;
                }
                let trainable = TrainableTensors::new(&config, &adapter, &device);
                let bare = scores(&encoder, &TrainableTensors::bare(&config, &device));
                let beside = scores(&encoder, &trainable);
                let (encoder, left) = encoder.merged(trainable);
                let separate = left.layers.iter().any(|layer| {
                    let attention = [&layer.fused, &layer.query, &layer.key_value];
                    let dense = [&layer.attention_output, &layer.intermediate, &layer.output];
                    attention.into_iter().chain(dense).any(|own| own.hook.is_some())
                });
                assert!(!separate, "the CPU path stores weights in f32 whatever the precision");
                let merged = scores(&encoder, &left);
                assert_ne!(bare, beside);
                for (merged, beside) in merged.iter().zip(&beside) {
                    assert!((merged - beside).abs() < 1e-5, "{merged} {beside}");
                }
            }
        }
    }
}
