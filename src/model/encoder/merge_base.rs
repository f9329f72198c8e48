//! Merges an adapter into the tensors of its base, on the host.

use burn::tensor::Device;

use super::{Encoder, Layer, Linear, Norms, Projections};
use crate::base::{BaseWeights, BertConfig};
use crate::model::adapter::Adapter;
use crate::model::error::ModelError;
use crate::model::fault::read;
use crate::model::layout::{Initial, SCORE_HEAD};
use crate::model::target::Target;
use crate::model::trainable::TrainableTensors;

/// Merges an adapter into the tensors of its base: the low-rank terms, and the base's tensors that the method trains
/// itself. Computes in f32 on the CPU. The score head is not part of a base.
///
/// # Errors
/// [`ModelError::NotMergeable`] for a method that does something else, such as adding modules; `weights` may then have
/// changed. [`ModelError::Base`] if a tensor was taken before.
pub fn merge_into_base(
    config: &BertConfig,
    weights: &mut BaseWeights,
    adapter: &Adapter,
) -> Result<(), ModelError> {
    let refuse = || ModelError::NotMergeable { method: adapter.method.name() };
    let own = || adapter.layout.slots().iter().filter(|slot| slot.module != SCORE_HEAD);
    for slot in own().filter(|slot| slot.initial == Initial::BaseTensor) {
        let name = format!("{}.{}", slot.module, slot.kind.0);
        weights.set(&name, adapter.values(slot).to_vec())?;
    }
    let added: Vec<&str> = own()
        .filter(|slot| slot.initial != Initial::BaseTensor)
        .map(|slot| slot.module.as_str())
        .collect();
    if added.is_empty() {
        return Ok(());
    }
    let device = Device::flex();
    let trainable = TrainableTensors::new(config, adapter, &device);
    let encoder = Encoder::new(config, &mut weights.clone(), &device)?;
    let (encoder, left) = encoder.merged(trainable);
    let remains =
        left.layers.iter().any(|layer| layer.attention.is_some() || layer.hooks().next().is_some());
    if remains || left.virtual_tokens > 0 {
        return Err(refuse());
    }
    for (index, layer) in encoder.layers.iter().enumerate() {
        for (linear, targets) in layer.linears() {
            let names: Vec<String> =
                targets.iter().map(|target| target.module(config.architecture, index)).collect();
            if !names.iter().any(|name| added.contains(&name.as_str())) {
                continue;
            }
            let values = pollster::block_on(read(linear.weight.words.clone()))?;
            for (name, part) in names.iter().zip(values.chunks(values.len() / names.len())) {
                weights.set(&format!("{name}.weight"), part.to_vec())?;
            }
        }
    }
    Ok(())
}

impl Layer {
    /// The linear layers, and the targets that each product consists of, in the order of its outputs.
    fn linears(&self) -> Vec<(&Linear, &'static [Target])> {
        use Target::{AttentionOutput, Intermediate, Key, Output, Query, Value};
        let mut all: Vec<(&Linear, &'static [Target])> = match (&self.projections, &self.norms) {
            (Projections::Fused(linear), Norms::Before(_)) => vec![(linear, &[Query])],
            (Projections::Fused(linear), Norms::After { .. }) => {
                vec![(linear, &[Query, Key, Value])]
            }
            (Projections::Split { query, key_value }, _) => {
                vec![(query, &[Query]), (key_value, &[Key, Value])]
            }
        };
        all.push((&self.attention_output, &[AttentionOutput]));
        all.push((&self.intermediate, &[Intermediate]));
        all.push((&self.output, &[Output]));
        all
    }
}
