//! Writes an exported base, as one file or as several.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use half::f16;
use serde_json::{Map, json};

use super::index::Index;
use super::survey::SCALES;
use super::{BaseError, BaseWeights, BertConfig, Origin, expected_tensors, int4};
use crate::bounds::MAX_SHARDS;
use crate::packed::{Elements, Format, Packed};

/// How a file stores linear weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinearFormat {
    /// f32.
    F32,
    /// f16.
    F16,
    /// int8, with one f32 scale per output.
    Int8,
    /// int4, with one f16 scale for 32 inputs of an output. Only files have it: in memory it becomes f32, f16 or int8.
    Int4,
}

impl LinearFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Int8, Self::Int4];

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }
}

impl fmt::Display for LinearFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LinearFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| format!("unknown precision {name:?}; use f32, f16, int8 or int4"))
    }
}

/// How an exported base is written.
#[derive(Clone, Debug)]
pub struct Export<'a> {
    /// Precision of the linear weights.
    pub linear: LinearFormat,
    /// Precision of the word embeddings; int8 has one f32 scale per word piece.
    pub words: Format,
    /// The base that adapters identify: the hash of the original, see [`Origin`].
    pub base_sha256: &'a str,
    /// Writes files of at most this many bytes, and their index. A tensor is never split, so the file of a larger one is
    /// larger too.
    pub shard_bytes: Option<u64>,
}

impl Export<'_> {
    /// The formats for linear weights in `linear`: word embeddings in f32 with f32, in int8 with int4, otherwise in f16.
    ///
    /// Embeddings are most of a small base, so with int4 they would be two thirds of the file in f16.
    #[must_use]
    pub fn words_with(linear: LinearFormat) -> Format {
        match linear {
            LinearFormat::F32 => Format::F32,
            LinearFormat::F16 | LinearFormat::Int8 => Format::F16,
            LinearFormat::Int4 => Format::Int8,
        }
    }
}

/// A file with its name.
pub type NamedFile = (String, Vec<u8>);

impl BaseWeights {
    /// Writes the encoder's tensors in lower precision, and takes them all: `model.safetensors`, or shards with
    /// `model.safetensors.index.json` as Transformers writes them.
    ///
    /// Other embeddings are written in f16, unless the linear weights are f32; biases and LayerNorm in f32. The scales
    /// of a weight are the tensor `<name>_scale` of the same file. Equal input gives equal bytes.
    ///
    /// # Errors
    /// [`BaseError::Taken`] when a tensor was taken before, [`BaseError::TooLarge`] names a tensor that f16
    /// cannot hold, [`BaseError::TooManyShards`].
    pub fn write(
        &mut self,
        config: &BertConfig,
        export: &Export<'_>,
    ) -> Result<Vec<NamedFile>, BaseError> {
        let words = format!("{}.weight", config.architecture.embeddings.words);
        let mut tensors: Vec<Vec<Part>> = Vec::new();
        for (name, shape) in expected_tensors(config) {
            let weight = self.take_packed(&name)?;
            let linear = config.architecture.is_linear(&name, &shape);
            let format = match export.linear {
                LinearFormat::Int4 if linear => {
                    tensors.push(Part::of_int4(name, shape, weight)?);
                    continue;
                }
                LinearFormat::Int8 if linear => Format::Int8,
                LinearFormat::F16 if linear => Format::F16,
                _ if name == words => export.words,
                LinearFormat::F32 => Format::F32,
                _ if shape.len() == 2 => Format::F16,
                _ => Format::F32,
            };
            let weight = weight.to(format);
            check_halves(&name, &weight)?;
            tensors.push(Part::of(name, shape, &weight));
        }
        let exact = export.linear == LinearFormat::F32 && export.words == Format::F32;
        let origin = Origin::new(export.base_sha256.to_owned(), exact);
        let (section, origin) = origin.entry().map_err(BaseError::Metadata)?;
        let metadata = BTreeMap::from([("format", "pt"), (&section, &origin)]);
        let files = match export.shard_bytes {
            None => vec![tensors],
            Some(most) => shards(tensors, most),
        };
        if files.len() > MAX_SHARDS {
            return Err(BaseError::TooManyShards { count: files.len(), limit: MAX_SHARDS });
        }
        if let [_] = files.as_slice() {
            let whole = files.into_iter().flatten().flatten().collect();
            return Ok(vec![("model.safetensors".to_owned(), file(whole, &metadata)?)]);
        }
        let (count, mut written) = (files.len(), Vec::new());
        let (mut places, mut total) = (Map::new(), 0);
        for (at, tensors) in files.into_iter().enumerate() {
            let name = format!("model-{:05}-of-{count:05}.safetensors", at + 1);
            let parts: Vec<Part> = tensors.into_iter().flatten().collect();
            for part in &parts {
                places.insert(part.name.clone(), name.as_str().into());
                total += part.bytes.len();
            }
            written.push((name, file(parts, &metadata)?));
        }
        places.sort_keys();
        let index = json!({"metadata": {"total_size": total}, "weight_map": places});
        let mut index = serde_json::to_vec_pretty(&index).map_err(json_fault)?;
        index.push(b'\n');
        written.push((Index::SAFETENSORS.0.to_owned(), index));
        Ok(written)
    }
}

fn json_fault(error: serde_json::Error) -> BaseError {
    BaseError::Metadata(error.to_string())
}

/// Bytes of a tensor's entry in the header, at most, without its name.
const ENTRY_BYTES: usize = 128;

/// Bytes of the rest of the header, at most.
const HEADER_BYTES: usize = 512;

/// Distributes tensors, with their scales, over files of at most `most` bytes, in their order.
fn shards(tensors: Vec<Vec<Part>>, most: u64) -> Vec<Vec<Vec<Part>>> {
    let (mut files, mut last, mut size) = (Vec::new(), Vec::new(), HEADER_BYTES);
    for parts in tensors {
        let more: usize =
            parts.iter().map(|part| part.bytes.len() + part.name.len() + ENTRY_BYTES).sum();
        if !last.is_empty() && (size + more) as u64 > most {
            files.push(std::mem::take(&mut last));
            size = HEADER_BYTES;
        }
        size += more;
        last.push(parts);
    }
    files.push(last);
    files
}

/// A safetensors file.
fn file(mut parts: Vec<Part>, metadata: &BTreeMap<&str, &str>) -> Result<Vec<u8>, BaseError> {
    // Large elements first, so that all are aligned to their size.
    parts.sort_by_key(|part| part.dtype.1);
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!(metadata));
    let mut end = 0;
    for Part { name, shape, dtype, bytes } in &parts {
        let start = end;
        end += bytes.len();
        let entry = json!({"dtype": dtype.0, "shape": shape, "data_offsets": [start, end]});
        header.insert(name.clone(), entry);
    }
    let mut header = serde_json::to_vec(&header).map_err(json_fault)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = Vec::with_capacity(8 + header.len() + end);
    file.extend((header.len() as u64).to_le_bytes());
    file.append(&mut header);
    parts.into_iter().for_each(|mut part| file.append(&mut part.bytes));
    Ok(file)
}

/// A tensor to write.
struct Part {
    name: String,
    shape: Vec<usize>,
    /// Its name and its place in the file.
    dtype: (&'static str, u8),
    bytes: Vec<u8>,
}

const F32: (&str, u8) = ("F32", 0);
const F16: (&str, u8) = ("F16", 1);
const I8: (&str, u8) = ("I8", 2);
const U8: (&str, u8) = ("U8", 3);

impl Part {
    fn of(name: String, shape: Vec<usize>, weight: &Packed) -> Vec<Self> {
        let full = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
        match weight.elements() {
            Elements::F32(values) => vec![Self { name, shape, dtype: F32, bytes: full(values) }],
            Elements::F16(values) => {
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                vec![Self { name, shape, dtype: F16, bytes }]
            }
            Elements::Int8 { values, scales } => {
                let (rows, bytes) = (vec![shape[0]], values.iter().map(|v| *v as u8).collect());
                let scale_name = format!("{name}{SCALES}");
                vec![
                    Self { name: scale_name, shape: rows, dtype: F32, bytes: full(scales) },
                    Self { name, shape, dtype: I8, bytes },
                ]
            }
        }
    }

    /// A linear weight `[outputs, inputs]` in 4 bits, and its scales.
    fn of_int4(name: String, shape: Vec<usize>, weight: Packed) -> Result<Vec<Self>, BaseError> {
        let (bytes, scales) = int4::pack(&weight.into_f32(), shape[1]);
        if !scales.iter().copied().all(f16::is_finite) {
            return Err(BaseError::TooLarge { name });
        }
        let scales = Self {
            name: format!("{name}{SCALES}"),
            shape: int4::scales_shape(&shape).to_vec(),
            dtype: F16,
            bytes: scales.iter().flat_map(|scale| scale.to_le_bytes()).collect(),
        };
        Ok(vec![scales, Self { name, shape: int4::bytes_shape(&shape).to_vec(), dtype: U8, bytes }])
    }
}

/// Refuses what rounding to f16 made infinite.
fn check_halves(name: &str, weight: &Packed) -> Result<(), BaseError> {
    match weight.elements() {
        Elements::F16(values) if !values.iter().copied().all(f16::is_finite) => {
            Err(BaseError::TooLarge { name: name.to_owned() })
        }
        _ => Ok(()),
    }
}
