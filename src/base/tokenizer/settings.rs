//! The settings of a tokenizer in the files next to its vocabulary, and which file counts where they disagree.
//!
//! Transformers reads `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` in addition to
//! `tokenizer.json` or `vocab.txt`. LoRB does what version 5 does (5.23.0: `_from_pretrained` in
//! `tokenization_utils_base.py`, `convert_to_native_format` and `__init__` in `tokenization_utils_tokenizers.py`,
//! `tokenization_bert.py`, `tokenization_auto.py`). For the class `BertTokenizer`:
//!
//! | what | which file counts | version 4, fast | version 4, slow |
//! |---|---|---|---|
//! | class | `tokenizer_config.json`, else `config.json`, else the class of the model type | the same | the same |
//! | vocabulary | `tokenizer.json`, else `vocab.txt` | the same | `vocab.txt` |
//! | case, accents, Chinese characters | `tokenizer_config.json`, and its defaults for missing keys, never `tokenizer.json` | the same | the same |
//! | tokens around a text, unknown and mask token | names in `special_tokens_map.json`, else `tokenizer_config.json`, else BERT's | those of `tokenizer.json`, except the mask | as here |
//! | added tokens | `added_tokens_decoder` of `tokenizer_config.json`; without it, those of `tokenizer.json` replace those of `added_tokens.json` with the same id | in addition to those of `tokenizer.json` | as here |
//! | `special_tokens_map.json`, `added_tokens.json` | ignored if `tokenizer_config.json` has `added_tokens_decoder` | the same | the same |
//! | ids of added tokens | those of the vocabulary, else the next free ones in the order of the stated ids | the same | the stated ids |
//! | `do_basic_tokenize`, `never_split` | refused: only the slow tokenizer uses them | ignored | used |
//!
//! `RobertaTokenizer`, `XLMRobertaTokenizer` and `CamembertTokenizer` read `tokenizer.json`, else `vocab.json` with `merges.txt`
//! or `sentencepiece.bpe.model` (`general/converted.rs`), with special tokens from the same files and `add_prefix_space` from
//! `tokenizer_config.json` or its default, never from `tokenizer.json`.
//!
//! Versions 4 and 5 keep the rules of a `tokenizer.json` whose class is `PreTrainedTokenizerFast` or unknown to them; so
//! does LoRB. If the class is `BertTokenizer`, but the file has other rules than BERT's, version 4 keeps the rules, while
//! version 5 replaces them and fails for Unigram. There, LoRB does what version 4 does, and a note says it.

mod tokens;

use serde_json::{Map, Value};

use super::TokenizerFiles;
use super::added::{AddedToken, NumberedToken};
use super::normalize::Rules;
use crate::base::{BaseError, BertConfig, arch};
use crate::bounds::{MAX_ADDED_TOKENS, MAX_JSON_BYTES};
use crate::foreign::{Expected, Foreign};
use tokens::{ById, added, decoder, extra, in_special_map, named, put};

pub const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";

/// The keys of named special tokens, in the order in which Transformers adds them.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Classes of Transformers that are `BertTokenizer` under another name.
const BERT_CLASSES: [&str; 6] = [
    "BertTokenizer",
    "DistilBertTokenizer",
    "ConvBertTokenizer",
    "ElectraTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
];

/// Classes whose Python code splits texts, and why LoRB cannot.
const REFUSED_CLASSES: [(&str, &str); 1] = [(
    "BertJapaneseTokenizer",
    "which splits texts with a Japanese dictionary (MeCab, Sudachi or Juman++); use a base with another tokenizer, such as \
     a multilingual one",
)];

/// Classes of Transformers with the same rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `BertTokenizer`.
    Bert,
    /// `RobertaTokenizer`: byte-level BPE.
    Roberta,
    /// `XLMRobertaTokenizer`: Unigram.
    XlmRoberta,
    /// `CamembertTokenizer`: Unigram with other special tokens.
    Camembert,
    /// Any other class: a `tokenizer.json` has all rules.
    Other,
}

/// The settings, checked.
#[derive(Debug)]
pub struct Settings {
    pub family: Family,
    /// The name of the class, if a file states it.
    pub class: Option<String>,
    pub rules: Rules,
    /// `add_prefix_space`, or the default of the class; `None` for classes without it.
    pub prefix: Option<bool>,
    pub names: Names,
    /// Longest text in tokens (`model_max_length`).
    pub limit: Option<usize>,
    /// `added_tokens_decoder`.
    decoder: Option<ById>,
    /// `added_tokens.json`.
    added: ById,
    /// Named special tokens, then further ones.
    special: Vec<AddedToken>,
    /// How many of them are named.
    named: usize,
    /// Names of BERT's that no file states. Transformers would add them to a vocabulary that lacks them, without rows in
    /// the embedding.
    unstated: Vec<&'static str>,
}

/// The names of special tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub unknown: String,
    pub padding: String,
    pub start: String,
    pub end: String,
    pub mask: String,
}

impl Settings {
    pub fn read(files: &TokenizerFiles<'_>, config: &BertConfig) -> Result<Self, BaseError> {
        let mut map = object(files.config, CONFIG)?;
        let class = text(&map, "tokenizer_class")?.map(str::to_owned);
        let class = class.or_else(|| config.tokenizer_class.clone());
        let family = match &class {
            Some(class) => family(class)?,
            None if config.architecture.tokenizer.kind == arch::TokenizerKind::WordPiece => {
                Family::Bert
            }
            None => Family::Other,
        };
        refuse(&map)?;
        let rules = Rules::new(
            flag(&map, "do_lower_case")?.unwrap_or(true),
            flag(&map, "strip_accents")?,
            flag(&map, "tokenize_chinese_chars")?.unwrap_or(true),
        );
        let prefix = match family {
            Family::Bert | Family::Other => None,
            Family::Roberta => Some(flag(&map, "add_prefix_space")?.unwrap_or(false)),
            Family::XlmRoberta | Family::Camembert => {
                Some(flag(&map, "add_prefix_space")?.unwrap_or(true))
            }
        };
        let limit = limit(&map)?;
        let decoder = map.get("added_tokens_decoder").map(decoder).transpose()?;
        if let Some(list) = map.shift_remove("additional_special_tokens")
            && map.get("extra_special_tokens").is_none_or(is_nothing)
        {
            map.insert("extra_special_tokens".to_owned(), list);
        }
        let mut source = CONFIG;
        if decoder.is_none() {
            if files.special_tokens.is_some() {
                source = SPECIAL;
            }
            for (key, value) in object(files.special_tokens, SPECIAL)? {
                let key = match key.as_str() {
                    "additional_special_tokens" if !map.contains_key("extra_special_tokens") => {
                        "extra_special_tokens".to_owned()
                    }
                    "additional_special_tokens" => continue,
                    _ => key,
                };
                map.insert(key, in_special_map(value));
            }
        }
        let names = &config.architecture.tokenizer;
        let defaults = defaults(family, names);
        let unstated = defaults.iter().filter(|(key, _)| !map.contains_key(*key));
        let unstated: Vec<_> = unstated.map(|(_, name)| *name).collect();
        let mut named = named(&map, source, &defaults)?;
        // CamemBERT's class looks for its mask with the white space before it, unless a file says more than its text.
        if family == Family::Camembert && !map.get("mask_token").is_some_and(Value::is_object) {
            named
                .iter_mut()
                .filter(|(key, _)| key == "mask_token")
                .for_each(|(_, t)| t.lstrip = true);
        }
        let of = |key: &str, default: &str| {
            let found = named.iter().find(|(known, _)| known == key);
            found.map_or(default, |(_, token)| &token.content).to_owned()
        };
        let (start, end) = match family {
            Family::XlmRoberta | Family::Camembert => ("bos_token", "eos_token"),
            _ => ("cls_token", "sep_token"),
        };
        let names = Names {
            unknown: of("unk_token", names.unknown),
            padding: of("pad_token", names.padding),
            start: of(start, names.start),
            end: of(end, names.end),
            mask: of("mask_token", names.mask),
        };
        let mut special: Vec<_> = named.into_iter().map(|(_, token)| token).collect();
        let count = special.len();
        special.extend(extra(&map, source)?);
        if special.len() > MAX_ADDED_TOKENS {
            let what = format!("has more than {MAX_ADDED_TOKENS} entries");
            return Err(setting(source, "extra_special_tokens", what));
        }
        let added = match &decoder {
            Some(_) => ById::new(),
            None => added(object(files.added_tokens, ADDED)?, &map, &special[count..])?,
        };
        refuse_split(&map, &special)?;
        let named = count;
        Ok(Self {
            family,
            class,
            rules,
            prefix,
            names,
            limit,
            decoder,
            added,
            special,
            named,
            unstated,
        })
    }

    /// Further special tokens, if no file states any.
    pub fn with_extra(mut self, extra: impl IntoIterator<Item = AddedToken>) -> Self {
        if self.special.len() == self.named {
            self.special.extend(extra);
        }
        self
    }

    /// The tokens that Transformers adds to a new tokenizer of this class, in this order. `file` are those of
    /// `tokenizer.json` with their ids, `known` whether the vocabulary has a token.
    pub fn tokens(
        &self,
        file: Vec<NumberedToken>,
        known: &dyn Fn(&str) -> bool,
    ) -> Vec<AddedToken> {
        let mut by_id = self.added.clone();
        match &self.decoder {
            Some(decoder) => by_id.clone_from(decoder),
            None => file.into_iter().for_each(|added| put(&mut by_id, added.id, added.token)),
        }
        self.with_special(by_id.into_iter().map(|(_, token)| token).collect(), known)
    }

    /// The tokens that Transformers adds to a tokenizer that has those of its `tokenizer.json`, all in this order.
    pub fn tokens_after(
        &self,
        mut file: Vec<AddedToken>,
        known: &dyn Fn(&str) -> bool,
    ) -> Vec<AddedToken> {
        let added = self.decoder.as_ref().unwrap_or(&self.added);
        file.extend(added.iter().map(|(_, token)| token.clone()));
        self.with_special(file, known)
    }

    fn with_special(
        &self,
        mut tokens: Vec<AddedToken>,
        known: &dyn Fn(&str) -> bool,
    ) -> Vec<AddedToken> {
        let count = tokens.len();
        let (named, extra) = self.special.split_at(self.named);
        for token in &mut tokens {
            token.special |= named.iter().any(|other| other.content == token.content);
        }
        for token in named.iter().chain(extra) {
            if !tokens.iter().any(|other| other.content == token.content) {
                let special = token.special || named.iter().any(|other| other == token);
                tokens.push(AddedToken { special, ..token.clone() });
            }
        }
        let mut place = 0;
        tokens.retain(|token| {
            place += 1;
            let content = token.content.as_str();
            place <= count || known(content) || !self.unstated.contains(&content)
        });
        tokens
    }

    /// That a `tokenizer.json` says something else about the space before a text, which does not count.
    pub fn prefix_note(&self, has_config: bool) -> String {
        let class = self.class.as_deref().unwrap_or_default();
        let counts = self.prefix.unwrap_or_default();
        let source = if has_config { CONFIG } else { "the default" };
        format!(
            "tokenizer.json and {source} disagree about `add_prefix_space`; {counts} counts, as in Transformers' {class}"
        )
    }

    /// What a `tokenizer.json` with these rules says that does not count.
    pub fn overruled(&self, file: Rules, has_config: bool) -> Option<String> {
        let keys = file.differences(self.rules);
        if keys.is_empty() {
            return None;
        }
        let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
        Some(if has_config {
            format!(
                "tokenizer.json and {CONFIG} disagree about {keys}; {CONFIG} and its defaults count, as in \
                 Transformers"
            )
        } else {
            format!(
                "tokenizer.json differs from BERT's defaults in {keys}; without a {CONFIG}, the defaults count, as in \
                 Transformers"
            )
        })
    }
}

fn family(class: &str) -> Result<Family, BaseError> {
    let name = class.strip_suffix("Fast").unwrap_or(class);
    if let Some((_, why)) = REFUSED_CLASSES.iter().find(|(refused, _)| *refused == name) {
        return Err(setting(CONFIG, "tokenizer_class", format!("is {class:?}, {why}")));
    }
    Ok(match name {
        "RobertaTokenizer" => Family::Roberta,
        "XLMRobertaTokenizer" => Family::XlmRoberta,
        "CamembertTokenizer" => Family::Camembert,
        name if BERT_CLASSES.contains(&name) => Family::Bert,
        _ => Family::Other,
    })
}

/// Rejects settings that change ids and that LoRB does not compute.
fn refuse(map: &Map<String, Value>) -> Result<(), BaseError> {
    let slow = "only Transformers' slow tokenizer, which version 5 no longer has, uses it; remove it if the ids of the \
                fast tokenizer are right";
    let unsupported = |key: &str, what: String| Err(setting(CONFIG, key, what));
    if flag(map, "do_basic_tokenize")? == Some(false) {
        return unsupported("do_basic_tokenize", format!("is false; {slow}"));
    }
    if flag(map, "clean_text")? == Some(false) {
        let what = "is false; Transformers ignores it, so remove it".to_owned();
        return unsupported("clean_text", what);
    }
    if flag(map, "split_special_tokens")? == Some(true) {
        let what = "is true; LoRB reads special tokens in a text as such, so set it to false";
        return unsupported("split_special_tokens", what.to_owned());
    }
    for (key, expected, hint) in [
        ("truncation_side", "right", "LoRB keeps the beginning of a long text"),
        ("wordpieces_prefix", "##", "Transformers ignores it, so remove it"),
        ("word_tokenizer_type", "basic", "LoRB splits texts only as BertTokenizer does"),
        ("subword_tokenizer_type", "wordpiece", "LoRB splits words only as BertTokenizer does"),
    ] {
        if let Some(found) = text(map, key)?.filter(|found| *found != expected) {
            return unsupported(key, format!("is {found:?}; expected {expected:?}: {hint}"));
        }
    }
    if map.get("fast_tokenizer_files").is_some_and(|files| !is_nothing(files)) {
        let what = "is set; rename the right file to tokenizer.json and remove the setting";
        return unsupported("fast_tokenizer_files", what.to_owned());
    }
    Ok(())
}

/// Rejects `never_split`, except for special tokens, which are not split anyway.
fn refuse_split(map: &Map<String, Value>, special: &[AddedToken]) -> Result<(), BaseError> {
    let kept = match map.get("never_split") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(words)) => words.iter().all(|word| {
            word.as_str().is_some_and(|word| special.iter().any(|token| token.content == word))
        }),
        Some(_) => false,
    };
    if kept {
        return Ok(());
    }
    let what = "is set; only Transformers' slow tokenizer uses it; add these words as tokens (added_tokens.json), or \
                remove the setting if the ids of the fast tokenizer are right";
    Err(setting(CONFIG, "never_split", what.to_owned()))
}

/// `model_max_length`, or its old name.
fn limit(map: &Map<String, Value>) -> Result<Option<usize>, BaseError> {
    for key in ["model_max_length", "max_len"] {
        match map.get(key) {
            None | Some(Value::Null) => {}
            Some(value) => {
                // Transformers writes 1e30 for no limit.
                let number =
                    value.as_f64().filter(|number| *number >= 2.0 && number.fract() == 0.0);
                let Some(number) = number else {
                    let what = format!("is {value}; expected an integer of at least 2");
                    return Err(setting(CONFIG, key, what));
                };
                return Ok(Some(number as usize));
            }
        }
    }
    Ok(None)
}

/// The special tokens of a class by their keys.
fn defaults(family: Family, names: &arch::Tokenizer) -> Vec<(&'static str, &'static str)> {
    let arch::Tokenizer { padding, unknown, start, end, mask, .. } = *names;
    let all = [
        ("bos_token", start),
        ("eos_token", end),
        ("unk_token", unknown),
        ("sep_token", end),
        ("pad_token", padding),
        ("cls_token", start),
        ("mask_token", mask),
    ];
    match family {
        Family::Other => Vec::new(),
        // BERT has no tokens of these two keys.
        Family::Bert => all[2..].to_vec(),
        Family::Roberta | Family::XlmRoberta | Family::Camembert => all.to_vec(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The JSON object of a file; empty if there is no file.
fn object(bytes: Option<&[u8]>, file: &'static str) -> Result<Map<String, Value>, BaseError> {
    let Some(bytes) = bytes else { return Ok(Map::new()) };
    if let Some(what) = Foreign::of(bytes, Expected::Text) {
        return Err(BaseError::Foreign { file, what });
    }
    let damaged = |what: String| BaseError::TokenizerJson { file, what };
    if bytes.len() as u64 > MAX_JSON_BYTES {
        let length = bytes.len();
        return Err(damaged(format!("{length} bytes; expected at most {MAX_JSON_BYTES}")));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(other) => Err(damaged(format!("it is {}; expected a JSON object", short(&other)))),
        Err(error) => Err(damaged(format!("not valid JSON: {error}"))),
    }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, BaseError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(setting(CONFIG, key, format!("is {}; expected a text", short(other)))),
    }
}

fn flag(map: &Map<String, Value>, key: &str) -> Result<Option<bool>, BaseError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => {
            Err(setting(CONFIG, key, format!("is {}; expected true or false", short(other))))
        }
    }
}

/// A value for a message.
fn short(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

fn setting(file: &'static str, key: &str, what: String) -> BaseError {
    BaseError::TokenizerSetting { file, key: key.to_owned(), what }
}
