//! How other tokenizers split a normalised text into words.

use serde::Deserialize;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::delimiter::CharDelimiterSplit;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::split::Split;
use tokenizers::pre_tokenizers::unicode_scripts::UnicodeScripts;
use tokenizers::pre_tokenizers::whitespace::{Whitespace, WhitespaceSplit};
use tokenizers::tokenizer::normalizer::SplitDelimiterBehavior;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizerWrapper};

use super::pattern::Pattern;
use crate::bounds::MAX_TOKENIZER_PARTS;

/// A step as `tokenizer.json` describes it.
#[derive(Deserialize)]
#[serde(tag = "type")]
pub enum Step {
    Sequence {
        pretokenizers: Vec<Step>,
    },
    BertPreTokenizer,
    /// GPT-2's words, each byte as a character.
    ByteLevel {
        add_prefix_space: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    Whitespace,
    WhitespaceSplit,
    UnicodeScripts,
    Punctuation {
        behavior: Option<SplitDelimiterBehavior>,
    },
    Digits {
        individual_digits: bool,
    },
    CharDelimiterSplit {
        delimiter: char,
    },
    Split {
        pattern: Pattern,
        behavior: SplitDelimiterBehavior,
        invert: bool,
    },
    Metaspace {
        replacement: char,
        add_prefix_space: Option<bool>,
        prepend_scheme: Option<PrependScheme>,
        split: Option<bool>,
    },
}

fn yes() -> bool {
    true
}

/// The steps in order.
#[derive(Debug, Clone, Default)]
pub struct Splitter {
    /// For the beginning of a text.
    first: Vec<PreTokenizerWrapper>,
    /// For the text after an added token.
    later: Vec<PreTokenizerWrapper>,
    /// Whether a step says something else about the space before a text than the caller.
    pub overruled: bool,
}

impl Splitter {
    /// `prefix` is whether a space is added before a text, if the steps do not decide it.
    pub fn new(step: Step, prefix: Option<bool>) -> Result<Self, String> {
        let mut splitter = Self::default();
        splitter.add(step, prefix)?;
        Ok(splitter)
    }

    fn add(&mut self, step: Step, prefix: Option<bool>) -> Result<(), String> {
        if self.first.len() == MAX_TOKENIZER_PARTS {
            return Err(format!("its pre_tokenizer has more than {MAX_TOKENIZER_PARTS} steps"));
        }
        let step: PreTokenizerWrapper = match step {
            Step::Sequence { pretokenizers } => {
                return pretokenizers.into_iter().try_for_each(|step| self.add(step, prefix));
            }
            Step::BertPreTokenizer => BertPreTokenizer.into(),
            // Trimming changes offsets, which are not used.
            Step::ByteLevel { add_prefix_space: stated, use_regex } => {
                let add_prefix_space = prefix.unwrap_or(stated);
                self.overruled |= add_prefix_space != stated;
                ByteLevel::new(add_prefix_space, false, use_regex).into()
            }
            Step::Whitespace => Whitespace.into(),
            Step::WhitespaceSplit => WhitespaceSplit.into(),
            Step::UnicodeScripts => UnicodeScripts.into(),
            Step::Punctuation { behavior } => {
                Punctuation::new(behavior.unwrap_or(SplitDelimiterBehavior::Isolated)).into()
            }
            Step::Digits { individual_digits } => Digits::new(individual_digits).into(),
            Step::CharDelimiterSplit { delimiter } => CharDelimiterSplit::new(delimiter).into(),
            Step::Split { pattern, behavior, invert } => {
                pattern.check()?;
                Split::new(pattern, behavior, invert).map_err(|error| error.to_string())?.into()
            }
            Step::Metaspace { replacement, add_prefix_space, prepend_scheme, split } => {
                let stated = scheme(add_prefix_space, prepend_scheme)?;
                let scheme = match prefix {
                    Some(true) => PrependScheme::Always,
                    Some(false) => PrependScheme::Never,
                    None => stated,
                };
                self.overruled |= scheme != stated;
                let split = split.unwrap_or(true);
                let later = match scheme {
                    PrependScheme::First => PrependScheme::Never,
                    other => other,
                };
                self.later.push(Metaspace::new(replacement, later, split).into());
                self.first.push(Metaspace::new(replacement, scheme, split).into());
                return Ok(());
            }
        };
        self.later.push(step.clone());
        self.first.push(step);
        Ok(())
    }

    /// Calls `each` for every word, while it returns true. `first` is whether the original text begins here.
    pub fn each_word(
        &self,
        text: &str,
        first: bool,
        mut each: impl FnMut(&str) -> Result<bool, String>,
    ) -> Result<(), String> {
        let mut words = PreTokenizedString::from(text);
        for step in if first { &self.first } else { &self.later } {
            tokenizers::PreTokenizer::pre_tokenize(step, &mut words).map_err(|e| e.to_string())?;
        }
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            if !each(word)? {
                break;
            }
        }
        Ok(())
    }
}

/// Which words get the replacement in front. Old files have only `add_prefix_space`.
fn scheme(
    add_prefix_space: Option<bool>,
    prepend_scheme: Option<PrependScheme>,
) -> Result<PrependScheme, String> {
    match (add_prefix_space, prepend_scheme) {
        (Some(false), None | Some(PrependScheme::First | PrependScheme::Always)) => {
            Err("its Metaspace step has add_prefix_space and prepend_scheme that disagree"
                .to_owned())
        }
        (_, scheme) => Ok(scheme.unwrap_or(PrependScheme::Always)),
    }
}
