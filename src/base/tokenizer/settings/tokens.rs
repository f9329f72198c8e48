//! The tokens in the files of settings: by name, by id, and in lists.

use serde_json::{Map, Value};

use super::{ADDED, CONFIG, NAMED, setting, short};
use crate::base::BaseError;
use crate::base::tokenizer::added::AddedToken;
use crate::bounds::MAX_ADDED_TOKENS;

/// Tokens in the order of their ids, of which each occurs once.
pub type ById = Vec<(u64, AddedToken)>;

/// Puts a token in its place, or in place of the one with its id. There are few, and a map would be more code.
pub fn put(tokens: &mut ById, id: u64, token: AddedToken) {
    match tokens.iter().rposition(|(other, _)| *other <= id) {
        Some(place) if tokens[place].0 == id => tokens[place].1 = token,
        place => tokens.insert(place.map_or(0, |place| place + 1), (id, token)),
    }
}

/// `added_tokens_decoder`: tokens by id.
pub fn decoder(value: &Value) -> Result<ById, BaseError> {
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
pub fn added(
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

/// Named special tokens with their keys: those of the class by default, and those that only this base has.
pub fn named(
    map: &Map<String, Value>,
    file: &'static str,
    defaults: &[(&'static str, &'static str)],
) -> Result<Vec<(String, AddedToken)>, BaseError> {
    let mut tokens = Vec::new();
    for key in NAMED {
        let default = defaults.iter().find_map(|(known, name)| (*known == key).then_some(*name));
        match (map.get(key), default) {
            (None, None) | (Some(Value::Null), None) => {}
            (None, Some(default)) => tokens.push((key.to_owned(), AddedToken::special(default))),
            (Some(Value::Null), Some(_))
                if matches!(key, "pad_token" | "mask_token" | "bos_token" | "eos_token") => {}
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
pub fn extra(map: &Map<String, Value>, file: &'static str) -> Result<Vec<AddedToken>, BaseError> {
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
pub fn in_special_map(value: Value) -> Value {
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

fn check_count(count: usize) -> Result<(), String> {
    if count > MAX_ADDED_TOKENS {
        return Err(format!("has {count} entries; expected at most {MAX_ADDED_TOKENS}"));
    }
    Ok(())
}
