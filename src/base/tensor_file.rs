//! A safetensors file in memory: the header is read once, and tensors are converted to `f32` on request.

use std::collections::BTreeMap;
use std::ops::Range;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::bounds::MAX_HEADER_BYTES;

/// A tensor in host memory, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Lengths of the axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub data: Vec<f32>,
}

/// Errors in a safetensors file or in one of its tensors.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TensorFault {
    /// The container is damaged.
    #[error("not a complete safetensors file ({0}); download or write it again")]
    Container(String),
    /// No tensor with this name.
    #[error("tensor `{name}` is missing")]
    Missing {
        /// The requested name.
        name: String,
    },
    /// The tensor has a type that LoRB does not read.
    #[error("tensor `{name}` has dtype {dtype}; LoRB reads F32, F16 and BF16")]
    Dtype {
        /// Name in the file.
        name: String,
        /// Its dtype.
        dtype: String,
    },
    /// The tensor contains a NaN or an infinity.
    #[error(
        "tensor `{name}` has {value} at element {index}; the file is damaged or its training diverged"
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
    /// Byte range after the header.
    pub(super) range: Range<usize>,
}

impl TensorEntry {
    /// Checks that elements of this type can be read as floats.
    pub(super) fn check_dtype(&self, name: &str) -> Result<(), TensorFault> {
        match self.dtype {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
            other => Err(TensorFault::Dtype { name: name.to_owned(), dtype: format!("{other:?}") }),
        }
    }
}

/// The header of a safetensors file.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Tensors by name; their ranges are contiguous, from 0.
    pub entries: BTreeMap<String, TensorEntry>,
    pub metadata: BTreeMap<String, String>,
    /// Bytes of all tensors.
    pub data: usize,
}

/// Size in bytes of the length at the start of a file.
pub(super) const LENGTH: usize = 8;

impl Header {
    /// The header's length, from a file's first bytes.
    pub fn length(first: [u8; LENGTH]) -> Result<usize, TensorFault> {
        let length = u64::from_le_bytes(first);
        if length > MAX_HEADER_BYTES {
            return Err(damaged(format!("its header claims {length} bytes")));
        }
        Ok(length as usize)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, TensorFault> {
        // Parsing also checks that offsets, shapes and types agree.
        let metadata: Metadata =
            serde_json::from_slice(bytes).map_err(|e| damaged(format!("invalid header: {e}")))?;
        let entry = |info: &safetensors::tensor::TensorInfo| TensorEntry {
            dtype: info.dtype,
            shape: info.shape.clone(),
            range: info.data_offsets.0..info.data_offsets.1,
        };
        let entries =
            metadata.tensors().into_iter().map(|(name, info)| (name, entry(info))).collect();
        let data = metadata.data_len();
        let metadata =
            metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Self { entries, metadata, data })
    }
}

/// The error of an inconsistent file.
pub(super) fn damaged(what: String) -> TensorFault {
    TensorFault::Container(what)
}

/// The bytes of a safetensors file and its parsed header.
#[derive(Debug, Clone)]
pub struct TensorFile<B> {
    bytes: B,
    header: Header,
    /// Start of the tensors.
    start: usize,
}

impl<B: AsRef<[u8]>> TensorFile<B> {
    /// Reads the header without converting tensors.
    ///
    /// # Errors
    /// [`TensorFault::Container`] if the file is truncated, its header is not JSON, or offsets and shapes disagree.
    pub fn open(bytes: B) -> Result<Self, TensorFault> {
        let all = bytes.as_ref();
        let cut = || damaged(format!("it ends after {} bytes", all.len()));
        let start = LENGTH + Header::length(*all.first_chunk().ok_or_else(cut)?)?;
        let header = Header::parse(all.get(LENGTH..start).ok_or_else(cut)?)?;
        let expected = start.checked_add(header.data);
        if expected != Some(all.len()) {
            return Err(damaged(format!("{} bytes do not match its header", all.len())));
        }
        Ok(Self { bytes, header, start })
    }

    /// Tensors by name.
    pub fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        &self.header.entries
    }

    /// The text entries of the header's `__metadata__`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// Converts one tensor.
    ///
    /// # Errors
    /// [`TensorFault`] if it is missing, has a type other than f32, f16 or bf16, or has non-finite values.
    pub fn read(&self, name: &str) -> Result<HostTensor, TensorFault> {
        let (entry, bytes) = self.slice(name)?;
        entry.check_dtype(name)?;
        let mut data = Vec::with_capacity(entry.shape.iter().product());
        widen(entry.dtype, bytes, &mut data);
        match data.iter().position(|v| !v.is_finite()) {
            Some(index) => {
                Err(TensorFault::NotFinite { name: name.to_owned(), index, value: data[index] })
            }
            None => Ok(HostTensor { shape: entry.shape.clone(), data }),
        }
    }

    fn slice(&self, name: &str) -> Result<(&TensorEntry, &[u8]), TensorFault> {
        let missing = || TensorFault::Missing { name: name.to_owned() };
        let entry = self.header.entries.get(name).ok_or_else(missing)?;
        // The header was checked against the file's length, so the range is valid.
        let data = self.bytes.as_ref().get(self.start..).ok_or_else(missing)?;
        let bytes = data.get(entry.range.clone()).ok_or_else(missing)?;
        Ok((entry, bytes))
    }
}

/// Appends complete elements of a float type as f32; other types give none.
pub(super) fn widen(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) {
    match dtype {
        Dtype::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
        Dtype::F16 => {
            out.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()));
        }
        Dtype::BF16 => {
            out.extend(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()));
        }
        _ => {}
    }
}

/// Writes a safetensors file of f32 tensors.
///
/// Equal input gives equal bytes: metadata is sorted by key, tensors keep the given order, and the header is padded
/// with spaces to a multiple of eight bytes, as the format requires.
///
/// # Errors
/// The message of the JSON writer, if a name cannot be written.
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
