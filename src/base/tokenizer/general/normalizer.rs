//! The normalisation of other tokenizers: a checked sequence of steps of the `tokenizers` crate.

use serde::Deserialize;
use tokenizers::normalizers::{
    BertNormalizer, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Prepend, Replace, Strip, StripAccents,
};
use tokenizers::{NormalizedString, NormalizerWrapper};

use super::charsmap;
use super::pattern::{Pattern, check_length};
use crate::bounds::{MAX_NORMALIZED_BYTES, MAX_TOKENIZER_PARTS};

/// A step as `tokenizer.json` describes it.
#[derive(Deserialize)]
#[serde(tag = "type")]
pub enum Step {
    Sequence {
        normalizers: Vec<Step>,
    },
    BertNormalizer {
        clean_text: bool,
        handle_chinese_chars: bool,
        strip_accents: Option<bool>,
        lowercase: bool,
    },
    Strip {
        strip_left: bool,
        strip_right: bool,
    },
    StripAccents,
    #[serde(rename = "NFC")]
    Nfc,
    #[serde(rename = "NFD")]
    Nfd,
    #[serde(rename = "NFKC")]
    Nfkc,
    #[serde(rename = "NFKD")]
    Nfkd,
    Nmt,
    Lowercase,
    Precompiled {
        precompiled_charsmap: String,
    },
    Replace {
        pattern: Pattern,
        content: String,
    },
    Prepend {
        prepend: String,
    },
}

/// The steps in order.
#[derive(Debug, Clone, Default)]
pub struct Normalizer(Vec<NormalizerWrapper>);

impl Normalizer {
    pub fn new(step: Step) -> Result<Self, String> {
        let mut steps = Vec::new();
        add(step, &mut steps)?;
        Ok(Self(steps))
    }

    /// The normalised text.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let mut normalized = NormalizedString::from(text);
        for step in &self.0 {
            tokenizers::Normalizer::normalize(step, &mut normalized).map_err(|e| e.to_string())?;
            let length = normalized.get().len();
            if length > MAX_NORMALIZED_BYTES {
                return Err(format!(
                    "its normalizer makes {length} bytes of a text of {}; expected at most \
                     {MAX_NORMALIZED_BYTES}",
                    text.len()
                ));
            }
        }
        Ok(normalized.get().to_owned())
    }
}

fn add(step: Step, steps: &mut Vec<NormalizerWrapper>) -> Result<(), String> {
    if steps.len() == MAX_TOKENIZER_PARTS {
        return Err(format!("its normalizer has more than {MAX_TOKENIZER_PARTS} steps"));
    }
    steps.push(match step {
        Step::Sequence { normalizers } => {
            return normalizers.into_iter().try_for_each(|step| add(step, steps));
        }
        Step::BertNormalizer { clean_text, handle_chinese_chars, strip_accents, lowercase } => {
            BertNormalizer::new(clean_text, handle_chinese_chars, strip_accents, lowercase).into()
        }
        Step::Strip { strip_left, strip_right } => Strip::new(strip_left, strip_right).into(),
        Step::StripAccents => StripAccents.into(),
        Step::Nfc => NFC.into(),
        Step::Nfd => NFD.into(),
        Step::Nfkc => NFKC.into(),
        Step::Nfkd => NFKD.into(),
        Step::Nmt => Nmt.into(),
        Step::Lowercase => Lowercase.into(),
        Step::Precompiled { precompiled_charsmap } => charsmap::read(&precompiled_charsmap)?.into(),
        Step::Replace { pattern, content } => {
            check_length("the content of a Replace step", &content)?;
            pattern.check()?;
            Replace::new(pattern, content).map_err(|error| error.to_string())?.into()
        }
        Step::Prepend { prepend } => {
            check_length("the text of a Prepend step", &prepend)?;
            Prepend::new(prepend).into()
        }
    });
    Ok(())
}
