//! The writer of the formats that are JSON.

use serde_json::Value;

use super::{ListSink, ListWriter, Note, WriteError};
use crate::nbest::parse::Names;
use crate::nbest::writer::{Field, Omitted, UniqueIds, append, finite};
use crate::nbest::{Extra, Hypothesis, Utterance, write};

/// What is around the lists of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    /// A list is a line.
    Lines,
    /// A list is an element of the file's list.
    List,
    /// A list is a member of the file's object, by its id.
    Members,
}

/// How a format writes a list.
pub(super) trait Form {
    /// The name of the format.
    const FORMAT: &'static str;

    /// What is around the lists.
    const AROUND: Around = Around::Lines;

    /// What the format has a place for.
    const PLACES: &'static [Field];

    /// Keys of a list that its readers understand, so that an unknown key cannot have them.
    const RESERVED: &'static [&'static str];

    /// Whether a key is one of them.
    fn is_reserved(key: &str) -> bool {
        Self::RESERVED.contains(&key)
    }

    /// Writes the known keys. What it cannot write, it adds to `omitted`.
    fn write(utterance: &Utterance, object: &mut Object, omitted: &mut Omitted);
}

/// What a format of one object for each hypothesis has a place for.
pub(super) const EVERYTHING: &[Field] = &[
    Field::Reference,
    Field::Alternative,
    Field::Score,
    Field::Part,
    Field::Lm,
    Field::Total,
    Field::Key,
    Field::HypothesisKey,
];

/// Writes the lists of a format.
pub(super) struct Writer<F> {
    form: std::marker::PhantomData<F>,
    omitted: Omitted,
    ids: UniqueIds,
    begun: bool,
}

impl<F: Form + 'static> Writer<F> {
    pub(super) fn boxed() -> Box<dyn ListWriter> {
        Box::new(Self {
            form: std::marker::PhantomData,
            omitted: Omitted::default(),
            ids: UniqueIds::default(),
            begun: false,
        })
    }

    fn opening(&self) -> &'static [u8] {
        match F::AROUND {
            Around::Lines => b"",
            _ if self.begun => b",\n",
            Around::List => b"[\n",
            Around::Members => b"{\n",
        }
    }
}

impl<F: Form + 'static> ListWriter for Writer<F> {
    fn write(&mut self, utterance: &Utterance, sink: &mut dyn ListSink) -> Result<(), WriteError> {
        finite(utterance, F::FORMAT)?;
        let mut text = self.opening().to_vec();
        if F::AROUND == Around::Members {
            self.ids.add(utterance, F::FORMAT)?;
            text.extend(Value::from(&*utterance.id).to_string().bytes());
            text.extend(b": ");
        }
        let mut object = Object::default();
        F::write(utterance, &mut object, &mut self.omitted);
        let lost = object.extra(&utterance.extra, F::is_reserved);
        self.omitted.count(utterance, F::PLACES);
        self.omitted.add(Field::Key, lost);
        text.extend(object.end().bytes());
        if F::AROUND == Around::Lines {
            text.push(b'\n');
        }
        append(sink, "", &text)?;
        self.begun = true;
        Ok(())
    }

    fn finish(&mut self, sink: &mut dyn ListSink) -> Result<Vec<Note>, WriteError> {
        let end: &[u8] = match F::AROUND {
            Around::Lines => b"",
            Around::List if self.begun => b"\n]\n",
            Around::List => b"[]\n",
            Around::Members if self.begun => b"\n}\n",
            Around::Members => b"{}\n",
        };
        append(sink, "", end)?;
        Ok(self.omitted.notes(F::FORMAT))
    }
}

/// An object that is being written.
#[derive(Default)]
pub(super) struct Object {
    text: String,
    keys: Vec<String>,
}

impl Object {
    /// Writes a key with its value as JSON text.
    pub(super) fn raw(&mut self, key: &str, json: &str) {
        self.text.push(if self.keys.is_empty() { '{' } else { ',' });
        self.text.push_str(&Value::from(key).to_string());
        self.text.push(':');
        self.text.push_str(json);
        self.keys.push(key.to_owned());
    }

    /// Writes a string.
    pub(super) fn string(&mut self, key: &str, text: &str) {
        self.raw(key, &Value::from(text).to_string());
    }

    /// Writes the id and the reference under these keys.
    pub(super) fn named(&mut self, utterance: &Utterance, id: &str, reference: &str) {
        self.string(id, &utterance.id);
        if let Some(text) = &utterance.reference {
            self.string(reference, text);
        }
    }

    /// Writes a list of JSON texts.
    pub(super) fn list(&mut self, key: &str, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        self.raw(key, &format!("[{}]", values.join(",")));
    }

    /// Writes the texts of all hypotheses.
    pub(super) fn texts(&mut self, key: &str, utterance: &Utterance) {
        let texts = utterance.hypotheses.iter().map(|hypothesis| &*hypothesis.text);
        self.list(key, texts.map(|text| Value::from(text).to_string()));
    }

    /// Writes a number or null for each hypothesis, unless all are null. Returns whether it did.
    pub(super) fn numbers(
        &mut self,
        key: &str,
        utterance: &Utterance,
        number: impl Fn(&Hypothesis) -> Option<f64>,
    ) -> bool {
        let values: Vec<Option<f64>> = utterance.hypotheses.iter().map(number).collect();
        let some = values.iter().any(Option::is_some);
        if some {
            self.list(key, values.into_iter().map(|value| Value::from(value).to_string()));
        }
        some
    }

    /// Writes what rescoring adds.
    pub(super) fn rescored(&mut self, utterance: &Utterance) {
        self.numbers("lm", utterance, |hypothesis| hypothesis.lm);
        self.numbers("total", utterance, |hypothesis| hypothesis.total);
    }

    /// Writes the unknown key `from` of the hypotheses as a list, with null for those that have none, unless none has it.
    pub(super) fn column(&mut self, key: &str, from: &str, utterance: &Utterance) {
        let values = utterance.hypotheses.iter().map(|hypothesis| hypothesis.extra.get(from));
        if values.clone().any(|value| value.is_some()) {
            self.list(key, values.map(|value| value.unwrap_or("null").to_owned()));
        }
    }

    /// Writes the hypotheses as objects.
    pub(super) fn hypotheses(&mut self, key: &str, utterance: &Utterance, names: Names) {
        let object = |(at, hypothesis): (usize, &Hypothesis)| hypothesis_of(hypothesis, at, names);
        self.list(key, utterance.hypotheses.iter().enumerate().map(object));
    }

    /// Writes unknown keys, and returns the number of those that have a name of the format.
    fn extra(&mut self, extra: &Extra, reserved: impl Fn(&str) -> bool) -> usize {
        let mut lost = 0;
        for (key, json) in extra.iter() {
            if reserved(key) {
                lost += 1;
            } else if !self.keys.iter().any(|known| known == key) {
                self.raw(key, json);
            }
        }
        lost
    }

    fn end(self) -> String {
        if self.keys.is_empty() { "{}".to_owned() } else { self.text + "}" }
    }
}

/// A hypothesis as an object. Its scores are finite.
pub(super) fn hypothesis_of(hypothesis: &Hypothesis, at: usize, names: Names) -> String {
    let mut text = Vec::new();
    let written = write::hypothesis(&mut text, "", at + 1, hypothesis, names);
    debug_assert!(written.is_ok(), "{written:?}");
    String::from_utf8(text).unwrap_or_default()
}
