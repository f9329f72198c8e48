//! Combines LoRA adapters of one base into one, as PEFT's `add_weighted_adapter` does.
//!
//! With the update `s_i B_i A_i` of adapter i, its weight `w_i`, and [`Combination`]:
//!
//! ```text
//! cat      sum w_i s_i B_i A_i exactly: A = [w_i s_i A_i] stacked, B = [B_i] side by side, rank = sum of the ranks
//! svd      the closest update to that sum of a given rank
//! linear   A = sum c_i A_i, B = sum c_i B_i with c_i = sqrt(w_i s_i): an approximation with products of different adapters
//! ```
//!
//! The result has the scale 1. Score heads are added with the same weights.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::AdapterMeta;
use crate::base::BertConfig;
use crate::methods::{LORA_A, LORA_B, LoraConfig, RankReduction, reduce};
use crate::model::{Adapter, Layout, ModelError, SCORE_HEAD, Slot, TuningMethod};
use crate::text::Conventions;

/// How updates are combined; the names are PEFT's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combination {
    /// The exact weighted sum; the rank is the sum of the ranks.
    Cat,
    /// The weighted sums of the factors, of equal rank.
    Linear,
    /// The closest update to the exact sum of this rank; `None` is the largest of the ranks, as in PEFT.
    Svd(Option<usize>),
}

impl Combination {
    /// Names, each with its help.
    pub const NAMES: [(&'static str, &'static str); 3] = [
        ("cat", "the exact weighted sum of the updates; the rank is the sum of the ranks"),
        (
            "linear",
            "weighted sums of the factors A and B, for adapters of one rank that were trained alike",
        ),
        (
            "svd",
            "the closest update to the exact sum of the rank that is given, else of the largest rank",
        ),
    ];
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cat => "cat",
            Self::Linear => "linear",
            Self::Svd(_) => "svd",
        })
    }
}

impl FromStr for Combination {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "cat" => Ok(Self::Cat),
            "linear" => Ok(Self::Linear),
            "svd" => Ok(Self::Svd(None)),
            _ => Err(format!("unknown combination {name:?}; use cat, linear or svd")),
        }
    }
}

/// An adapter to combine.
#[derive(Debug, Clone, Copy)]
pub struct Weighted<'a> {
    /// Its name in errors, such as a directory.
    pub name: &'a str,
    /// The adapter, of the method LoRA.
    pub adapter: &'a Adapter,
    /// Its metadata.
    pub meta: &'a AdapterMeta,
    /// Factor of its update and of its score head.
    pub weight: f32,
}

/// Why adapters cannot be combined.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CombineError {
    /// There is nothing to combine.
    #[error("there is no adapter")]
    None,
    /// An adapter of another method.
    #[error("{name} is an adapter of method {method}; only those of LoRA can be added")]
    Method {
        /// The adapter.
        name: String,
        /// Its method.
        method: &'static str,
    },
    /// Adapters of different bases.
    #[error("{first} and {other} are of different bases, with sha256 {}", hashes.join(" and "))]
    Base {
        /// An adapter.
        first: String,
        /// The other one.
        other: String,
        /// The hashes of the bases.
        hashes: [String; 2],
    },
    /// Adapters that compare texts differently.
    #[error("{first} compares texts with {}, {other} with {}", conventions[0], conventions[1])]
    Conventions {
        /// An adapter.
        first: String,
        /// The other one.
        other: String,
        /// Their conventions.
        conventions: [Conventions; 2],
    },
    /// Adapters of different ranks.
    #[error(
        "{first} has rank {}, {other} has rank {}; the combination `linear` needs equal ones, `cat` and `svd` do not",
        ranks[0],
        ranks[1]
    )]
    Ranks {
        /// An adapter.
        first: String,
        /// The other one.
        other: String,
        /// Their ranks.
        ranks: [usize; 2],
    },
    /// A weight that the combination cannot use.
    #[error("the weight of {name} is {weight}; expected {expected}")]
    Weight {
        /// The adapter.
        name: String,
        /// Its weight.
        weight: f32,
        /// What the combination can use.
        expected: &'static str,
    },
    /// The result does not fit the base, such as a rank that is too large.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Combines adapters of one base. The weights of the score combination (beta, gamma, parts) do not survive, because they
/// belong to the scores of one adapter.
///
/// A module that an adapter does not adapt counts as one without an update.
///
/// # Errors
/// [`CombineError`] names the adapters and how they differ.
pub fn combine(
    base: &BertConfig,
    parts: &[Weighted<'_>],
    how: Combination,
) -> Result<(Adapter, AdapterMeta), CombineError> {
    let first = parts.first().ok_or(CombineError::None)?;
    // An adapter that PEFT wrote has no hash.
    let based = parts.iter().find(|part| part.meta.base_hash.is_some()).unwrap_or(first);
    let mut loras = Vec::with_capacity(parts.len());
    for part in parts {
        let lora = check([first, based], part, how)?;
        let layout = Layout::new(base, &part.adapter.method)?;
        if layout != part.adapter.layout {
            let (found, expected) = (part.adapter.layout.len(), layout.len());
            return Err(ModelError::ParameterCount { found, expected }.into());
        }
        loras.push(lora);
    }
    let ranks = || loras.iter().map(|lora| lora.rank);
    let rank = match how {
        Combination::Linear => {
            if let Some(at) = ranks().position(|rank| rank != loras[0].rank) {
                let (first, other) = (first.name.to_owned(), parts[at].name.to_owned());
                let ranks = [loras[0].rank, loras[at].rank];
                return Err(CombineError::Ranks { first, other, ranks });
            }
            loras[0].rank
        }
        Combination::Cat | Combination::Svd(_) => ranks().sum(),
    };
    let lora = LoraConfig {
        rank,
        // The scale is then 1.
        alpha: rank as f32,
        rslora: false,
        dropout: loras[0].dropout,
        targets: loras.iter().flat_map(|lora| lora.targets.iter().copied()).collect(),
        layers: layers(&loras, base)?,
    };
    lora.validate(base)?;
    let mut adapter = Adapter::with_random_weights(base, lora.clone().into(), 0)?;
    adapter.parameters.fill(0.0);
    let mut offset = 0;
    for (part, own) in parts.iter().zip(&loras) {
        for slot in part.adapter.layout.slots() {
            // The union of the modules contains every module.
            let Some(sum) = adapter.layout.find(&slot.module, slot.kind) else { continue };
            let range = sum.range();
            let place = Place { offset, width: rank };
            add(slot, part, own, how, place, &mut adapter.parameters[range]);
        }
        if how != Combination::Linear {
            offset += own.rank;
        }
    }
    if let Combination::Svd(wanted) = how {
        let wanted = wanted.unwrap_or_else(|| ranks().max().unwrap_or(1));
        lora.check_target_rank(wanted)?;
        reduce(&adapter.layout, &mut adapter.parameters, wanted, false);
        let reduction = RankReduction { lora, target_rank: wanted, mixed: false };
        adapter = reduction.finish(&adapter).unwrap_or(adapter);
    }
    Ok((adapter, meta(parts)))
}

/// Checks an adapter, and returns its settings. It is compared with the first one, and with the first one that stores its
/// base.
fn check<'a>(
    [first, based]: [&Weighted<'_>; 2],
    part: &Weighted<'a>,
    how: Combination,
) -> Result<&'a LoraConfig, CombineError> {
    let name = || part.name.to_owned();
    let Some(lora) = part.adapter.method.downcast::<LoraConfig>() else {
        return Err(CombineError::Method { name: name(), method: part.adapter.method.name() });
    };
    let negative = part.weight < 0.0 && how == Combination::Linear;
    if !part.weight.is_finite() || negative {
        // `linear` takes its square root.
        let expected = if negative { "0 or more" } else { "a finite number" };
        return Err(CombineError::Weight { name: name(), weight: part.weight, expected });
    }
    if let (Some(one), Some(other)) = (&based.meta.base_hash, &part.meta.base_hash)
        && one != other
    {
        let hashes = [one.clone(), other.clone()];
        return Err(CombineError::Base { first: based.name.to_owned(), other: name(), hashes });
    }
    if first.meta.conventions != part.meta.conventions {
        let conventions = [first.meta.conventions, part.meta.conventions];
        let first = first.name.to_owned();
        return Err(CombineError::Conventions { first, other: name(), conventions });
    }
    Ok(lora)
}

/// The layers that any of the adapters adapts; `None` means all.
fn layers(loras: &[&LoraConfig], base: &BertConfig) -> Result<Option<Vec<usize>>, ModelError> {
    let mut all = BTreeSet::new();
    for lora in loras {
        all.extend(lora.layer_indices(base)?);
    }
    Ok((all.len() < base.num_hidden_layers).then(|| all.into_iter().collect()))
}

/// Where an adapter's rows of A and columns of B are in the result.
struct Place {
    /// The first of them.
    offset: usize,
    /// Rank of the result.
    width: usize,
}

/// Adds a tensor of an adapter to that of the result.
fn add(
    slot: &Slot,
    part: &Weighted<'_>,
    lora: &LoraConfig,
    how: Combination,
    place: Place,
    sum: &mut [f32],
) {
    let values = part.adapter.values(slot);
    let (weight, scale) = (f64::from(part.weight), f64::from(lora.scale()));
    let mean = libm::sqrt(weight * scale);
    let Place { offset, width } = place;
    let mut each = |at: &dyn Fn(usize) -> usize, factor: f64| {
        for (index, value) in values.iter().enumerate() {
            sum[at(index)] += (f64::from(*value) * factor) as f32;
        }
    };
    let linear = how == Combination::Linear;
    match slot.kind {
        _ if slot.module == SCORE_HEAD => each(&|index| index, weight),
        LORA_A | LORA_B if linear => each(&|index| index, mean),
        LORA_A => each(&|index| offset * slot.shape[1] + index, weight * scale),
        LORA_B => {
            let rank = lora.rank;
            each(&|index| index / rank * width + offset + index % rank, 1.0);
        }
        _ => {}
    }
}

/// What all adapters have in common.
fn meta(parts: &[Weighted<'_>]) -> AdapterMeta {
    let common = |of: fn(&AdapterMeta) -> &Option<String>| {
        let mut values = parts.iter().map(|part| of(part.meta));
        let first = values.next()?.clone();
        values.all(|value| *value == first).then_some(first).flatten()
    };
    AdapterMeta {
        weights: None,
        base_hash: parts.iter().find_map(|part| part.meta.base_hash.clone()),
        base_name: common(|meta| &meta.base_name),
        objective: common(|meta| &meta.objective),
        conventions: parts.first().map(|part| part.meta.conventions).unwrap_or_default(),
        ..AdapterMeta::default()
    }
}
