//! Residual adapters (Houlsby et al. 2019, arXiv 1902.00751): bottleneck adapters after both output layers of every
//! encoder layer, before the residual is added: `y + up(gelu(down(y)))`.

use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::{Value, json};

use super::{MethodInfo, Setting, SettingKind, check_size};
use crate::base::BertConfig;
use crate::model::{
    Context, Initial, Linear, LinearHook, LinearSite, ModelError, SlotKind, Slots, TensorId,
    TrainableTensors, TuningMethod,
};
use crate::ops::{self, Activation, Activations, Precision, Storage, Weights};

/// Residual adapters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Houlsby {
    /// Width of the bottlenecks, m.
    pub width: usize,
}

impl TuningMethod for Houlsby {
    fn name(&self) -> &'static str {
        "houlsby"
    }

    fn settings(&self) -> Vec<(&'static str, Value)> {
        vec![("bottleneck width", json!(self.width))]
    }

    fn validate(&self, base: &BertConfig) -> Result<(), ModelError> {
        check_size("houlsby", "width", self.width, base.hidden_size)
    }

    fn linear(&self, site: &LinearSite<'_>, slots: &mut Slots<'_>) -> Option<Arc<dyn LinearHook>> {
        let (module, hidden) = (site.bottleneck()?, site.base.hidden_size);
        let mut layer = |name: &str, shape: [usize; 2], initial| {
            let module = format!("{module}.{name}");
            let bias = (module.clone(), SlotKind::BIAS, [shape[0]]);
            let weight = slots.push_tensor(module, SlotKind::WEIGHT, &shape, initial);
            let bias = slots.push_tensor(bias.0, bias.1, &bias.2, Initial::Zeros);
            Layer { weight, bias, shape }
        };
        Some(Arc::new(Bottleneck {
            down: layer("down", [self.width, hidden], Initial::Kaiming),
            up: layer("up", [hidden, self.width], Initial::Zeros),
        }))
    }
}

/// A linear layer of a bottleneck.
#[derive(Debug)]
struct Layer {
    weight: TensorId,
    bias: TensorId,
    /// `[out, in]`
    shape: [usize; 2],
}

impl Layer {
    fn forward(
        &self,
        x: Activations,
        activation: Activation,
        tensors: &TrainableTensors,
    ) -> Activations {
        let [outputs, inputs] = self.shape;
        let storage = Storage { outputs, inputs, precision: Precision::F32 };
        let weight = Weights { words: tensors.at(self.weight).clone(), storage };
        ops::linear(x, &weight, tensors.at(self.bias), activation)
    }
}

#[derive(Debug)]
struct Bottleneck {
    down: Layer,
    up: Layer,
}

impl LinearHook for Bottleneck {
    /// Output layers have no activation, so it is the identity here.
    fn forward(
        &self,
        linear: &Linear,
        x: Activations,
        activation: Activation,
        context: &mut Context<'_>,
    ) -> Activations {
        let y: Tensor<2> = linear.frozen(x, activation).into_values();
        let inner = self.down.forward(y.clone().into(), Activation::Gelu, context.tensors);
        let up = self.up.forward(inner, Activation::Identity, context.tensors);
        (y + up.into_values()).into()
    }
}

/// Default width of the bottlenecks.
const DEFAULT_WIDTH: usize = 64;

static WIDTH: Setting = Setting {
    name: "adapter_width",
    flag: "adapter-width",
    option: "adapterWidth",
    key: "width",
    kind: SettingKind::Count,
    help: "Width of the bottlenecks [default: 64]",
    heading: "Method",
};

/// The method's line in the registry.
pub static INFO: MethodInfo = MethodInfo {
    name: "houlsby",
    label: "Residual adapters",
    help: "bottleneck adapters after output layers",
    settings: &[&WIDTH],
    size: Some(&WIDTH),
    build: |settings| Ok(Houlsby { width: settings.count(&WIDTH)?.unwrap_or(DEFAULT_WIDTH) }.into()),
    ..MethodInfo::PLAIN
};
