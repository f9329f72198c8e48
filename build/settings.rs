//! Generates the Rust code of the training settings (the struct, its defaults and the table) from
//! `src/train/settings.json`.

use std::fmt::Write;
use std::path::Path;
use std::{fmt, fs};

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    name: String,
    r#type: String,
    default: Value,
    /// Shown in place of the default.
    default_note: Option<String>,
    /// An interval, such as `[0, 1)` or `(0, inf)`.
    range: Option<String>,
    expected: Option<String>,
    help: String,
    detail: Option<String>,
}

pub fn generate(path: &Path) -> Result<String, String> {
    let at = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| at(&error))?;
    let settings: Vec<Setting> = serde_json::from_str(&text).map_err(|error| at(&error))?;
    let (mut fields, mut defaults, mut entries) = (String::new(), String::new(), String::new());
    for setting in &settings {
        let named = |error: String| at(&format!("{}: {error}", setting.name));
        let name = &setting.name;
        let default = default(&setting.r#type, &setting.default).map_err(named)?;
        for line in doc(setting).lines() {
            add(&mut fields, format_args!("#[doc = {:?}]\n", format!(" {line}")));
        }
        add(&mut fields, format_args!("pub {name}: {},\n", setting.r#type));
        add(&mut defaults, format_args!("{name}: {default},\n"));
        let range = setting.range.as_deref().map(range).transpose().map_err(named)?;
        add(
            &mut entries,
            format_args!(
                "Setting {{ name: {name:?}, option: {:?}, flag: {:?}, help: {:?}, kind: <{} as Field>::KIND, \
                 default: {:?}, default_note: {:?}, range: {}, expected: {:?}, \
                 parse: |config, text| Field::parse(text).map(|value| config.{name} = value), \
                 read: |config, value| read(value).map(|value| config.{name} = value), \
                 show: |config| Field::show(&config.{name}), \
                 number: |config| Field::number(&config.{name}) }},\n",
                camel(name),
                name.replace('_', "-"),
                setting.help,
                setting.r#type,
                shown(&setting.default),
                setting.default_note,
                range.unwrap_or_else(|| "Range::ALL".to_owned()),
                setting.expected.as_deref().unwrap_or_default(),
            ),
        );
    }
    Ok(format!(
        "/// Settings of a training run. `settings.json` defines them; [`SETTINGS`] describes them.\n\
         #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]\n\
         #[serde(deny_unknown_fields, default)]\n\
         pub struct TrainConfig {{\n{fields}}}\n\n\
         impl Default for TrainConfig {{\nfn default() -> Self {{\nSelf {{\n{defaults}}}\n}}\n}}\n\n\
         /// Every setting of [`TrainConfig`], in the order of its fields.\n\
         pub static SETTINGS: [Setting; {}] = [\n{entries}];\n",
        settings.len()
    ))
}

/// Writing to a string cannot fail.
fn add(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("strings grow");
}

/// Documentation of a field: help, detail, range and default.
fn doc(setting: &Setting) -> String {
    let mut text = format!("{}.", setting.help);
    if let Some(detail) = &setting.detail {
        text = format!("{text} {detail}");
    }
    let default = setting.default_note.clone().unwrap_or_else(|| shown(&setting.default));
    match &setting.range {
        Some(range) => format!("{text}\n\nRange: `{range}`. Default: {default}."),
        None => format!("{text}\n\nDefault: {default}."),
    }
}

/// A default in readable form.
fn shown(default: &Value) -> String {
    match default {
        Value::Null => String::new(),
        Value::String(name) => name.clone(),
        other => other.to_string(),
    }
}

/// The Rust expression of a default.
fn default(r#type: &str, default: &Value) -> Result<String, String> {
    if let Some(inner) = r#type.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return match default {
            Value::Null => Ok("None".to_owned()),
            some => Ok(format!("Some({})", self::default(inner, some)?)),
        };
    }
    match (r#type, default) {
        ("f32" | "f64", Value::Number(number)) => {
            Ok(format!("{:?}", number.as_f64().unwrap_or(f64::NAN)))
        }
        ("usize" | "u64", Value::Number(number)) if number.is_u64() => Ok(number.to_string()),
        ("bool", Value::Bool(value)) => Ok(value.to_string()),
        (r#enum, Value::String(name)) => Ok(format!("{enum}::{}", pascal(name))),
        (r#type, other) => Err(format!("the default {other} does not fit the type {type}")),
    }
}

/// The Rust expression of an interval.
fn range(interval: &str) -> Result<String, String> {
    let parsed = || {
        let (low, high) = interval.split_once(',')?;
        let low_open =
            low.starts_with('(').then_some(true).or(low.starts_with('[').then_some(false))?;
        let high_open =
            high.ends_with(')').then_some(true).or(high.ends_with(']').then_some(false))?;
        let bound = |text: &str| text.trim_matches(['[', '(', ')', ']', ' ']).parse::<f64>().ok();
        Some((bound(low)?, low_open, bound(high)?, high_open))
    };
    let (low, low_open, high, high_open) =
        parsed().ok_or_else(|| format!("{interval:?} is not an interval such as [0, 1)"))?;
    let high = if high.is_infinite() { "f64::INFINITY".to_owned() } else { format!("{high:?}") };
    Ok(format!(
        "Range {{ low: {low:?}, low_open: {low_open}, high: {high}, high_open: {high_open} }}"
    ))
}

/// `label_smoothing` as `labelSmoothing`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + &pascal(part))
}

fn pascal(name: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters
            .next()
            .map(|c| c.to_ascii_uppercase())
            .into_iter()
            .chain(letters)
            .collect::<String>()
    };
    name.split(['_', '-']).map(capital).collect()
}
