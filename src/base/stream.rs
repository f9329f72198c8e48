//! Streaming reader of `model.safetensors`: every tensor is converted to its final format while its bytes arrive,
//! so that memory never contains both the whole file and the tensors.

use std::collections::{BTreeMap, VecDeque};

use half::f16;
use safetensors::Dtype;

use super::arch::Architecture;
use super::index::Index;
use super::survey::{Placed, Plan, Role, SCALES};
use super::tensor_file::{Header, LENGTH, damaged, foreign, widen};
use super::{BaseError, BaseWeights, BertConfig, Origin, TensorEntry, TensorFault, int4};
use crate::packed::{Elements, Format, Packed, quantise};

/// Reads the weights of a base from chunks of its file of any length, in order, or from those of its shards.
///
/// The header is checked against the configuration before the first tensor, and each element as it arrives. In
/// addition to the converted tensors, at most one row is buffered, or one weight in int4, until its scales are known.
#[derive(Debug)]
pub struct WeightStream {
    config: BertConfig,
    format: Format,
    /// The shards, and the one that is being read.
    index: Option<(Index, usize)>,
    /// Length of the current file in bytes, if known.
    expected: Option<u64>,
    received: u64,
    /// The bytes of length and header received so far, until they are complete.
    head: Option<Vec<u8>>,
    tensors: Option<Box<Tensors>>,
}

impl WeightStream {
    /// A stream for a base with this configuration. Linear weights are stored in `format`, or in
    /// int8 if they are int8 in the file; the embeddings of the vocabulary in f16 or int8 if they are that in the file;
    /// everything else in f32. `expected` is the length of the file, if known.
    #[must_use]
    pub fn new(config: &BertConfig, format: Format, expected: Option<u64>) -> Self {
        let (config, head) = (config.clone(), Some(Vec::new()));
        Self { config, format, index: None, expected, received: 0, head, tensors: None }
    }

    /// A stream for the shards that an index names (`model.safetensors.index.json`). Each one begins with
    /// [`WeightStream::begin_shard`], in the order of [`WeightStream::shards`].
    ///
    /// # Errors
    /// [`BaseError`] names the index and what is wrong, or the missing tensor.
    pub fn sharded(config: &BertConfig, format: Format, index: &[u8]) -> Result<Self, BaseError> {
        let index = Index::read(index, Index::SAFETENSORS)?;
        let names: Vec<&str> = index.places.keys().map(String::as_str).collect();
        let plan = Plan::new(&names, config).map_err(|error| error.within(index.name))?;
        let tensors = Tensors::new(plan, config.architecture, format);
        Ok(Self {
            config: config.clone(),
            format,
            index: Some((index, 0)),
            expected: None,
            received: 0,
            head: None,
            tensors: Some(Box::new(tensors)),
        })
    }

    /// The names of the shards, in the order in which they are read; none if the weights are one file.
    #[must_use]
    pub fn shards(&self) -> &[String] {
        self.index.as_ref().map_or(&[], |(index, _)| &index.files)
    }

    /// Begins the next shard. `expected` is its length, if known.
    ///
    /// # Errors
    /// [`BaseError`] if the shard before it is incomplete, or if there is no other one.
    pub fn begin_shard(&mut self, expected: Option<u64>) -> Result<(), BaseError> {
        let begun = self.received > 0 || self.head.is_some();
        if begun {
            self.end_file()?;
        }
        let Some((index, at)) = &mut self.index else {
            return Err(damaged("it has no shards".to_owned()).into());
        };
        *at += usize::from(begun);
        if *at >= index.files.len() {
            let what = format!("there is no shard after {}", index.files.len());
            return Err(BaseError::Index { file: index.name, what });
        }
        (self.expected, self.received, self.head) = (expected, 0, Some(Vec::new()));
        Ok(())
    }

    /// Processes the next bytes of the file.
    ///
    /// # Errors
    /// [`BaseError`] names the first invalid tensor; after an error, the stream can no longer be used.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BaseError> {
        let result = self.read(bytes);
        result.map_err(|error| self.located(error))
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), BaseError> {
        self.received += bytes.len() as u64;
        if let Some(head) = &mut self.head {
            let Some(header) = take_header(head, &mut bytes, self.expected)? else {
                return Ok(());
            };
            let start = head.len() as u64;
            let whole = start + header.data as u64;
            if let Some(expected) = self.expected.filter(|expected| *expected != whole) {
                let what = format!("{expected} bytes do not match its header's {whole}");
                return Err(damaged(what).into());
            }
            (self.expected, self.head) = (Some(whole), None);
            self.begin_tensors(header)?;
        }
        match &mut self.tensors {
            Some(tensors) => tensors.push(bytes),
            None => Ok(()),
        }
    }

    fn begin_tensors(&mut self, header: Header) -> Result<(), BaseError> {
        if let (Some((index, at)), Some(tensors)) = (&self.index, &mut self.tensors) {
            let file = &index.files[*at];
            let missing = |(name, place): &(&String, &String)| {
                *place == file && !header.entries.contains_key(*name)
            };
            if let Some((name, _)) = index.places.iter().find(missing) {
                let what =
                    format!("tensor `{name}` is in {file}, but that file has no such tensor");
                return Err(BaseError::Index { file: index.name, what });
            }
            // A file without it, or with another one, was not written with the rest.
            let origin = Origin::read(&header.metadata)?;
            if *at == 0 {
                tensors.origin = origin;
            } else if tensors.origin != origin {
                let what = format!("{file} and {} are not of the same base", index.files[0]);
                return Err(BaseError::Index { file: index.name, what });
            }
            return tensors.begin(header, &|name| index.places.get(name) == Some(file));
        }
        let names: Vec<&str> = header.entries.keys().map(String::as_str).collect();
        let plan = Plan::new(&names, &self.config)?;
        let mut tensors = Tensors::new(plan, self.config.architecture, self.format);
        let origin = Origin::read(&header.metadata)?;
        origin.iter().try_for_each(|origin| origin.check(&header.entries))?;
        tensors.origin = origin;
        tensors.begin(header, &|_| true)?;
        self.tensors = Some(Box::new(tensors));
        Ok(())
    }

    /// The tensors, after all bytes.
    ///
    /// # Errors
    /// [`TensorFault::Container`] if bytes are missing.
    pub fn finish(mut self) -> Result<BaseWeights, BaseError> {
        self.end_file()?;
        if let Some((index, at)) = &self.index
            && at + 1 < index.files.len()
        {
            let what = format!("{} was not read", index.files[at + 1]);
            return Err(BaseError::Index { file: index.name, what });
        }
        match self.tensors {
            Some(tensors) => tensors.finish(),
            None => Err(damaged("it has no header".to_owned()).into()),
        }
    }

    /// Checks that the current file is complete.
    fn end_file(&mut self) -> Result<(), BaseError> {
        if self.head.is_none() && self.expected == Some(self.received) {
            // Tensors without bytes are complete immediately.
            return self.push(&[]);
        }
        let whole = self.expected.map(|whole| format!(" of {whole}")).unwrap_or_default();
        let short = || damaged(format!("it ends after {}{whole} bytes", self.received));
        let start = match &self.head {
            Some(head) if head.len() < LENGTH => foreign(head),
            _ => None,
        };
        Err(self.located(start.unwrap_or_else(short).into()))
    }

    /// An error with the name of the current shard.
    fn located(&self, error: BaseError) -> BaseError {
        match &self.index {
            Some((index, at)) => error.within(&index.files[*at]),
            None => error,
        }
    }
}

/// Moves bytes to `head` until it contains length and header, then returns the header.
fn take_header(
    head: &mut Vec<u8>,
    bytes: &mut &[u8],
    file: Option<u64>,
) -> Result<Option<Header>, BaseError> {
    let mut fill = |head: &mut Vec<u8>, until: usize| {
        let (taken, rest) = bytes.split_at(bytes.len().min(until.saturating_sub(head.len())));
        head.extend(taken);
        *bytes = rest;
        head.len() >= until
    };
    if !fill(head, LENGTH) {
        return Ok(None);
    }
    let mut first = [0; LENGTH];
    first.copy_from_slice(&head[..LENGTH]);
    let end = LENGTH + Header::length(first, file)?;
    if !fill(head, end) {
        return Ok(None);
    }
    Ok(Some(Header::parse(&head[LENGTH..])?))
}

/// The tensors being read.
#[derive(Debug)]
pub(super) struct Tensors {
    plan: Plan,
    architecture: &'static Architecture,
    format: Format,
    /// The remaining tensors of the current file, the current one first.
    coming: VecDeque<Placed>,
    under_way: Option<Arrival>,
    done: BTreeMap<String, (Vec<usize>, Elements)>,
    scales: BTreeMap<String, Vec<f32>>,
    /// Weights in int4 whose scales come later.
    waiting: BTreeMap<String, Vec<u8>>,
    entries: BTreeMap<String, TensorEntry>,
    origin: Option<Origin>,
}

impl Tensors {
    pub fn new(plan: Plan, architecture: &'static Architecture, format: Format) -> Self {
        Self {
            plan,
            architecture,
            format,
            coming: VecDeque::new(),
            under_way: None,
            done: BTreeMap::new(),
            scales: BTreeMap::new(),
            waiting: BTreeMap::new(),
            entries: BTreeMap::new(),
            origin: None,
        }
    }

    /// Begins a file, all of whose bytes follow. `here` is whether a name belongs to it.
    pub fn begin(&mut self, header: Header, here: &dyn Fn(&str) -> bool) -> Result<(), BaseError> {
        let parts = self.plan.file(&header, here)?;
        self.plan.count_unused(&parts)?;
        self.expect(parts, header);
        Ok(())
    }

    /// The bytes of these tensors come next.
    fn expect(&mut self, parts: Vec<Placed>, header: Header) {
        self.coming = parts.into();
        self.entries.extend(header.entries);
    }

    /// Begins a file of which only the bytes of used tensors follow. Returns these tensors, in the order of their bytes.
    #[cfg(not(target_family = "wasm"))]
    pub fn begin_used(
        &mut self,
        header: Header,
        here: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<String>, BaseError> {
        let mut parts = self.plan.file(&header, here)?;
        parts.retain(|(_, _, role)| *role != Role::None);
        let names = parts.iter().map(|(stored, ..)| stored.clone()).collect();
        self.expect(parts, header);
        Ok(names)
    }

    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), BaseError> {
        while let Some((stored, entry, role)) = self.coming.front() {
            let (architecture, format) = (self.architecture, self.format);
            let arrival = self
                .under_way
                .get_or_insert_with(|| Arrival::new(entry, role, architecture, format));
            let (taken, rest) = bytes.split_at(bytes.len().min(arrival.left));
            arrival.push(taken, stored)?;
            bytes = rest;
            if arrival.left > 0 {
                return Ok(());
            }
            self.complete()?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        Err(damaged(format!("{} bytes follow the last tensor", bytes.len())).into())
    }

    fn complete(&mut self) -> Result<(), BaseError> {
        let (Some((_, entry, role)), Some(arrival)) =
            (self.coming.pop_front(), self.under_way.take())
        else {
            return Ok(());
        };
        match (role, arrival.sink) {
            (Role::Scales(weight), Sink::Full(scales)) => {
                self.scales.insert(weight.clone(), scales);
                self.unpack(&weight)?;
            }
            (Role::Tensor(name), Sink::Nibbles(bytes)) => {
                self.waiting.insert(name.clone(), bytes);
                self.unpack(&name)?;
            }
            (Role::Tensor(name), sink) => {
                let elements = match sink {
                    Sink::Full(values) => Elements::F32(values),
                    Sink::Half(values) => Elements::F16(values),
                    Sink::Rows { values, scales, .. } => Elements::Int8 { values, scales },
                    // The scales may come earlier or later.
                    Sink::Bytes(values) => Elements::Int8 { values, scales: Vec::new() },
                    Sink::Nothing | Sink::Nibbles(_) => return Ok(()),
                };
                self.done.insert(name, (entry.shape, elements));
            }
            _ => {}
        }
        Ok(())
    }

    /// Converts a weight in int4, once both its bytes and its scales are there.
    fn unpack(&mut self, name: &str) -> Result<(), BaseError> {
        let (Some(bytes), Some(scales)) = (self.waiting.get(name), self.scales.get(name)) else {
            return Ok(());
        };
        let shape = self.plan.shape(name);
        check_count(name, scales, int4::scales_shape(shape).iter().product())?;
        if let Some(index) = scales.iter().position(|scale| scale.abs() > LARGEST_SCALE) {
            let (name, value) = (format!("{name}{SCALES}"), scales[index]);
            return Err(TensorFault::NotFinite { name, index, value }.into());
        }
        let values = int4::unpack(bytes, scales, shape[1]);
        let packed = Packed::new(values, shape[1], self.format);
        self.done.insert(name.to_owned(), (shape.to_vec(), packed.into_elements()));
        self.waiting.remove(name);
        self.scales.remove(name);
        Ok(())
    }

    pub fn finish(mut self) -> Result<BaseWeights, BaseError> {
        // Tensors without bytes are complete immediately.
        self.push(&[])?;
        self.origin.iter().try_for_each(|origin| origin.check(&self.entries))?;
        if let Some(name) = self.waiting.keys().next() {
            let hint = "; its weight has dtype U8".to_owned();
            return Err(BaseError::MissingTensor { name: format!("{name}{SCALES}"), hint });
        }
        let mut tensors = BTreeMap::new();
        for (name, (shape, mut elements)) in self.done {
            // A head of which a later shard has another shape.
            if !self.plan.is_used(&name) {
                continue;
            }
            if let (Elements::Int8 { scales, .. }, Some(stored)) =
                (&mut elements, self.scales.remove(&name))
            {
                check_count(&name, &stored, shape[0])?;
                *scales = stored;
            }
            let inputs = shape.last().copied().unwrap_or(1);
            tensors.insert(name, (shape, Packed::from_elements(elements, inputs)));
        }
        let ignored = self.plan.into_ignored();
        Ok(BaseWeights::new(self.architecture, tensors, ignored, self.entries, self.origin))
    }
}

/// The conversion of a tensor's bytes.
#[derive(Debug)]
enum Sink {
    Nothing,
    Full(Vec<f32>),
    Half(Vec<f16>),
    /// Rounded to 8 bits row by row.
    Rows {
        inputs: usize,
        row: Vec<f32>,
        values: Vec<i8>,
        scales: Vec<f32>,
    },
    /// Already int8.
    Bytes(Vec<i8>),
    /// int4, two values to a byte.
    Nibbles(Vec<u8>),
}

/// Largest scale of int4 values, far above what f16 can represent: eight times as much is finite.
const LARGEST_SCALE: f32 = 1e30;

/// Checks the number of scales of a weight, which may be in another file than the weight.
fn check_count(name: &str, scales: &[f32], expected: usize) -> Result<(), BaseError> {
    if scales.len() == expected {
        return Ok(());
    }
    let (found, expected) = (vec![scales.len()], vec![expected]);
    Err(BaseError::Shape { name: format!("{name}{SCALES}"), found, expected })
}

/// A partially read tensor.
#[derive(Debug)]
struct Arrival {
    dtype: Dtype,
    /// Remaining bytes.
    left: usize,
    /// Received elements.
    count: usize,
    /// The bytes of an incomplete element.
    part: Vec<u8>,
    sink: Sink,
}

/// Number of elements that are widened at a time before rounding.
const STRIDE: usize = 4096;

impl Arrival {
    fn new(entry: &TensorEntry, role: &Role, architecture: &Architecture, format: Format) -> Self {
        let count = entry.shape.iter().product();
        let full = || Sink::Full(Vec::with_capacity(count));
        let sink = match role {
            Role::None => Sink::Nothing,
            Role::Scales(_) => full(),
            Role::Tensor(_) if entry.dtype == Dtype::I8 => Sink::Bytes(Vec::with_capacity(count)),
            Role::Tensor(_) if entry.dtype == Dtype::U8 => Sink::Nibbles(Vec::with_capacity(count)),
            Role::Tensor(name) if architecture.is_linear(name, &entry.shape) => match format {
                Format::F32 => full(),
                Format::F16 => Sink::Half(Vec::with_capacity(count)),
                Format::Int8 => Sink::Rows {
                    inputs: entry.shape[1],
                    row: Vec::with_capacity(entry.shape[1]),
                    values: Vec::with_capacity(count),
                    scales: Vec::with_capacity(entry.shape[0]),
                },
            },
            // Large, and only a batch's rows of it are used.
            Role::Tensor(name)
                if entry.dtype == Dtype::F16
                    && name.strip_suffix(".weight") == Some(architecture.embeddings.words) =>
            {
                Sink::Half(Vec::with_capacity(count))
            }
            Role::Tensor(_) => full(),
        };
        Self { dtype: entry.dtype, left: entry.range.len(), count: 0, part: Vec::new(), sink }
    }

    fn push(&mut self, mut bytes: &[u8], stored: &str) -> Result<(), TensorFault> {
        self.left -= bytes.len();
        match &mut self.sink {
            Sink::Nothing => return Ok(()),
            Sink::Bytes(values) => {
                values.extend(bytes.iter().map(|byte| *byte as i8));
                return Ok(());
            }
            Sink::Nibbles(values) => {
                values.extend(bytes);
                return Ok(());
            }
            _ => {}
        }
        let size = self.dtype.bitsize() / 8;
        if !self.part.is_empty() {
            let (taken, rest) = bytes.split_at(bytes.len().min(size - self.part.len()));
            self.part.extend(taken);
            bytes = rest;
            if self.part.len() < size {
                return Ok(());
            }
            let whole = std::mem::take(&mut self.part);
            self.elements(&whole, stored)?;
        }
        let (whole, part) = bytes.split_at(bytes.len() / size * size);
        self.part.extend(part);
        whole.chunks(STRIDE * size).try_for_each(|chunk| self.elements(chunk, stored))
    }

    /// Converts complete elements.
    fn elements(&mut self, bytes: &[u8], stored: &str) -> Result<(), TensorFault> {
        let dtype = self.dtype;
        let finite = |new: &[f32]| {
            let Some(index) = new.iter().position(|value| !value.is_finite()) else {
                return Ok(());
            };
            let (name, value) = (stored.to_owned(), new[index]);
            Err(TensorFault::NotFinite { name, index: self.count + index, value })
        };
        let new = match &mut self.sink {
            Sink::Full(values) => {
                let before = values.len();
                widen(dtype, bytes, values);
                finite(&values[before..])?;
                values.len() - before
            }
            Sink::Half(halves) => {
                let mut new = Vec::with_capacity(STRIDE);
                widen(dtype, bytes, &mut new);
                finite(&new)?;
                halves.extend(new.iter().map(|value| f16::from_f32(*value)));
                new.len()
            }
            Sink::Rows { inputs, row, values, scales } => {
                let mut new = Vec::with_capacity(STRIDE);
                widen(dtype, bytes, &mut new);
                finite(&new)?;
                let mut rest = new.as_slice();
                while !rest.is_empty() {
                    let (taken, after) = rest.split_at(rest.len().min(*inputs - row.len()));
                    row.extend(taken);
                    rest = after;
                    if row.len() == *inputs {
                        scales.push(quantise(row, values));
                        row.clear();
                    }
                }
                new.len()
            }
            Sink::Nothing | Sink::Bytes(_) | Sink::Nibbles(_) => 0,
        };
        self.count += new;
        Ok(())
    }
}
