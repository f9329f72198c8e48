//! A safetensors file in bytes: the header is read once, tensors become `f32` when asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

/// A tensor in host memory, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Lengths of the axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// Elements, the last axis running fastest.
    pub data: Vec<f32>,
}

/// What can be wrong with a safetensors file or with one of its tensors.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TensorFault {
    /// The container itself is damaged.
    #[error("not a whole safetensors file ({0}); fetch or write it again")]
    Container(String),
    /// No tensor of this name.
    #[error("tensor `{name}` is missing")]
    Missing {
        /// The name asked for.
        name: String,
    },
    /// The tensor is stored in a type that LoRB does not read.
    #[error("tensor `{name}` has dtype {dtype}; LoRB reads F32, F16 and BF16")]
    Dtype {
        /// Name in the file.
        name: String,
        /// Its dtype.
        dtype: String,
    },
    /// The tensor holds a NaN or an infinity.
    #[error(
        "tensor `{name}` holds {value} at element {index}; the file is damaged or its training diverged"
    )]
    NotFinite {
        /// Name in the file.
        name: String,
        /// Flat index of the first such element.
        index: usize,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
}

/// One entry of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// Type of the elements.
    pub dtype: Dtype,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    range: Range<usize>,
}

/// The bytes of a safetensors file with its header read.
#[derive(Debug, Clone)]
pub struct TensorFile<B> {
    bytes: B,
    entries: BTreeMap<String, TensorEntry>,
    metadata: BTreeMap<String, String>,
}

impl<B: AsRef<[u8]>> TensorFile<B> {
    /// Reads the header; no tensor is converted yet.
    ///
    /// # Errors
    /// [`TensorFault::Container`] when the file is cut, its header is no JSON, or offsets and
    /// shapes disagree.
    pub fn open(bytes: B) -> Result<Self, TensorFault> {
        let (header, metadata) = SafeTensors::read_metadata(bytes.as_ref())
            .map_err(|e| TensorFault::Container(e.to_string()))?;
        // Eight bytes of length stand before the header.
        let start = header + 8;
        let entry = |info: &safetensors::tensor::TensorInfo| TensorEntry {
            dtype: info.dtype,
            shape: info.shape.clone(),
            range: start + info.data_offsets.0..start + info.data_offsets.1,
        };
        let entries =
            metadata.tensors().into_iter().map(|(name, info)| (name, entry(info))).collect();
        let metadata =
            metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Self { bytes, entries, metadata })
    }

    /// Tensors by name.
    pub fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        &self.entries
    }

    /// The text entries of the header's `__metadata__`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Converts one tensor.
    ///
    /// # Errors
    /// [`TensorFault`] when it is missing, of another type than f32, f16 or bf16, or not finite
    /// throughout.
    pub fn read(&self, name: &str) -> Result<HostTensor, TensorFault> {
        let (entry, bytes) = self.slice(name)?;
        let data: Vec<f32> = match entry.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => {
                bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
            }
            Dtype::BF16 => {
                bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
            }
            other => {
                return Err(TensorFault::Dtype {
                    name: name.to_owned(),
                    dtype: format!("{other:?}"),
                });
            }
        };
        match data.iter().position(|v| !v.is_finite()) {
            Some(index) => {
                Err(TensorFault::NotFinite { name: name.to_owned(), index, value: data[index] })
            }
            None => Ok(HostTensor { shape: entry.shape.clone(), data }),
        }
    }

    /// Checks that [`TensorFile::read`] would succeed, without keeping the values.
    ///
    /// # Errors
    /// As for [`TensorFile::read`].
    pub fn check(&self, name: &str) -> Result<(), TensorFault> {
        let (entry, bytes) = self.slice(name)?;
        // A float is not finite exactly when all bits of its exponent are set.
        let sound = match entry.dtype {
            Dtype::F32 => {
                exponents_sound(bytes, |b| u32::from_le_bytes(b) & 0x7f80_0000 != 0x7f80_0000)
            }
            Dtype::F16 => exponents_sound(bytes, |b| u16::from_le_bytes(b) & 0x7c00 != 0x7c00),
            Dtype::BF16 => exponents_sound(bytes, |b| u16::from_le_bytes(b) & 0x7f80 != 0x7f80),
            _ => false,
        };
        if sound { Ok(()) } else { self.read(name).map(drop) }
    }

    fn slice(&self, name: &str) -> Result<(&TensorEntry, &[u8]), TensorFault> {
        let missing = || TensorFault::Missing { name: name.to_owned() };
        let entry = self.entries.get(name).ok_or_else(missing)?;
        // The header was checked against the length of the bytes, so the range lies inside.
        let bytes = self.bytes.as_ref().get(entry.range.clone()).ok_or_else(missing)?;
        Ok((entry, bytes))
    }
}

fn exponents_sound<const N: usize>(bytes: &[u8], sound: impl Fn([u8; N]) -> bool) -> bool {
    bytes.as_chunks().0.iter().all(|b| sound(*b))
}

/// Writes a safetensors file of f32 tensors.
///
/// Equal input gives equal bytes: metadata is sorted by key, tensors lie in the order given, and
/// the header is padded with spaces to a multiple of eight bytes, as the format asks for.
///
/// # Errors
/// The message of the JSON writer, should a name not be writable.
pub fn write_f32<'a>(
    metadata: &BTreeMap<String, String>,
    tensors: impl IntoIterator<Item = (String, &'a [usize], &'a [f32])>,
) -> Result<Vec<u8>, String> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), serde_json::json!(metadata));
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name, entry);
    }
    let mut header = serde_json::to_vec(&header).map_err(|e| e.to_string())?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut header);
    bytes.append(&mut data);
    Ok(bytes)
}
