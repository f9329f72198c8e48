//! A student before training: its shape, and the files of a base with the teacher's values in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::error::DistillError;
use super::vocabulary::{Pieces, Vocabulary};
use crate::base::{
    Base, BaseError, BaseFiles, BaseWeights, BertConfig, HostTensor, TokenizerFiles,
    expected_tensors, write_f32,
};
use crate::model::{Random, base_parameters};

/// Deviation of random matrices, BERT's `initializer_range`.
const DEVIATION: f64 = 0.02;

/// The small files of a base, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseBytes {
    /// `config.json`.
    pub config: Vec<u8>,
    tokenizer: Vec<(&'static str, Vec<u8>)>,
}

impl BaseBytes {
    /// Adds a file by its name in the base's folder. Files that are neither the configuration nor of the tokenizer are
    /// left out.
    pub fn push(&mut self, name: &'static str, bytes: Vec<u8>) {
        if name == "config.json" {
            self.config = bytes;
        } else if TokenizerFiles::NAMES.contains(&name) {
            self.tokenizer.push((name, bytes));
        }
    }

    /// The tokenizer's files, by name.
    #[must_use]
    pub fn tokenizer(&self) -> &[(&'static str, Vec<u8>)] {
        &self.tokenizer
    }

    /// The tokenizer's files, as a base reads them.
    #[must_use]
    pub fn tokenizer_files(&self) -> TokenizerFiles<'_> {
        TokenizerFiles::named(|wanted| {
            let found = self.tokenizer.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, bytes)| bytes.as_slice())
        })
    }
}

/// Which layers of the teacher a student starts with and learns from, from 1, ascending. The student's last layer learns
/// from the teacher's last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerMap {
    /// This many, spread evenly, with the teacher's last one.
    Count(usize),
    /// These.
    Listed(Vec<usize>),
}

impl LayerMap {
    /// The layers, from 0.
    ///
    /// # Errors
    /// [`DistillError::Layers`] if there are none, or not these.
    pub fn of(&self, teacher: usize) -> Result<Vec<usize>, DistillError> {
        let layers: Vec<usize> = match self {
            // Counted down from the last layer, so that it is always one of them.
            Self::Count(count) if (1..=teacher).contains(count) => {
                (1..=*count).map(|at| at * teacher / count).collect()
            }
            Self::Count(_) => Vec::new(),
            Self::Listed(layers) => layers.clone(),
        };
        let ascending = layers.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = layers.iter().all(|layer| (1..=teacher).contains(layer));
        if layers.is_empty() || !ascending || !inside {
            return Err(DistillError::Layers { wanted: self.to_string(), found: teacher });
        }
        Ok(layers.into_iter().map(|layer| layer - 1).collect())
    }
}

impl fmt::Display for LayerMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Listed(layers) => {
                let layers: Vec<String> = layers.iter().map(usize::to_string).collect();
                f.write_str(&layers.join(","))
            }
        }
    }
}

impl FromStr for LayerMap {
    type Err = String;

    /// A number of layers, or layers separated by commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            let parsed = part.trim().parse::<usize>();
            parsed.map_err(|_| {
                "expected a number of layers, such as 3, or layers, such as 1,3,6".to_owned()
            })
        };
        if text.contains(',') {
            let layers = text.trim_end_matches(',').split(',').map(number);
            return layers.collect::<Result<_, _>>().map(Self::Listed);
        }
        number(text).map(Self::Count)
    }
}

/// How a student differs from its teacher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its layers; `None` for all.
    pub layers: Option<LayerMap>,
    /// Its word pieces; `None` for the teacher's.
    pub vocabulary: Option<Pieces>,
    /// Rows of the position embedding: the longest text in tokens, for BERT; `None` for all.
    pub positions: Option<usize>,
    /// Width of its hidden states, and attention heads. A narrower student starts with random values.
    pub width: Option<Width>,
    /// Seed of these values.
    pub seed: u64,
}

/// Sizes of a narrower student. The feed-forward layers have the teacher's ratio to this width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// H.
    pub hidden: usize,
    /// Attention heads, which divide H.
    pub heads: usize,
}

/// A student with the teacher's values, before training.
#[derive(Debug)]
pub struct Student {
    /// The base.
    pub base: Base,
    /// Its small files.
    pub files: BaseBytes,
    /// Its `model.safetensors`.
    pub weights: Vec<u8>,
    /// The teacher's layers that it starts with, from 0.
    pub layers: Vec<usize>,
    /// Its word pieces, if it has not all of the teacher's.
    pub vocabulary: Option<Vocabulary>,
}

impl Student {
    /// Takes layers, rows of embeddings and positions from a teacher, whose tensors must not have been taken. `texts` are
    /// counted to choose the word pieces.
    ///
    /// # Errors
    /// [`DistillError`] names what the teacher does not have.
    pub fn new(
        teacher: &Base,
        files: &BaseBytes,
        shape: &Shape,
        texts: &[String],
    ) -> Result<Self, DistillError> {
        let of = &teacher.config;
        let Some(position_table) = of.architecture.embeddings.positions else {
            return Err(DistillError::Rotary { architecture: of.architecture.name });
        };
        let layers = match &shape.layers {
            Some(map) => map.of(of.num_hidden_layers)?,
            None => (0..of.num_hidden_layers).collect(),
        };
        let positions = shape.positions.unwrap_or(of.max_position_embeddings);
        let (least, most) = (of.architecture.first_position + 3, of.max_position_embeddings);
        if !(least..=most).contains(&positions) {
            return Err(DistillError::Positions { wanted: positions, least, most });
        }
        if let Some(Width { hidden: width, heads }) = shape.width {
            let most = of.hidden_size;
            if heads == 0 || width == 0 || width > most || !width.is_multiple_of(heads) {
                return Err(DistillError::Width { width, heads, most });
            }
        }
        let choose = |pieces| Vocabulary::choose(files, &teacher.tokenizer, texts, pieces);
        let vocabulary = shape.vocabulary.map(choose).transpose()?;
        let config = BertConfig {
            num_hidden_layers: layers.len(),
            max_position_embeddings: positions,
            vocab_size: vocabulary.as_ref().map_or(of.vocab_size, Vocabulary::len),
            ..of.clone()
        };
        let config = match shape.width {
            Some(Width { hidden, heads }) => BertConfig {
                hidden_size: hidden,
                num_attention_heads: heads,
                intermediate_size: (of.intermediate_size * hidden).div_ceil(of.hidden_size),
                ..config
            },
            None => config,
        };
        let mut small = match &vocabulary {
            Some(vocabulary) => vocabulary.reduce(files)?,
            None => files.clone(),
        };
        small.config = configured(&files.config, &config, vocabulary.as_ref())?;
        let tensors = match shape.width {
            None => {
                tensors(&teacher.weights, &config, &layers, position_table, vocabulary.as_ref())?
            }
            Some(_) => random_tensors(&config, shape.seed),
        };
        let weights = write_tensors(&tensors)?;
        let base = Base::from_files(BaseFiles {
            config: &small.config,
            tokenizer: small.tokenizer_files(),
            weights: weights.clone(),
        })?;
        Ok(Self { base, files: small, weights, layers, vocabulary })
    }

    /// Number of parameters of a run that trains the student: those of its encoder, and of a score head, which learns
    /// nothing.
    #[must_use]
    pub fn parameters(&self) -> usize {
        base_parameters(&self.base.config) + self.base.config.hidden_size + 1
    }
}

/// `model.safetensors` with these tensors, in f32.
pub(super) fn write_tensors(tensors: &[(String, HostTensor)]) -> Result<Vec<u8>, DistillError> {
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let named = tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), &tensor.shape[..], tensor.data.as_slice()));
    write_f32(&metadata, named).map_err(|error| BaseError::Metadata(error).into())
}

/// The student's `config.json`: the teacher's with other sizes.
fn configured(
    teacher: &[u8],
    config: &BertConfig,
    vocabulary: Option<&Vocabulary>,
) -> Result<Vec<u8>, DistillError> {
    let fault = |error: serde_json::Error| BaseError::ConfigJson(error.to_string());
    let mut map: Map<String, Value> = serde_json::from_slice(teacher).map_err(fault)?;
    let keys = &config.architecture.keys;
    for (key, value) in [
        (keys.layers, config.num_hidden_layers),
        (keys.hidden_size, config.hidden_size),
        (keys.heads, config.num_attention_heads),
        (keys.intermediate_size, config.intermediate_size),
        (keys.positions, config.max_position_embeddings),
        (keys.vocab_size, config.vocab_size),
    ] {
        map.insert(key.to_owned(), value.into());
    }
    if let Some(vocabulary) = vocabulary {
        for (key, value) in &mut map {
            // Such as `pad_token_id`.
            let id = value.as_u64().filter(|_| key.ends_with("_token_id"));
            if let Some(id) = id {
                *value = vocabulary.place(id).into();
            }
        }
    }
    // The student has no head.
    for key in ["_name_or_path", "id2label", "label2id", "problem_type"] {
        map.shift_remove(key);
    }
    Ok(serde_json::to_vec_pretty(&map).map_err(fault)?)
}

/// The student's tensors, with values of the teacher.
fn tensors(
    teacher: &BaseWeights,
    config: &BertConfig,
    layers: &[usize],
    position_table: &str,
    vocabulary: Option<&Vocabulary>,
) -> Result<Vec<(String, HostTensor)>, DistillError> {
    let architecture = config.architecture;
    let words = format!("{}.weight", architecture.embeddings.words);
    let positions = format!("{position_table}.weight");
    let of_teacher = |name: &str| match architecture.split(name) {
        Some((layer, path)) => architecture.module(layers[layer], path),
        None => name.to_owned(),
    };
    expected_tensors(config)
        .into_iter()
        .map(|(name, shape)| {
            let HostTensor { data, .. } = teacher.get(&of_teacher(&name))?;
            let count = shape.iter().product::<usize>();
            let data = match vocabulary {
                Some(vocabulary) if name == words => {
                    let width = shape[1];
                    vocabulary.spellings().flat_map(|ids| mean_row(&data, ids, width)).collect()
                }
                _ if name == positions => data[..count].to_vec(),
                _ => data,
            };
            Ok((name, HostTensor { shape, data }))
        })
        .collect()
}

/// The mean of some rows of a table; a single row as it is.
fn mean_row(table: &[f32], rows: &[u32], width: usize) -> Vec<f32> {
    let row = |id: u32| &table[id as usize * width..][..width];
    if let [id] = *rows {
        return row(id).to_vec();
    }
    let sum = |column| rows.iter().map(|&id| f64::from(row(id)[column])).sum::<f64>();
    (0..width).map(|column| (sum(column) / rows.len().max(1) as f64) as f32).collect()
}

/// Values as BERT starts with: matrices normal with deviation 0.02, no biases, LayerNorm without effect.
fn random_tensors(config: &BertConfig, seed: u64) -> Vec<(String, HostTensor)> {
    let mut random = Random::new(seed);
    let filled = |(name, shape): (String, Vec<usize>)| {
        let count = shape.iter().product();
        let data = match (shape.len(), name.ends_with(".bias")) {
            (2, _) => (0..count).map(|_| (DEVIATION * random.normal()) as f32).collect(),
            (_, bias) => vec![if bias { 0.0 } else { 1.0 }; count],
        };
        (name, HostTensor { shape, data })
    };
    expected_tensors(config).into_iter().map(filled).collect()
}
