//! Where every trainable number lies: one flat vector holds the adapter and the score head.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::error::ModelError;
use super::lora::{LoraVariant, Target};
use super::method::{Method, MethodKind};
use crate::base::{Architecture, BaseWeights, BertConfig, HostTensor};

/// Module name of the score head, as PEFT saves it.
pub const SCORE_HEAD: &str = "score";

/// Standard deviation of the score head's initial weights, BERT's `initializer_range`.
const HEAD_DEVIATION: f64 = 0.02;

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotKind {
    /// Down projection A, `[r, in]`.
    LoraA,
    /// Up projection B, `[out, r]`.
    LoraB,
    /// A weight of the base, trained itself: `[out, in]` of a linear layer, `[rows, H]` of an embedding,
    /// `[H]` of a layer normalisation. Or that of a bottleneck, down `[m, H]` or up `[H, m]`.
    Weight,
    /// A bias of the base or of a bottleneck, `[out]`.
    Bias,
    /// Keys of a layer's prefix, `[P, H]`.
    PrefixKey,
    /// Values of a layer's prefix, `[P, H]`.
    PrefixValue,
    /// AdaLoRA's factors between A and B, `[r, 1]`.
    LoraE,
    /// DoRA's lengths of the rows of an adapted weight, `[out]`.
    Magnitude,
    /// Weight of the score head, `[1, H]`.
    HeadWeight,
    /// Bias of the score head, `[1]`.
    HeadBias,
}

/// One tensor in the flat vector, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The architecture's name of the module, such as `encoder.layer.0.attention.self.query`, or `score`.
    pub module: String,
    /// Which tensor of the module.
    pub kind: SlotKind,
    /// Index of the first element in the flat vector.
    pub offset: usize,
    /// Shape, row-major.
    pub shape: Vec<usize>,
}

impl Slot {
    /// Elements of the slot.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// The slot's elements in the flat vector.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.size()
    }
}

/// The order of all slots.
///
/// Layers ascend. Within a layer come query, key and value as one group, then the attention output,
/// the intermediate and the output layer, as far as they are adapted; within a group first every A,
/// then every B, then what a variant adds. So what runs as one product has its factors end to end: every A (`[n r, H]`), then
/// every B (`[n H, r]`). The last layer, which computes its query for `[CLS]` alone, has the query
/// as a group of its own before key and value. The score head comes last: weight, then bias.
///
/// Other methods have the same order: a group's weights and then its biases; behind an output
/// layer's group its bottleneck (down, then up), then its normalisation; the prefix before a layer's
/// groups; the embeddings before all layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    architecture: &'static Architecture,
    slots: Vec<Slot>,
    len: usize,
}

impl Layout {
    /// Lays out an adapter for a base.
    ///
    /// # Errors
    /// [`ModelError::Lora`] or [`ModelError::Method`] when a setting does not suit the base.
    pub fn new(base: &BertConfig, method: &Method) -> Result<Self, ModelError> {
        method.validate(base)?;
        let mut layout = Self { architecture: base.architecture, slots: Vec::new(), len: 0 };
        let hidden = base.hidden_size;
        let layers = match method {
            Method::Lora(lora) => lora.layer_indices(base)?,
            Method::Head => Vec::new(),
            _ => (0..base.num_hidden_layers).collect(),
        };
        layout.push_embeddings(base, method);
        let inner: [&[Target]; 1] = [&[Target::Query, Target::Key, Target::Value]];
        let last: [&[Target]; 2] = [&[Target::Query], &[Target::Key, Target::Value]];
        let rest: [&[Target]; 3] =
            [&[Target::AttentionOutput], &[Target::Intermediate], &[Target::Output]];
        for layer in layers {
            if let Method::Prefix { length } = method {
                let module = base.architecture.module(layer, base.architecture.layer.attention);
                layout.push(module.clone(), SlotKind::PrefixKey, vec![*length, hidden]);
                layout.push(module, SlotKind::PrefixValue, vec![*length, hidden]);
            }
            let is_last = layer + 1 == base.num_hidden_layers;
            let projections: &[&[Target]] = if is_last { &last } else { &inner };
            for group in projections.iter().chain(&rest) {
                layout.push_group(base, method, layer, group);
                let names = &base.architecture.layer;
                match group {
                    [Target::AttentionOutput] => {
                        let names = [names.attention_bottleneck, names.attention_norm];
                        layout.push_behind(base, method, layer, names);
                    }
                    [Target::Output] => {
                        let names = [names.output_bottleneck, names.output_norm];
                        layout.push_behind(base, method, layer, names);
                    }
                    _ => {}
                }
            }
        }
        layout.push(SCORE_HEAD.to_owned(), SlotKind::HeadWeight, vec![1, hidden]);
        layout.push(SCORE_HEAD.to_owned(), SlotKind::HeadBias, vec![1]);
        Ok(layout)
    }

    fn push_embeddings(&mut self, base: &BertConfig, method: &Method) {
        let names = &base.architecture.embeddings;
        if *method == Method::Full {
            let tables = [
                (Some(names.words), base.vocab_size),
                (Some(names.positions), base.max_position_embeddings),
                (names.types, base.type_vocab_size),
            ];
            for (module, rows) in tables {
                let Some(module) = module else { continue };
                let shape = vec![rows, base.hidden_size];
                self.push(module.to_owned(), SlotKind::Weight, shape);
            }
        }
        self.push_norm(base, method, names.norm);
    }

    /// What is trained of a layer normalisation.
    fn push_norm(&mut self, base: &BertConfig, method: &Method, module: &str) {
        if *method == Method::Full {
            self.push(module.to_owned(), SlotKind::Weight, vec![base.hidden_size]);
        }
        if matches!(method, Method::BitFit | Method::Full) {
            self.push(module.to_owned(), SlotKind::Bias, vec![base.hidden_size]);
        }
    }

    /// What is trained of linear layers that run as one product.
    fn push_group(&mut self, base: &BertConfig, method: &Method, layer: usize, group: &[Target]) {
        let mut all = |kind, shape: &dyn Fn((usize, usize)) -> Vec<usize>| {
            for target in group {
                if method.lora().is_none_or(|lora| lora.targets.contains(target)) {
                    self.push(
                        target.module(base.architecture, layer),
                        kind,
                        shape(target.features(base)),
                    );
                }
            }
        };
        match method {
            Method::Lora(lora) => {
                all(SlotKind::LoraA, &|(_, inputs)| vec![lora.rank, inputs]);
                all(SlotKind::LoraB, &|(outputs, _)| vec![outputs, lora.rank]);
                match lora.variant {
                    LoraVariant::Plain | LoraVariant::Reduced { .. } => {}
                    LoraVariant::Dora => all(SlotKind::Magnitude, &|(outputs, _)| vec![outputs]),
                    LoraVariant::AdaLora { .. } => all(SlotKind::LoraE, &|_| vec![lora.rank, 1]),
                }
            }
            Method::BitFit => all(SlotKind::Bias, &|(outputs, _)| vec![outputs]),
            Method::Full => {
                all(SlotKind::Weight, &|(outputs, inputs)| vec![outputs, inputs]);
                all(SlotKind::Bias, &|(outputs, _)| vec![outputs]);
            }
            Method::Head | Method::Prefix { .. } | Method::Houlsby { .. } => {}
        }
    }

    /// What is trained behind an output layer: a bottleneck, or the layer norm.
    fn push_behind(&mut self, base: &BertConfig, method: &Method, layer: usize, names: [&str; 2]) {
        let [bottleneck, norm] = names.map(|path| base.architecture.module(layer, path));
        if let Method::Houlsby { width } = *method {
            for (part, shape) in
                [("down", [width, base.hidden_size]), ("up", [base.hidden_size, width])]
            {
                let module = format!("{bottleneck}.{part}");
                self.push(module.clone(), SlotKind::Weight, shape.to_vec());
                self.push(module, SlotKind::Bias, vec![shape[0]]);
            }
        }
        self.push_norm(base, method, &norm);
    }

    /// The same modules with low-rank terms of another rank.
    pub(super) fn with_rank(&self, rank: usize) -> Self {
        let mut layout = Self { architecture: self.architecture, slots: Vec::new(), len: 0 };
        for slot in &self.slots {
            let shape = match slot.kind {
                SlotKind::LoraA => vec![rank, slot.shape[1]],
                SlotKind::LoraB => vec![slot.shape[0], rank],
                _ => slot.shape.clone(),
            };
            layout.push(slot.module.clone(), slot.kind, shape);
        }
        layout
    }

    fn push(&mut self, module: String, kind: SlotKind, shape: Vec<usize>) {
        let slot = Slot { module, kind, offset: self.len, shape };
        self.len += slot.size();
        self.slots.push(slot);
    }

    /// The architecture of the base, by which modules are named.
    #[must_use]
    pub fn architecture(&self) -> &'static Architecture {
        self.architecture
    }

    /// Every slot, by ascending offset, without gaps.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot of a module's tensor, if the module is adapted.
    #[must_use]
    pub fn find(&self, module: &str, kind: SlotKind) -> Option<&Slot> {
        self.slots.iter().find(|s| s.kind == kind && s.module == module)
    }

    /// Parameters in all: the length of the flat vector.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: a layout holds the score head at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What training changes, with the score head: method, order and values.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// The method and its settings.
    pub method: Method,
    /// Order of the values.
    pub layout: Layout,
    /// The values, flat, in the layout's order.
    pub parameters: Vec<f32>,
}

impl Adapter {
    /// An adapter that changes nothing yet, with a random score head.
    ///
    /// A is drawn from `U(-1/sqrt(in), 1/sqrt(in))`, which is the Kaiming uniform distribution with
    /// `a = sqrt(5)` that PEFT takes; B is 0; the head's weight is drawn from `N(0, 0.02^2)`, its
    /// bias is 0. Of a bottleneck, down is drawn as A and up is 0; a prefix is drawn from `N(0, 1)`, as
    /// PEFT does, and so does change something from the start. AdaLoRA's A and B are drawn as the head's
    /// weight, and the factors between them are 0. The same seed gives the same bits on every platform.
    ///
    /// # Errors
    /// [`ModelError::Lora`] or [`ModelError::Method`] when a setting does not suit the base,
    /// [`ModelError::StartsAtBase`] for methods that need [`init_on`](Self::init_on).
    pub fn init(
        base: &BertConfig,
        method: impl Into<Method>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let method = method.into();
        if method.starts_at_base() {
            return Err(ModelError::StartsAtBase { method: method.kind() });
        }
        Self::drawn(base, method, seed)
    }

    /// [`init`](Self::init) of any method: tensors of the base that are trained start at its values,
    /// of which none may have been taken yet.
    ///
    /// # Errors
    /// Those of [`init`](Self::init) but the last, and [`ModelError::Base`] when a tensor is not there.
    pub fn init_on(
        base: &BertConfig,
        weights: &BaseWeights,
        method: impl Into<Method>,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let mut adapter = Self::drawn(base, method.into(), seed)?;
        if adapter.method.starts_at_base() {
            for slot in adapter.layout.slots() {
                let get = |tensor| weights.get(&format!("{}.{tensor}", slot.module));
                let values = match slot.kind {
                    SlotKind::Weight => get("weight")?.data,
                    SlotKind::Bias => get("bias")?.data,
                    SlotKind::Magnitude => row_lengths(&get("weight")?),
                    _ => continue,
                };
                adapter.parameters[slot.range()].copy_from_slice(&values);
            }
        }
        Ok(adapter)
    }

    /// An adapter whose tensors of the base, if it has any, are zeros.
    pub(crate) fn drawn(base: &BertConfig, method: Method, seed: u64) -> Result<Self, ModelError> {
        let layout = Layout::new(base, &method)?;
        let mut parameters = vec![0.0; layout.len()];
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for slot in layout.slots() {
            let values = &mut parameters[slot.range()];
            match slot.kind {
                SlotKind::LoraA | SlotKind::LoraB if method.kind() == MethodKind::AdaLora => {
                    values.fill_with(|| (normal(&mut rng) * HEAD_DEVIATION) as f32);
                }
                SlotKind::LoraA | SlotKind::Weight if draws_weight(&method, slot) => {
                    let bound = 1.0 / libm::sqrt(slot.shape[1] as f64);
                    values.fill_with(|| ((2.0 * unit(&mut rng) - 1.0) * bound) as f32);
                }
                SlotKind::HeadWeight => {
                    values.fill_with(|| (normal(&mut rng) * HEAD_DEVIATION) as f32);
                }
                SlotKind::PrefixKey | SlotKind::PrefixValue => {
                    values.fill_with(|| normal(&mut rng) as f32);
                }
                _ => {}
            }
        }
        Ok(Self { method, layout, parameters })
    }

    /// An adapter of given values.
    ///
    /// # Errors
    /// [`ModelError::Lora`] when a setting does not suit the base, [`ModelError::ParameterCount`]
    /// when the number of values is not the layout's.
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

    /// The values of one slot, row-major.
    #[must_use]
    pub fn values(&self, slot: &Slot) -> &[f32] {
        &self.parameters[slot.range()]
    }
}

/// Euclidean length of each row.
fn row_lengths(weight: &HostTensor) -> Vec<f32> {
    let rows = weight.data.chunks_exact(weight.shape[1]);
    let square = |row: &[f32]| row.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>();
    rows.map(|row| libm::sqrt(square(row)) as f32).collect()
}

/// Whether a slot is a down projection, which starts at random values.
fn draws_weight(method: &Method, slot: &Slot) -> bool {
    slot.kind == SlotKind::LoraA
        || (matches!(method, Method::Houlsby { .. }) && slot.module.ends_with(".down"))
}

/// Uniform in `[0, 1)` from 53 random bits.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Standard normal by Box and Muller (1958); libm's functions give the same bits everywhere.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // 1 - u lies in (0, 1], where the logarithm is finite.
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - unit(rng)));
    radius * libm::cos(2.0 * std::f64::consts::PI * unit(rng))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tests::tiny_config;
    use crate::model::LoraConfig;

    fn config() -> LoraConfig {
        LoraConfig { rank: 2, targets: Target::ALL.into(), ..LoraConfig::default() }
    }

    #[test]
    fn slots_lie_end_to_end_in_the_stated_order() {
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
        use SlotKind::{LoraA, LoraB};
        assert_eq!(
            first,
            [
                ("attention.self.query", LoraA),
                ("attention.self.key", LoraA),
                ("attention.self.value", LoraA),
                ("attention.self.query", LoraB),
                ("attention.self.key", LoraB),
                ("attention.self.value", LoraB),
                ("attention.output.dense", LoraA),
                ("attention.output.dense", LoraB),
            ]
        );
        assert_eq!(layout.find("encoder.layer.1.intermediate.dense", LoraB).unwrap().shape, [i, r]);
        assert_eq!(layout.find("encoder.layer.1.output.dense", LoraA).unwrap().shape, [r, i]);
        assert_eq!(layout.find(SCORE_HEAD, SlotKind::HeadWeight).unwrap().shape, [1, h]);
        assert_eq!(layout.slots().last().unwrap().range(), layout.len() - 1..layout.len());
    }

    #[test]
    fn chosen_layers_are_sorted_and_counted_once() {
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
                SlotKind::LoraA => 1.0 / (3.0 * slot.shape[1] as f64),
                SlotKind::HeadWeight => 0.0004,
                _ => 0.0,
            };
            assert!(
                (variance - expected).abs() <= 0.2 * expected,
                "{slot:?}: {variance} {expected}"
            );
            if slot.kind == SlotKind::LoraA {
                let bound = 1.0 / (slot.shape[1] as f32).sqrt();
                assert!(values.iter().all(|v| v.abs() <= bound * 1.000_001));
            }
        }
    }

    #[test]
    fn a_wrong_number_of_values_is_refused() {
        let error = Adapter::from_parameters(&tiny_config(), config(), vec![0.0; 3]).unwrap_err();
        assert!(error.to_string().contains("has 3 parameters"), "{error}");
    }
}
