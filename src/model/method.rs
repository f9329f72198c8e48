//! What training changes: one of the methods that are compared with LoRA.

use std::fmt;
use std::str::FromStr;

use super::error::ModelError;
use super::lora::{LoraConfig, LoraVariant};
use crate::base::BertConfig;

/// How a base is adapted. The score head is trained with every method.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// Low-rank terms beside linear layers (Hu et al. 2021, arXiv 2106.09685).
    Lora(LoraConfig),
    /// The score head alone.
    Head,
    /// Every bias of the encoder, those of layer normalisations included (Ben Zaken et al. 2021,
    /// arXiv 2106.10199).
    BitFit,
    /// Keys and values of tokens that do not exist, before those of every layer (Li and Liang 2021,
    /// arXiv 2101.00190), without the network that computes them there. They count as the first
    /// positions, as in PEFT.
    Prefix {
        /// Number of such tokens, P.
        length: usize,
    },
    /// Bottlenecks behind both output layers of every encoder layer, before the residual is added:
    /// `y + up(gelu(down(y)))` (Houlsby et al. 2019, arXiv 1902.00751).
    Houlsby {
        /// Width of the bottlenecks, m.
        width: usize,
    },
    /// Every tensor of the encoder: RescoreBERT (Xu et al. 2022, arXiv 2202.01094).
    Full,
}

impl From<LoraConfig> for Method {
    fn from(lora: LoraConfig) -> Self {
        Self::Lora(lora)
    }
}

impl Method {
    /// Tokens of a prefix where nothing else is asked for.
    pub const PREFIX_LENGTH: usize = 20;
    /// Width of a bottleneck where nothing else is asked for.
    pub const HOULSBY_WIDTH: usize = 64;

    /// Which method it is.
    #[must_use]
    pub fn kind(&self) -> MethodKind {
        match self {
            Self::Lora(lora) => match lora.variant {
                LoraVariant::Plain => MethodKind::Lora,
                LoraVariant::Dora => MethodKind::Dora,
                LoraVariant::AdaLora { .. } => MethodKind::AdaLora,
                LoraVariant::Reduced { mixed: false, .. } => MethodKind::RankWarmup,
                LoraVariant::Reduced { mixed: true, .. } => MethodKind::MixedRank,
            },
            Self::Head => MethodKind::Head,
            Self::BitFit => MethodKind::BitFit,
            Self::Prefix { .. } => MethodKind::Prefix,
            Self::Houlsby { .. } => MethodKind::Houlsby,
            Self::Full => MethodKind::Full,
        }
    }

    /// LoRA's settings, where it is that, in any variant.
    #[must_use]
    pub fn lora(&self) -> Option<&LoraConfig> {
        match self {
            Self::Lora(lora) => Some(lora),
            _ => None,
        }
    }

    /// Whether training starts at values of the base: its tensors are trained themselves, or the lengths
    /// of their rows.
    #[must_use]
    pub fn starts_at_base(&self) -> bool {
        matches!(self.kind(), MethodKind::BitFit | MethodKind::Full | MethodKind::Dora)
    }

    /// Probability that an input of a low-rank term is dropped in training.
    #[must_use]
    pub fn dropout(&self) -> f32 {
        self.lora().map_or(0.0, |lora| lora.dropout)
    }

    /// Checks every setting against the base.
    ///
    /// # Errors
    /// [`ModelError::Lora`] or [`ModelError::Method`] names the setting and what is allowed.
    pub fn validate(&self, base: &BertConfig) -> Result<(), ModelError> {
        let sound = |setting, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                return Ok(());
            }
            let what = format!("is {value}; expected 1 to {most}");
            Err(ModelError::Method { method: self.kind(), setting, what })
        };
        match self {
            Self::Lora(lora) => lora.validate(base),
            Self::Prefix { length } => sound("length", *length, base.max_tokens()),
            Self::Houlsby { width } => sound("width", *width, base.hidden_size),
            Self::Head | Self::BitFit | Self::Full => Ok(()),
        }
    }
}

/// The name of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MethodKind {
    /// [`Method::Full`]
    Full,
    /// [`Method::BitFit`]
    BitFit,
    /// [`Method::Prefix`]
    Prefix,
    /// [`Method::Houlsby`]
    Houlsby,
    /// [`Method::Lora`]
    Lora,
    /// [`Method::Lora`] with [`LoraVariant::Dora`]
    Dora,
    /// [`Method::Lora`] with [`LoraVariant::AdaLora`]
    AdaLora,
    /// [`Method::Lora`] with [`LoraVariant::Reduced`], every term to the same rank
    RankWarmup,
    /// [`Method::Lora`] with [`LoraVariant::Reduced`] to mixed ranks
    MixedRank,
    /// [`Method::Head`]
    Head,
}

impl MethodKind {
    /// Every method.
    pub const ALL: [Self; 10] = [
        Self::Full,
        Self::BitFit,
        Self::Prefix,
        Self::Houlsby,
        Self::Lora,
        Self::Dora,
        Self::AdaLora,
        Self::RankWarmup,
        Self::MixedRank,
        Self::Head,
    ];

    /// The name as it is written in flags, files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::BitFit => "bitfit",
            Self::Prefix => "prefix",
            Self::Houlsby => "houlsby",
            Self::Lora => "lora",
            Self::Dora => "dora",
            Self::AdaLora => "adalora",
            Self::RankWarmup => "rank-warmup",
            Self::MixedRank => "mixed-rank",
            Self::Head => "head",
        }
    }

    /// Whether it is LoRA in some variant.
    #[must_use]
    pub fn is_lora(self) -> bool {
        matches!(self, Self::Lora | Self::Dora | Self::AdaLora | Self::RankWarmup | Self::MixedRank)
    }

    /// LoRA of this kind with this rank, and with the rank to begin with that the method customarily has where
    /// it ends with another: half as much again in AdaLoRA, four times as much before a reduction.
    /// `None` for other methods.
    #[must_use]
    pub fn with_rank(self, lora: LoraConfig, target_rank: usize) -> Option<LoraConfig> {
        let (rank, variant) = match self {
            Self::Lora => (target_rank, LoraVariant::Plain),
            Self::Dora => (target_rank, LoraVariant::Dora),
            Self::AdaLora => {
                (target_rank + target_rank.div_ceil(2), LoraVariant::AdaLora { target_rank })
            }
            Self::RankWarmup => {
                (4 * target_rank, LoraVariant::Reduced { target_rank, mixed: false })
            }
            Self::MixedRank => (4 * target_rank, LoraVariant::Reduced { target_rank, mixed: true }),
            _ => return None,
        };
        Some(LoraConfig { rank, variant, ..lora })
    }
}

impl fmt::Display for MethodKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for MethodKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{name:?} is no method; expected one of {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for kind in MethodKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("LoRA".parse::<MethodKind>().unwrap_err().contains("houlsby"));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let base = crate::base::tests::tiny_config();
        for (method, expected) in [
            (Method::Prefix { length: 0 }, "prefix setting `length` is 0"),
            (Method::Houlsby { width: 9 }, "houlsby setting `width` is 9; expected 1 to 8"),
            (LoraConfig { rank: 0, ..LoraConfig::default() }.into(), "`r` is 0"),
        ] {
            let message = method.validate(&base).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
