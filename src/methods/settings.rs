//! Settings of methods, each defined once: flags, JSON options, files and errors use the same definition.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::ModelError;

/// A setting of one or more methods.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name in studies, such as `prefix_length`.
    pub name: &'static str,
    /// Name of the flag, without the two dashes, such as `prefix-length`.
    pub flag: &'static str,
    /// Name in JSON options, such as `prefixLength`.
    pub option: &'static str,
    /// Name in `adapter_config.json` and in errors, such as `length`.
    pub key: &'static str,
    /// What the value is.
    pub kind: SettingKind,
    /// One or two lines of help, with the default.
    pub help: &'static str,
    /// Heading of the setting in help texts.
    pub heading: &'static str,
}

/// The type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// A whole number.
    Count,
    /// A number.
    Number,
    /// On or off.
    Switch,
    /// A list of names.
    Names,
    /// A list of whole numbers.
    Counts,
}

impl SettingKind {
    /// The TypeScript type of the setting's option.
    #[must_use]
    pub fn type_script(self) -> &'static str {
        match self {
            Self::Count | Self::Number => "number",
            Self::Switch => "boolean",
            Self::Names => "string[]",
            Self::Counts => "number[]",
        }
    }

    /// What a value of this type is, for errors.
    fn expected(self) -> &'static str {
        match self {
            Self::Count => "a whole number",
            Self::Number => "a number",
            Self::Switch => "true or false",
            Self::Names => "a list of names",
            Self::Counts => "a list of whole numbers",
        }
    }
}

/// The settings that were given for a method, by [`Setting::name`]. What is not given has its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(BTreeMap<&'static str, Value>);

impl Settings {
    /// None given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These settings and one more, which replaces an earlier value.
    #[must_use]
    pub fn with(mut self, setting: &Setting, value: impl Into<Value>) -> Self {
        self.0.insert(setting.name, value.into());
        self
    }

    /// These settings and one more, unless it is given already.
    #[must_use]
    pub fn or(self, setting: &Setting, value: impl Into<Value>) -> Self {
        if self.0.contains_key(setting.name) { self } else { self.with(setting, value) }
    }

    /// Whether a setting is given.
    #[must_use]
    pub fn is_set(&self, setting: &Setting) -> bool {
        self.0.contains_key(setting.name)
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`ModelError::Setting`] if it has another type. The same applies to the functions below.
    pub fn count(&self, setting: &Setting) -> Result<Option<usize>, ModelError> {
        self.get(setting, |value| value.as_u64().and_then(|n| usize::try_from(n).ok()))
    }

    /// A number.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn number(&self, setting: &Setting) -> Result<Option<f32>, ModelError> {
        self.get(setting, |value| value.as_f64().map(|x| x as f32))
    }

    /// On or off.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn switch(&self, setting: &Setting) -> Result<Option<bool>, ModelError> {
        self.get(setting, Value::as_bool)
    }

    /// A list of names.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn names_of(&self, setting: &Setting) -> Result<Option<Vec<String>>, ModelError> {
        let name = |value: &Value| value.as_str().map(str::to_owned);
        self.get(setting, |value| value.as_array()?.iter().map(name).collect())
    }

    /// A list of whole numbers.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub fn counts(&self, setting: &Setting) -> Result<Option<Vec<usize>>, ModelError> {
        let count = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        self.get(setting, |value| value.as_array()?.iter().map(count).collect())
    }

    fn get<T>(
        &self,
        setting: &Setting,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, ModelError> {
        match self.0.get(setting.name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| ModelError::Setting {
                setting: setting.key,
                what: format!("is {value}; expected {}", setting.kind.expected()),
            }),
        }
    }
}

/// A finite number as JSON. Infinity and NaN become text, which no numeric setting accepts.
#[must_use]
pub fn number_value(number: f32) -> Value {
    if number.is_finite() { json!(number) } else { json!(number.to_string()) }
}
