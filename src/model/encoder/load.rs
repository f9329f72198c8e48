//! Copies the tensors of a base to a device.

use burn::tensor::{Device, Tensor, TensorData};

use super::pre_norm::Angles;
use super::words::Words;
use super::{Layer, LayerNorm, Linear, Norms, Projections};
use crate::base::{BaseWeights, BertConfig};
use crate::model::error::ModelError;
use crate::ops::{Precision, Weights};
use crate::packed::Packed;

/// Takes tensors of the base and copies them to the device.
pub(super) struct Loader<'a> {
    pub config: &'a BertConfig,
    pub weights: &'a mut BaseWeights,
    pub device: Device,
    pub precision: Precision,
    pub epsilon: f32,
}

impl Loader<'_> {
    /// The embeddings of the vocabulary, `[V, H]`.
    pub fn words(&mut self, module: &str, width: usize) -> Result<Words, ModelError> {
        let table = self.weights.take_packed(&format!("{module}.weight"))?;
        Ok(Words::new(table, width, &self.device))
    }

    /// Another embedding, `[rows, H]`. If the base has none, a row of zeros, which adds nothing, so that the kernel stays
    /// the same.
    pub fn table(&mut self, module: Option<&str>) -> Result<Tensor<2>, ModelError> {
        let Some(module) = module else {
            return Ok(Tensor::zeros([1, self.config.embedding_width()], &self.device));
        };
        let tensor = self.weights.take(&format!("{module}.weight"))?;
        Ok(Tensor::from_data(TensorData::new(tensor.data, tensor.shape), &self.device))
    }

    pub fn vector(&mut self, name: &str) -> Result<Tensor<1>, ModelError> {
        let tensor = self.weights.take(name)?;
        Ok(Tensor::from_data(TensorData::new(tensor.data, tensor.shape), &self.device))
    }

    /// Several linear layers with the same input as one, with concatenated outputs.
    pub fn linear<const N: usize>(&mut self, modules: [String; N]) -> Result<Linear, ModelError> {
        let (mut weight, mut bias) = (None::<Packed>, Vec::new());
        for module in &modules {
            let name = format!("{module}.weight");
            let part = self.weights.take_packed(&name)?.to(self.precision.format());
            match &mut weight {
                Some(above) => above.append(part),
                None => weight = Some(part),
            }
            if self.config.architecture.has_biases() {
                bias.extend(self.weights.take(&format!("{module}.bias"))?.data);
            }
        }
        let Some(weight) = weight else { unreachable!("at least one linear layer") };
        let outputs = weight.rows();
        // Zeros add nothing, and the kernels stay the same.
        bias.resize(outputs, 0.0);
        let shape = [outputs, weight.count() / outputs];
        Ok(Linear {
            weight: Weights::from_host(weight, self.precision, shape, &self.device),
            bias: Tensor::from_data(TensorData::new(bias, [outputs]), &self.device),
        })
    }

    pub fn norm(&mut self, module: &str) -> Result<LayerNorm, ModelError> {
        let gamma = self.vector(&format!("{module}.weight"))?;
        let beta = match self.config.architecture.has_biases() {
            true => self.vector(&format!("{module}.bias"))?,
            false => gamma.zeros_like(),
        };
        Ok(LayerNorm { gamma, beta, epsilon: self.epsilon })
    }

    /// A layer; `angles` if positions are rotary.
    pub fn layer(&mut self, index: usize, angles: Option<&Angles>) -> Result<Layer, ModelError> {
        let architecture = self.config.architecture;
        let last = index + 1 == self.config.num_hidden_layers;
        let names = &architecture.layer;
        let name = |path: &str| architecture.module(index, path);
        let [query, key, value] =
            [names.query, names.key, names.value].map(|linear| name(linear.path));
        let projections = if architecture.joins_projections() {
            Projections::Fused(self.linear([query])?)
        } else if last {
            let query = self.linear([query])?;
            Projections::Split { query, key_value: self.linear([key, value])? }
        } else {
            Projections::Fused(self.linear([query, key, value])?)
        };
        Ok(Layer {
            projections,
            attention_output: self.linear([name(names.attention_output.path)])?,
            intermediate: self.linear([name(names.intermediate.path)])?,
            output: self.linear([name(names.output.path)])?,
            norms: match angles {
                Some(angles) => Norms::Before(self.pre_norm(index, last, angles)?),
                None => Norms::After {
                    attention: self.norm(&name(names.attention_norm))?,
                    output: self.norm(&name(names.output_norm))?,
                },
            },
        })
    }
}
