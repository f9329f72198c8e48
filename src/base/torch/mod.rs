//! Files of `torch.save`: `pytorch_model.bin`, `adapter_model.bin`.
//!
//! Such a file is a ZIP archive with a pickle, which describes tensors, and an entry for each storage that tensors are views
//! of. Pickles can run code when Python reads them. LoRB has its own reader ([`pickle`]), which runs none. It reads the
//! directory and the pickle, then the bytes of each tensor that is used, so memory never contains more of the file than a
//! tensor.
//!
//! The format of PyTorch before version 1.6, a pickle without an archive, is refused.

mod pickle;
#[cfg(test)]
mod tests;
mod zip;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use flate2::Crc;
use safetensors::Dtype;
use sha2::{Digest, Sha256};

use super::index::Index;
use super::stream::Tensors;
use super::survey::Plan;
use super::tensor_file::Header;
use super::{Base, BaseError, BaseWeights, BertConfig, BertTokenizer, TensorEntry, TokenizerFiles};
use crate::bounds::{MAX_NAME_BYTES, MAX_PICKLE_BYTES, MAX_TENSORS, MAX_VIEW_RATIO};
use crate::digest::hex;
use crate::foreign::{Expected, Foreign};
use crate::packed::Format;
use pickle::View;
use zip::Entry;

/// The name of a base's weights if they are one file of `torch.save`.
const WEIGHTS: &str = "pytorch_model.bin";

/// Errors in a file of `torch.save`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TorchFault {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(String),
    /// It is a file of another kind.
    #[error("{0}")]
    Foreign(#[source] Foreign),
    /// The archive is damaged.
    #[error("not a complete archive of torch.save ({0}); download or write it again")]
    Archive(String),
    /// An entry of the archive is missing, damaged or not supported.
    #[error("entry {name:?} {what}")]
    Entry {
        /// Name in the archive.
        name: String,
        /// The problem.
        what: String,
    },
    /// The pickle has an operation or a value that state dictionaries do not have.
    #[error("its pickle is not that of a state dictionary: {what} (byte {at})")]
    Pickle {
        /// Bytes of the pickle that were read.
        at: u64,
        /// The problem.
        what: String,
    },
    /// The pickle uses a function or class that state dictionaries do not need.
    #[error(
        "its pickle calls {name:?}, which is not part of weights; LoRB runs no code from files"
    )]
    Name {
        /// Module and name.
        name: String,
    },
    /// A value of the dictionary is not a tensor.
    #[error("`{name}` is {kind}; expected a tensor: save only the model's state_dict()")]
    NotATensor {
        /// Key in the dictionary.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// A tensor does not fit its storage, or has a layout that LoRB does not read.
    #[error("tensor `{name}` {what}")]
    Tensor {
        /// Name in the file.
        name: String,
        /// The problem.
        what: String,
    },
}

fn damaged(what: String) -> TorchFault {
    TorchFault::Archive(what)
}

fn io(error: &std::io::Error) -> TorchFault {
    TorchFault::Io(error.to_string())
}

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// A file of `torch.save` with its tensors, of which only the description is in memory.
#[derive(Debug)]
pub struct TorchFile<R> {
    file: R,
    length: u64,
    archive: BTreeMap<String, Entry>,
    tensors: BTreeMap<String, (View, Entry)>,
}

impl<R: Read + Seek> TorchFile<R> {
    /// Reads the directory and the pickle of a file of `length` bytes, and checks that every tensor fits its storage.
    ///
    /// # Errors
    /// [`TorchFault`] names what is wrong.
    pub fn open(mut file: R, length: u64) -> Result<Self, TorchFault> {
        let start = zip::at(&mut file, 0, length.min(512))?;
        match Foreign::of(&start, Expected::Archive) {
            Some(what) => return Err(TorchFault::Foreign(what)),
            None if !start.starts_with(b"PK\x03\x04") => {
                return Err(damaged("it does not begin like a ZIP archive".to_owned()));
            }
            None => {}
        }
        let archive = zip::read(&mut file, length)?;
        let root = root(&archive)?;
        let read = |file: &mut R, name: &str, limit: u64| {
            let Some(entry) = archive.get(&format!("{root}/{name}")) else { return Ok(None) };
            if entry.length > limit {
                let what = format!("has {} bytes; expected at most {limit}", entry.length);
                return Err(TorchFault::Entry { name: format!("{root}/{name}"), what });
            }
            let bytes = zip::at(file, entry.start, entry.length)?;
            check_crc(&format!("{root}/{name}"), entry, &crc_of(&bytes))?;
            Ok(Some(bytes))
        };
        if let Some(order) = read(&mut file, "byteorder", 16)?
            && order != b"little"
        {
            let (name, order) = (format!("{root}/byteorder"), order.escape_ascii().to_string());
            return Err(TorchFault::Entry {
                name,
                what: format!("is {order:?}; LoRB reads \"little\""),
            });
        }
        let pickle = read(&mut file, "data.pkl", MAX_PICKLE_BYTES)?.unwrap_or_default();
        let described = pickle::tensors(&pickle)?;
        if described.len() > MAX_TENSORS {
            return Err(damaged(format!("more than {MAX_TENSORS} tensors")));
        }
        let mut tensors = BTreeMap::new();
        for (name, view) in described {
            if name.len() > MAX_NAME_BYTES {
                return Err(damaged("the name of a tensor is too long".to_owned()));
            }
            let entry = archive.get(&format!("{root}/data/{}", view.storage.key));
            let fault = |what: String| TorchFault::Tensor { name: name.clone(), what };
            let entry = entry
                .ok_or_else(|| fault(format!("has no storage data/{}", view.storage.key)))?
                .clone();
            check(&view, &entry).map_err(fault)?;
            tensors.insert(name, (view, entry));
        }
        Ok(Self { file, length, archive, tensors })
    }

    /// SHA-256 of the file's bytes goes to `hasher`; the contents of all entries are compared with their CRC.
    fn check_all(&mut self, hasher: &mut Sha256) -> Result<(), TorchFault> {
        let mut entries: Vec<_> = self.archive.iter().map(|(name, entry)| (entry, name)).collect();
        entries.sort_by_key(|(entry, _)| entry.start);
        let mut coming = entries.into_iter().peekable();
        let (mut place, mut crc) = (0, Crc::new());
        let mut chunk = vec![0; CHUNK];
        self.file.seek(SeekFrom::Start(0)).map_err(|error| io(&error))?;
        loop {
            let count = self.file.read(&mut chunk).map_err(|error| io(&error))?;
            if count == 0 {
                break;
            }
            let bytes = &chunk[..count];
            hasher.update(bytes);
            let end = place + count as u64;
            while let Some((entry, name)) = coming.peek() {
                let last = entry.start + entry.length;
                let from = entry.start.clamp(place, end) - place;
                let to = last.clamp(place, end) - place;
                crc.update(&bytes[from as usize..to as usize]);
                if last > end {
                    break;
                }
                check_crc(name, entry, &crc)?;
                crc.reset();
                coming.next();
            }
            place = end;
        }
        if place != self.length || coming.peek().is_some() {
            return Err(damaged(format!("it ends after {place} bytes")));
        }
        Ok(())
    }

    /// The tensors as a header, with ranges in the order in which their bytes are in the file.
    fn header(&self) -> Header {
        let mut order: Vec<_> = self.tensors.iter().collect();
        order.sort_by_key(|(name, (view, entry))| (entry.start, view.offset, *name));
        let mut end = 0;
        let entries = order.into_iter().map(|(name, (view, _))| {
            let start = end;
            end += bytes(view) as usize;
            let shape = view.shape.iter().map(|axis| *axis as usize).collect();
            (name.clone(), TensorEntry { dtype: view.storage.dtype, shape, range: start..end })
        });
        let entries = entries.collect();
        Header { entries, metadata: BTreeMap::new(), data: end }
    }

    /// Gives a tensor's elements to `take`, row by row, in pieces.
    fn read<E: From<TorchFault>>(
        &mut self,
        name: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((view, entry)) = self.tensors.get(name) else { return Ok(()) };
        let size = size(view.storage.dtype);
        let start = entry.start + view.offset * size;
        if is_contiguous(view) {
            let end = start + bytes(view);
            for from in (start..end).step_by(CHUNK) {
                take(&zip::at(&mut self.file, from, (end - from).min(CHUNK as u64))?)?;
            }
            return Ok(());
        }
        // The part of the storage between the first and the last element is at most a few times as long as the tensor.
        let part = zip::at(&mut self.file, start, span(view) * size)?;
        let mut piece = Vec::with_capacity(CHUNK);
        let mut index = vec![0u64; view.shape.len()];
        for _ in 0..count(view) {
            let place = index.iter().zip(&view.strides).map(|(i, stride)| i * stride).sum::<u64>();
            let place = (place * size) as usize;
            piece.extend_from_slice(&part[place..place + size as usize]);
            if piece.len() >= CHUNK {
                take(&piece)?;
                piece.clear();
            }
            for (i, length) in index.iter_mut().zip(&view.shape).rev() {
                *i += 1;
                if *i < *length {
                    break;
                }
                *i = 0;
            }
        }
        take(&piece)
    }

    /// The file as safetensors, with the same names, types and values.
    ///
    /// # Errors
    /// [`TorchFault`] if the file is damaged, or if its tensors have more bytes than the file.
    pub fn into_safetensors(mut self) -> Result<Vec<u8>, TorchFault> {
        self.check_all(&mut Sha256::new())?;
        let header = self.header();
        // Tensors that share a storage are written separately.
        let limit = self.length.saturating_mul(2);
        if header.data as u64 > limit {
            let what = format!("its tensors have {} bytes, more than twice the file", header.data);
            return Err(damaged(what));
        }
        let mut text = serde_json::Map::new();
        for (name, TensorEntry { dtype, shape, range }) in &header.entries {
            let entry = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [range.start, range.end]});
            text.insert(name.clone(), entry);
        }
        let mut text = serde_json::to_vec(&text).map_err(|error| damaged(error.to_string()))?;
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut file = Vec::with_capacity(8 + text.len() + header.data);
        file.extend((text.len() as u64).to_le_bytes());
        file.append(&mut text);
        let mut order: Vec<_> = header.entries.iter().collect();
        order.sort_by_key(|(_, entry)| (entry.range.start, entry.range.end));
        for (name, _) in order {
            self.read(name, |piece| {
                file.extend_from_slice(piece);
                Ok::<_, TorchFault>(())
            })?;
        }
        Ok(file)
    }
}

impl Base {
    /// Reads a base whose weights `torch.save` wrote: `pytorch_model.bin`, or the files that `index` names
    /// (`pytorch_model.bin.index.json`). `open` opens such a file by its name, and returns its length. Linear weights are
    /// stored in `format`.
    ///
    /// # Errors
    /// [`BaseError`] names the file and the invalid key, token or tensor; errors of `open` are returned.
    pub fn from_torch<R: Read + Seek, E: From<BaseError>>(
        config: &[u8],
        tokenizer: TokenizerFiles<'_>,
        format: Format,
        index: Option<&[u8]>,
        mut open: impl FnMut(&str) -> Result<(R, u64), E>,
    ) -> Result<Self, E> {
        let config = BertConfig::from_json(config)?;
        let tokenizer = BertTokenizer::from_files(tokenizer, &config)?;
        let index = index.map(|bytes| Index::read(bytes, Index::PYTORCH)).transpose()?;
        let names = index.as_ref().map_or_else(|| vec![WEIGHTS.to_owned()], |i| i.files.clone());
        let mut files = Vec::new();
        for name in names {
            let (file, length) = open(&name)?;
            let file = TorchFile::open(file, length).map_err(|fault| within(&name, fault))?;
            files.push((name, file));
        }
        let (weights, hash) = read_all(&mut files, index.as_ref(), &config, format)?;
        Ok(Self { config, tokenizer, weights, hash })
    }
}

/// Reads the encoder's tensors from files, and hashes their bytes.
fn read_all<R: Read + Seek>(
    files: &mut [(String, TorchFile<R>)],
    index: Option<&Index>,
    config: &BertConfig,
    format: Format,
) -> Result<(BaseWeights, String), BaseError> {
    let whole = index.map_or(WEIGHTS, |index| index.name);
    let names: Vec<&str> = match index {
        Some(index) => index.places.keys().map(String::as_str).collect(),
        None => {
            files.iter().flat_map(|(_, file)| file.tensors.keys()).map(String::as_str).collect()
        }
    };
    let plan = Plan::new(&names, config).map_err(|error| error.within(whole))?;
    let mut tensors = Tensors::new(plan, config.architecture, format);
    let mut hasher = Sha256::new();
    for (name, file) in files.iter_mut() {
        if let Some(index) = index {
            let mut here = index.places.iter().filter(|(_, place)| *place == name);
            if let Some((tensor, _)) = here.find(|(tensor, _)| !file.tensors.contains_key(*tensor))
            {
                let what =
                    format!("tensor `{tensor}` is in {name}, but that file has no such tensor");
                return Err(BaseError::Index { file: index.name, what });
            }
        }
        let here = |tensor: &str| {
            index.is_none_or(|index| index.places.get(tensor).is_some_and(|place| place == name))
        };
        let used = tensors.begin_used(file.header(), &here).map_err(|error| error.within(name))?;
        // Shapes are known to be those of the configuration, so what follows is bounded.
        file.check_all(&mut hasher).map_err(|fault| within(name, fault))?;
        for tensor in used {
            let push =
                |piece: &[u8]| tensors.push(piece).map_err(|error| Piece(error.within(name)));
            file.read(&tensor, push).map_err(|Piece(error)| match error {
                BaseError::Torch { fault, .. } => within(name, fault),
                other => other,
            })?;
        }
    }
    let weights = tensors.finish().map_err(|error| error.within(whole))?;
    Ok((weights, hex(hasher)))
}

/// An error while a tensor is read: that of the file, or of what its values go to.
struct Piece(BaseError);

impl From<TorchFault> for Piece {
    fn from(fault: TorchFault) -> Self {
        Self(within("", fault))
    }
}

fn within(file: &str, fault: TorchFault) -> BaseError {
    BaseError::Torch { file: file.to_owned(), fault }
}

/// The folder in the archive that contains everything; its name is that of the file when it was saved.
fn root(archive: &BTreeMap<String, Entry>) -> Result<String, TorchFault> {
    let mut roots = archive.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
    let roots = (roots.next(), roots.next());
    let (Some(root), None) = roots else {
        let what = match roots {
            (None, _) => "it has no data.pkl",
            _ => "it has more than one data.pkl",
        };
        return Err(damaged(what.to_owned()));
    };
    let program =
        |name: &String| name.strip_prefix(root).is_some_and(|name| name.starts_with("/code/"));
    if archive.contains_key(&format!("{root}/constants.pkl")) || archive.keys().any(program) {
        return Err(damaged("it is a TorchScript program, not a state dictionary".to_owned()));
    }
    Ok(root.to_owned())
}

fn crc_of(bytes: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc
}

fn check_crc(name: &str, entry: &Entry, found: &Crc) -> Result<(), TorchFault> {
    if found.sum() == entry.crc {
        return Ok(());
    }
    let what = "is damaged: its checksum is wrong; download or write the file again".to_owned();
    Err(TorchFault::Entry { name: name.to_owned(), what })
}

/// Checks that a storage has its entry's length, and a tensor only elements of its storage.
fn check(view: &View, entry: &Entry) -> Result<(), String> {
    let View { storage, offset, shape, strides } = view;
    let size = size(storage.dtype);
    if storage.count.checked_mul(size) != Some(entry.length) {
        let (count, dtype, length) = (storage.count, storage.dtype, entry.length);
        return Err(format!(
            "has a storage of {count} elements of type {dtype:?}, but {length} bytes"
        ));
    }
    if strides.len() != shape.len() {
        return Err(format!("has {} axes and {} strides", shape.len(), strides.len()));
    }
    let count = shape.iter().try_fold(1u64, |count, axis| count.checked_mul(*axis));
    let Some(count) = count.filter(|count| *count <= storage.count) else {
        let most = storage.count;
        return Err(format!("of shape {shape:?} has more elements than its storage of {most}"));
    };
    if count == 0 {
        return Ok(());
    }
    let mut last = Some(*offset);
    for (axis, stride) in shape.iter().zip(strides) {
        last = last.and_then(|last| last.checked_add((axis - 1).checked_mul(*stride)?));
    }
    if last.is_none_or(|last| last >= storage.count) {
        return Err(format!(
            "of shape {shape:?} and strides {strides:?} from element {offset} is not within its storage of {} elements",
            storage.count
        ));
    }
    let span = span(view);
    if !is_contiguous(view) && span > count * MAX_VIEW_RATIO {
        return Err(format!(
            "is a view of {count} elements among {span}; save a copy of it (tensor.contiguous())"
        ));
    }
    Ok(())
}

/// Bytes of an element.
fn size(dtype: Dtype) -> u64 {
    (dtype.bitsize() / 8) as u64
}

/// Elements of a tensor.
fn count(view: &View) -> u64 {
    view.shape.iter().product()
}

fn bytes(view: &View) -> u64 {
    count(view) * size(view.storage.dtype)
}

/// Elements of the storage from the first to the last of the tensor.
fn span(view: &View) -> u64 {
    if count(view) == 0 {
        return 0;
    }
    let last = view.shape.iter().zip(&view.strides).map(|(axis, stride)| (axis - 1) * stride);
    last.sum::<u64>() + 1
}

/// Whether the elements are in the storage one after the other, row by row.
fn is_contiguous(view: &View) -> bool {
    let mut expected = 1;
    view.shape.iter().zip(&view.strides).rev().all(|(axis, stride)| {
        let fits = *axis == 1 || *stride == expected;
        expected *= axis;
        fits
    }) || count(view) == 0
}
