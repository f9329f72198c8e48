//! ModernBERT's layers (Warner et al. 2024, arXiv 2412.13663): layer norms before the attention and before the gated
//! feed-forward layers, rotary positions, and attention to near tokens in most layers.

use burn::tensor::{Device, Tensor};

use super::load::Loader;
use super::{Context, Layer, LayerNorm, NormTensors, Projections};
use crate::base::{BertConfig, Rotary};
use crate::model::attach::LayerTensors;
use crate::model::error::ModelError;
use crate::model::trainable::TrainableTensors;
use crate::ops::{self, Activation, Activations, Window};

/// What a layer has in addition to its linear layers.
#[derive(Clone, Debug)]
pub(super) struct PreNorm {
    /// Before the attention; the first layer has none.
    attention: Option<LayerNorm>,
    /// Before the feed-forward layers.
    output: LayerNorm,
    /// After the last layer, which it marks.
    last: Option<LayerNorm>,
    /// Cosines and sines of the angles, `[positions, H / heads]`.
    angles: Tensor<2>,
    /// How far a token attends, if not to the whole text.
    reach: Option<usize>,
}

/// The angles of both kinds of layers, see [`ops::angles`].
pub(super) struct Angles {
    global: Tensor<2>,
    local: Tensor<2>,
    /// For each layer, how far a token attends, if not to the whole text.
    reach: Vec<Option<usize>>,
}

impl Angles {
    pub fn new(config: &BertConfig, rotary: &Rotary, device: &Device) -> Self {
        let head = config.hidden_size / config.num_attention_heads;
        let of = |theta| ops::angles(config.max_tokens(), head, theta, device);
        Self {
            global: of(rotary.global_theta),
            local: of(rotary.local_theta),
            reach: rotary.local.iter().map(|local| local.then_some(rotary.reach)).collect(),
        }
    }
}

impl Loader<'_> {
    /// The norms of a layer.
    pub(super) fn pre_norm(
        &mut self,
        index: usize,
        last: bool,
        angles: &Angles,
    ) -> Result<PreNorm, ModelError> {
        let architecture = self.config.architecture;
        let (names, reach) = (&architecture.layer, angles.reach[index]);
        let name = |path: &str| architecture.module(index, path);
        let attention = match architecture.has_attention_norm(index) {
            true => Some(self.norm(&name(names.attention_norm))?),
            false => None,
        };
        Ok(PreNorm {
            attention,
            output: self.norm(&name(names.output_norm))?,
            last: architecture
                .last_norm()
                .filter(|_| last)
                .map(|module| self.norm(module))
                .transpose()?,
            angles: if reach.is_some() { &angles.local } else { &angles.global }.clone(),
            reach,
        })
    }
}

impl Layer {
    /// `[T, H]` to `[T, H]`; the last layer to `[S, H]`, the rows of `[CLS]`.
    pub(super) fn pre_norm(
        &self,
        norms: &PreNorm,
        x: Activations,
        own: &LayerTensors,
        context: &mut Context<'_>,
    ) -> Activations {
        let identity = Activation::Identity;
        let (Projections::Fused(projections), Some(places)) = (&self.projections, context.places)
        else {
            unreachable!("a base with rotary positions has one layer for query, key and value")
        };
        let x = x.into_values();
        let normed = match &norms.attention {
            None => Activations::from(x.clone()),
            Some(norm) => norm.without_residual(x.clone(), &own.attention_norm, context.tensors),
        };
        let qkv = projections.forward(normed, identity, &own.fused, context).into_values();
        let qkv = ops::rotate(qkv, &norms.angles, places, context.heads);
        let attended = match norms.reach {
            None => ops::attention(qkv, context.segments, context.heads),
            Some(reach) => {
                let window = Window { places: places.clone(), reach };
                ops::windowed_attention(qkv, context.segments, context.heads, window)
            }
        };
        let (x, attended) = match norms.last {
            None => (x, attended),
            Some(_) => {
                (ops::gather_cls(x, context.segments), ops::gather_cls(attended, context.segments))
            }
        };
        let projected = self.attention_output.forward(
            attended.into(),
            identity,
            &own.attention_output,
            context,
        );
        let x = x + projected.into_values();
        let normed = norms.output.without_residual(x.clone(), &own.output_norm, context.tensors);
        let inner = self.intermediate.forward(normed, identity, &own.intermediate, context);
        let gated = ops::gated_gelu(inner.into_values());
        let fed = self.output.forward(gated.into(), identity, &own.output, context);
        let x = x + fed.into_values();
        match &norms.last {
            None => x.into(),
            Some(norm) => norm.without_residual(x, &own.last_norm, context.tensors),
        }
    }
}

impl LayerNorm {
    /// `LN(x)`.
    fn without_residual(
        &self,
        x: Tensor<2>,
        own: &NormTensors,
        tensors: &TrainableTensors,
    ) -> Activations {
        let gamma = own.gamma.map_or(&self.gamma, |id| tensors.at(id));
        let beta = own.beta.map_or(&self.beta, |id| tensors.at(id));
        ops::layer_norm(x, gamma, beta, self.epsilon)
    }
}
