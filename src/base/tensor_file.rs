//! A safetensors file in memory: the header is read once, and tensors are converted to `f32` on request.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use half::{bf16, f16};
use safetensors::Dtype;

use super::header::parse;
use crate::bounds::MAX_HEADER_BYTES;
use crate::foreign::{Expected, Foreign};

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
    /// It is a file of another kind.
    #[error("{0}")]
    Foreign(#[source] Foreign),
    /// No tensor with this name.
    #[error("tensor `{name}` is missing")]
    Missing {
        /// The requested name.
        name: String,
    },
    /// The tensor has a type that LoRB does not read.
    #[error("tensor `{name}` has dtype {dtype}; LoRB reads F64, F32, F16 and BF16")]
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
            Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
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
    /// The header's length, from a file's first bytes. `file` is the length of the file, if known.
    pub fn length(first: [u8; LENGTH], file: Option<u64>) -> Result<usize, TensorFault> {
        let length = u64::from_le_bytes(first);
        let beyond = file.is_some_and(|file| length > file.saturating_sub(LENGTH as u64));
        if length > MAX_HEADER_BYTES || beyond {
            return Err(foreign(&first).unwrap_or_else(|| {
                damaged(match file {
                    Some(file) if length <= MAX_HEADER_BYTES => {
                        format!("it ends after {file} bytes")
                    }
                    _ => format!(
                        "its header claims {length} bytes; expected at most {MAX_HEADER_BYTES}"
                    ),
                })
            }));
        }
        Ok(length as usize)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, TensorFault> {
        parse(bytes).map_err(|error| damaged(format!("invalid header: {error}")))
    }
}

/// What a file is that does not start like a safetensors file.
pub(super) fn foreign(start: &[u8]) -> Option<TensorFault> {
    Foreign::of(start, Expected::Tensors).map(TensorFault::Foreign)
}

/// Reads the header of a safetensors file, and checks it against the file's length before any tensor is read.
///
/// Returns the bytes read, which are the beginning of the file.
///
/// # Errors
/// [`TensorFault`] as for [`TensorFile::open`], or the stream's error.
pub fn read_header(stream: &mut impl Read, length: u64) -> Result<Vec<u8>, HeaderError> {
    let mut start = Vec::new();
    stream.by_ref().take(LENGTH as u64).read_to_end(&mut start)?;
    let first = *start.first_chunk().ok_or_else(|| too_short(&start))?;
    let header = Header::length(first, Some(length))?;
    stream.take(header as u64).read_to_end(&mut start)?;
    if start.len() < LENGTH + header {
        return Err(damaged(format!("it ends after {} bytes", start.len())).into());
    }
    check_length(&Header::parse(&start[LENGTH..])?, header, length)?;
    Ok(start)
}

/// Why [`read_header`] failed.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The file is invalid.
    #[error(transparent)]
    Fault(#[from] TensorFault),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn too_short(bytes: &[u8]) -> TensorFault {
    let short = || damaged(format!("it ends after {} bytes", bytes.len()));
    foreign(bytes).unwrap_or_else(short)
}

/// Checks that header and tensors of `header` bytes are the whole file.
fn check_length(header: &Header, length: usize, file: u64) -> Result<(), TensorFault> {
    let whole = (LENGTH as u64 + length as u64).checked_add(header.data as u64);
    if whole != Some(file) {
        let whole = whole.map_or("2^64 or more".to_owned(), |whole| whole.to_string());
        return Err(damaged(format!("its {file} bytes do not match its header's {whole}")));
    }
    Ok(())
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
        let first = *all.first_chunk().ok_or_else(|| too_short(all))?;
        let length = Header::length(first, Some(all.len() as u64))?;
        let start = LENGTH + length;
        // The length was checked, so the slice exists.
        let header = Header::parse(all.get(LENGTH..start).unwrap_or_default())?;
        check_length(&header, length, all.len() as u64)?;
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
    /// [`TensorFault`] if it is missing, has a type other than f64, f32, f16 or bf16, or has non-finite values.
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
        // Rounds to the nearest; a value beyond f32 becomes infinite, which the caller reports.
        Dtype::F64 => {
            out.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32));
        }
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
