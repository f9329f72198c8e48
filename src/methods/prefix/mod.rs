//! Prefix tuning (Li and Liang 2021, arXiv 2101.00190): trained keys and values of virtual tokens before those of
//! every layer, without the network that computes them in the paper. They take the first positions, as in PEFT.

mod files;

use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::{Value, json};

use super::{MethodInfo, Setting, SettingKind, check_size};
use crate::base::BertConfig;
use crate::model::{
    AttentionHook, Context, Initial, ModelError, SlotKind, Slots, TensorId, TuningMethod,
};
use crate::ops;

/// Keys of a layer's prefix, `[P, H]`.
pub const KEYS: SlotKind = SlotKind("prefix_keys");
/// Values of a layer's prefix, `[P, H]`.
pub const VALUES: SlotKind = SlotKind("prefix_values");

/// Prefix tuning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// Number of virtual tokens, P.
    pub length: usize,
}

impl TuningMethod for Prefix {
    fn name(&self) -> &'static str {
        "prefix"
    }

    fn settings(&self) -> Vec<(&'static str, Value)> {
        vec![("prefix length", json!(self.length))]
    }

    fn validate(&self, base: &BertConfig) -> Result<(), ModelError> {
        if base.rotary.is_some() {
            let architecture = base.architecture.name;
            let why = "its positions are rotary, and virtual tokens have none";
            return Err(ModelError::Unsuited { method: self.name(), architecture, why });
        }
        check_size("prefix", "length", self.length, base.max_tokens())
    }

    fn virtual_tokens(&self) -> usize {
        self.length
    }

    fn attention(&self, module: &str, slots: &mut Slots<'_>) -> Option<Arc<dyn AttentionHook>> {
        let shape = [self.length, slots.base().hidden_size];
        let [keys, values] = [KEYS, VALUES]
            .map(|kind| slots.push_tensor(module.to_owned(), kind, &shape, Initial::Normal(1.0)));
        Some(Arc::new(PrefixLayer { shape, keys, values }))
    }
}

#[derive(Debug)]
struct PrefixLayer {
    /// `[P, H]`
    shape: [usize; 2],
    keys: TensorId,
    values: TensorId,
}

impl PrefixLayer {
    /// Keys and values, `[P, H]` each.
    fn rows(&self, context: &Context<'_>) -> [Tensor<2>; 2] {
        [self.keys, self.values].map(|id| context.tensors.at(id).clone().reshape(self.shape))
    }
}

impl AttentionHook for PrefixLayer {
    fn attention(&self, qkv: Tensor<2>, context: &Context<'_>) -> Tensor<2> {
        let ([keys, values], batch) = (self.rows(context), context.with_virtual_tokens());
        let rows = Tensor::cat(vec![keys.zeros_like(), keys, values], 1);
        let qkv = batch.insert(rows, qkv);
        batch.own(ops::attention(qkv, &batch.segments, context.heads))
    }

    fn attention_cls(&self, q: Tensor<2>, kv: Tensor<2>, context: &Context<'_>) -> Tensor<2> {
        let batch = context.with_virtual_tokens();
        let kv = batch.insert(Tensor::cat(self.rows(context).into(), 1), kv);
        ops::attention_cls(q, kv, &batch.segments, context.heads)
    }
}

/// Default number of virtual tokens.
const DEFAULT_LENGTH: usize = 20;

static LENGTH: Setting = Setting {
    name: "prefix_length",
    flag: "prefix-length",
    option: "prefixLength",
    key: "length",
    kind: SettingKind::Count,
    help: "Virtual tokens of the prefix [default: 20]",
    heading: "Method",
};

/// The method's line in the registry.
pub static INFO: MethodInfo = MethodInfo {
    name: "prefix",
    label: "Prefix tuning",
    help: "keys and values of virtual tokens, before those of every layer",
    settings: &[&LENGTH],
    size: Some(&LENGTH),
    files: &files::PrefixFiles,
    build: |settings| {
        Ok(Prefix { length: settings.count(&LENGTH)?.unwrap_or(DEFAULT_LENGTH) }.into())
    },
    ..MethodInfo::PLAIN
};
