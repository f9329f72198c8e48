//! Writes an exported base.

use std::collections::BTreeMap;

use half::f16;

use super::survey::SCALES;
use super::{BaseError, BaseWeights, BertConfig, Origin, expected_tensors};
use crate::packed::{Elements, Format, Packed};

impl BaseWeights {
    /// Writes the encoder's tensors as a `model.safetensors` in lower precision, and takes them all.
    ///
    /// Linear weights are written in `format`, int8 with row scales as `<name>_scale`; embeddings in f16, unless
    /// `format` is f32; biases and LayerNorm in f32. `hash` identifies the original base, see [`Origin`]. Equal
    /// input gives equal bytes.
    ///
    /// # Errors
    /// [`BaseError::Taken`] when a tensor was taken before, [`BaseError::TooLarge`] names a tensor that f16
    /// cannot hold.
    pub fn write(
        &mut self,
        config: &BertConfig,
        format: Format,
        hash: &str,
    ) -> Result<Vec<u8>, BaseError> {
        let mut parts: Vec<Part> = Vec::new();
        for (name, shape) in expected_tensors(config) {
            let weight = self.take_packed(&name)?;
            let wanted = match shape.len() {
                2 if config.architecture.is_linear(&name, &shape) => format,
                2 if format != Format::F32 => Format::F16,
                _ => Format::F32,
            };
            let weight = weight.to(wanted);
            check_halves(&name, &weight)?;
            parts.extend(Part::of(name, shape, &weight));
        }
        // Large elements first, so that all are aligned to their size.
        parts.sort_by_key(|part| part.dtype.1);
        let mut header = serde_json::Map::new();
        let written = |e: String| BaseError::Metadata(e);
        let (section, origin) = Origin::new(hash.to_owned()).entry().map_err(written)?;
        let metadata = BTreeMap::from([("format", "pt".to_owned()), (&section, origin)]);
        header.insert("__metadata__".to_owned(), serde_json::json!(metadata));
        let mut end = 0;
        for Part { name, shape, dtype, bytes } in &parts {
            let start = end;
            end += bytes.len();
            let entry =
                serde_json::json!({"dtype": dtype.0, "shape": shape, "data_offsets": [start, end]});
            header.insert(name.clone(), entry);
        }
        let mut header =
            serde_json::to_vec(&header).map_err(|e| BaseError::Metadata(e.to_string()))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = Vec::with_capacity(8 + header.len() + end);
        file.extend((header.len() as u64).to_le_bytes());
        file.append(&mut header);
        parts.into_iter().for_each(|mut part| file.append(&mut part.bytes));
        Ok(file)
    }
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
