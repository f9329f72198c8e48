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
//! Versions 4 and 5 keep the rules of a `tokenizer.json` whose class is `PreTrainedTokenizerFast` or unknown to them; so
//! does LoRB. If the class is `BertTokenizer`, but the file has other rules than BERT's, version 4 keeps the rules, while
//! version 5 replaces them and fails for Unigram. There, LoRB does what version 4 does, and a note says it.

use serde_json::{Map, Value};

use super::TokenizerFiles;
use super::added::{AddedToken, NumberedToken};
use super::normalize::Rules;
use crate::base::{BaseError, BertConfig, arch};
use crate::bounds::{MAX_ADDED_TOKENS, MAX_JSON_BYTES};
use crate::foreign::{Expected, Foreign};

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

/// Tokens in the order of their ids, of which each occurs once.
type ById = Vec<(u64, AddedToken)>;

/// Puts a token in its place, or in place of the one with its id. There are few, and a map would be more code.
fn put(tokens: &mut ById, id: u64, token: AddedToken) {
    match tokens.iter().rposition(|(other, _)| *other <= id) {
        Some(place) if tokens[place].0 == id => tokens[place].1 = token,
        place => tokens.insert(place.map_or(0, |place| place + 1), (id, token)),
    }
}

/// The settings, checked.
#[derive(Debug)]
pub struct Settings {
    /// Whether the class is `BertTokenizer`; otherwise a `tokenizer.json` has all rules.
    pub bert: bool,
    /// The name of the class, if a file states it.
    pub class: Option<String>,
    pub rules: Rules,
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
    pub start: String,
    pub end: String,
    pub mask: String,
}

impl Settings {
    pub fn read(files: &TokenizerFiles<'_>, config: &BertConfig) -> Result<Self, BaseError> {
        let mut map = object(files.config, CONFIG)?;
        let class = text(&map, "tokenizer_class")?.map(str::to_owned);
        let class = class.or_else(|| config.tokenizer_class.clone());
        let bert = match &class {
            Some(class) => is_bert(class)?,
            None => config.architecture.tokenizer.kind == arch::TokenizerKind::WordPiece,
        };
        refuse(&map)?;
        let rules = Rules::new(
            flag(&map, "do_lower_case")?.unwrap_or(true),
            flag(&map, "strip_accents")?,
            flag(&map, "tokenize_chinese_chars")?.unwrap_or(true),
        );
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
        let defaults =
            defaults(names).into_iter().filter(|(key, _)| bert && !map.contains_key(*key));
        let unstated: Vec<_> = defaults.map(|(_, name)| name).collect();
        let named = named(&map, source, bert.then_some(names))?;
        let of = |key: &str, default: &str| {
            let found = named.iter().find(|(known, _)| known == key);
            found.map_or(default, |(_, token)| &token.content).to_owned()
        };
        let names = Names {
            unknown: of("unk_token", names.unknown),
            start: of("cls_token", names.start),
            end: of("sep_token", names.end),
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
        Ok(Self { bert, class, rules, names, limit, decoder, added, special, named, unstated })
    }

    /// The tokens that Transformers adds to a new tokenizer of the class `BertTokenizer`, in this order. `file` are those of
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
        let stated: Vec<_> = by_id.into_iter().map(|(_, token)| token).collect();
        let count = stated.len();
        let mut tokens = self.with_special(stated);
        let mut place = 0;
        tokens.retain(|token| {
            place += 1;
            let content = token.content.as_str();
            place <= count || known(content) || !self.unstated.contains(&content)
        });
        tokens
    }

    /// The tokens that Transformers adds to a tokenizer that has those of its `tokenizer.json`, all in this order.
    pub fn tokens_after(&self, mut file: Vec<AddedToken>) -> Vec<AddedToken> {
        let added = self.decoder.as_ref().unwrap_or(&self.added);
        file.extend(added.iter().map(|(_, token)| token.clone()));
        self.with_special(file)
    }

    fn with_special(&self, mut tokens: Vec<AddedToken>) -> Vec<AddedToken> {
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
        tokens
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

fn is_bert(class: &str) -> Result<bool, BaseError> {
    let name = class.strip_suffix("Fast").unwrap_or(class);
    if let Some((_, why)) = REFUSED_CLASSES.iter().find(|(refused, _)| *refused == name) {
        return Err(setting(CONFIG, "tokenizer_class", format!("is {class:?}, {why}")));
    }
    Ok(BERT_CLASSES.contains(&name))
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

/// `added_tokens_decoder`: tokens by id.
fn decoder(value: &Value) -> Result<ById, BaseError> {
    let key = "added_tokens_decoder";
    let wrong = |what: String| setting(CONFIG, key, what);
    let Value::Object(map) = value else {
        return Err(wrong(format!("is {}; expected tokens by id", short(value))));
    };
    check_count(map.len()).map_err(wrong)?;
    let mut tokens = ById::new();
    for (id, value) in map {
        let number =
            id.parse().map_err(|_| wrong(format!("has the id {id:?}; expected digits")))?;
        if !value.is_object() {
            return Err(wrong(format!("has {} for id {id}; expected an object", short(value))));
        }
        put(&mut tokens, number, token(CONFIG, key, value)?);
    }
    Ok(tokens)
}

/// The tokens of `added_tokens.json`, by id. They are special if a file names them as special.
fn added(
    file: Map<String, Value>,
    map: &Map<String, Value>,
    extra: &[AddedToken],
) -> Result<ById, BaseError> {
    check_count(file.len()).map_err(|what| setting(ADDED, "it", what))?;
    let mut tokens = ById::new();
    for (content, id) in file {
        let Some(id) = id.as_u64() else {
            let what = format!("is {}; expected its id", short(&id));
            return Err(setting(ADDED, &content, what));
        };
        // Names that no file states do not count here, as in Transformers.
        let stated = NAMED.iter().filter_map(|key| map.get(*key).and_then(content_of));
        let special = stated.chain(extra.iter().map(|token| token.content.as_str()));
        let special = special.into_iter().any(|name| name == content);
        let (single_word, lstrip, rstrip, normalized) = (false, false, false, !special);
        let token = AddedToken { content, single_word, lstrip, rstrip, normalized, special };
        put(&mut tokens, id, token);
    }
    Ok(tokens)
}

/// The special tokens of `BertTokenizer` by their keys.
fn defaults(names: &arch::Tokenizer) -> [(&'static str, &'static str); 5] {
    let arch::Tokenizer { padding, unknown, start, end, mask, .. } = *names;
    [
        ("unk_token", unknown),
        ("sep_token", end),
        ("pad_token", padding),
        ("cls_token", start),
        ("mask_token", mask),
    ]
}

/// Named special tokens with their keys: BERT's five by default, and those that only this base has.
fn named(
    map: &Map<String, Value>,
    file: &'static str,
    names: Option<&arch::Tokenizer>,
) -> Result<Vec<(String, AddedToken)>, BaseError> {
    let mut tokens = Vec::new();
    for key in NAMED {
        let default = names.and_then(|names| {
            defaults(names).into_iter().find_map(|(known, name)| (known == key).then_some(name))
        });
        match (map.get(key), default) {
            (None, None) | (Some(Value::Null), None) => {}
            (None, Some(default)) => tokens.push((key.to_owned(), AddedToken::special(default))),
            (Some(Value::Null), Some(_)) if matches!(key, "pad_token" | "mask_token") => {}
            (Some(value), _) => tokens.push((key.to_owned(), token(file, key, value)?)),
        }
    }
    let own = map.iter().filter(|(key, value)| {
        key.ends_with("_token")
            && !NAMED.contains(&key.as_str())
            && (value.is_string() || is_token(value))
    });
    for (key, value) in own {
        tokens.push((key.clone(), token(file, key, value)?));
    }
    if let Some(Value::Object(more)) = map.get("extra_special_tokens") {
        for (key, value) in more {
            tokens.push((key.clone(), token(file, key, value)?));
        }
    }
    Ok(tokens)
}

/// `extra_special_tokens`, or `additional_special_tokens` as it was called.
fn extra(map: &Map<String, Value>, file: &'static str) -> Result<Vec<AddedToken>, BaseError> {
    let key = "extra_special_tokens";
    match map.get(key) {
        None | Some(Value::Null | Value::Object(_)) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(|value| token(file, key, value)).collect(),
        Some(other) => {
            Err(setting(file, key, format!("is {}; expected a list of tokens", short(other))))
        }
    }
}

/// A token of `special_tokens_map.json`, which does not say that it is special.
fn in_special_map(value: Value) -> Value {
    match value {
        Value::Object(mut token) if token.contains_key("content") => {
            token.insert("special".to_owned(), Value::Bool(true));
            Value::Object(token)
        }
        Value::Array(list) => Value::Array(list.into_iter().map(in_special_map).collect()),
        other => other,
    }
}

/// A token: its text, or an object that also says where it is found.
fn token(file: &'static str, key: &str, value: &Value) -> Result<AddedToken, BaseError> {
    if let Value::String(content) = value {
        return Ok(AddedToken::special(content));
    }
    let wrong = |what: &str| setting(file, key, format!("is {}; expected {what}", short(value)));
    let Value::Object(map) = value else { return Err(wrong("a token")) };
    let content = map.get("content").and_then(Value::as_str);
    let content = content.ok_or_else(|| wrong("a token with `content`"))?.to_owned();
    let flag = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(wrong(&format!("true or false for `{name}`"))),
    };
    let special = flag("special")?.unwrap_or(false);
    Ok(AddedToken {
        content,
        single_word: flag("single_word")?.unwrap_or(false),
        lstrip: flag("lstrip")?.unwrap_or(false),
        rstrip: flag("rstrip")?.unwrap_or(false),
        normalized: flag("normalized")?.unwrap_or(!special),
        special,
    })
}

fn is_token(value: &Value) -> bool {
    value.get("content").is_some()
}

fn content_of(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn check_count(count: usize) -> Result<(), String> {
    if count > MAX_ADDED_TOKENS {
        return Err(format!("has {count} entries; expected at most {MAX_ADDED_TOKENS}"));
    }
    Ok(())
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
