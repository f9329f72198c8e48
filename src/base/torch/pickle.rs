//! The pickle in an archive of `torch.save`: a program for a stack machine that builds a dictionary of tensors.
//!
//! Python's machine can import and call any function. This one knows the operations and names that state dictionaries need,
//! listed in [`Name::of`], and rejects everything else before it has an effect. It calls nothing: a "call" of one of these
//! names builds a value of [`Value`]. Time and memory are proportional to the length of the pickle, which is limited.

use std::collections::HashMap;
use std::rc::Rc;

use safetensors::Dtype;

use super::TorchFault;
use crate::bounds::{
    MAX_AXES, MAX_NAME_BYTES, MAX_PICKLE_DEPTH, MAX_PICKLE_MEMO, MAX_PICKLE_STACK, MAX_TENSORS,
};

/// A tensor as the pickle describes it: a view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub storage: Rc<Storage>,
    /// Element of the storage at which the tensor begins.
    pub offset: u64,
    pub shape: Vec<u64>,
    /// Elements of the storage from one index of an axis to the next.
    pub strides: Vec<u64>,
}

/// A storage: the entry `data/KEY` of the archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Storage {
    pub key: String,
    pub dtype: Dtype,
    /// Elements.
    pub count: u64,
}

/// Runs the pickle; returns the tensors by name, in its order.
pub fn tensors(pickle: &[u8]) -> Result<Vec<(String, View)>, TorchFault> {
    let mut machine = Machine { bytes: pickle, ..Machine::default() };
    let result = machine.run();
    let at = machine.at as u64;
    let dict = result.map_err(|error| match error {
        Fault::Text(what) => TorchFault::Pickle { at, what },
        Fault::Name(name) => TorchFault::Name { name },
    })?;
    let mut found: HashMap<&str, ()> = HashMap::new();
    let mut tensors = Vec::new();
    for (key, value) in &machine.dicts[dict] {
        let Value::Text(name) = key else {
            let what = format!("a key is {}; expected the name of a tensor", key.kind());
            return Err(TorchFault::Pickle { at, what });
        };
        let Value::Tensor(view) = value else {
            let (name, kind) = (name.to_string(), value.kind());
            return Err(TorchFault::NotATensor { name, kind });
        };
        if found.insert(name, ()).is_some() {
            return Err(TorchFault::Tensor {
                name: name.to_string(),
                what: "is there twice".into(),
            });
        }
        tensors.push((name.to_string(), View::clone(view)));
    }
    Ok(tensors)
}

/// A value of the machine. Dictionaries and lists are references, as in Python, because they are filled after they were
/// stored.
#[derive(Debug, Clone)]
enum Value {
    None,
    Bool,
    Int(i64),
    Float,
    Text(Rc<str>),
    /// With the depth of nested tuples, which is limited because dropping them recurses.
    Tuple(u8, Rc<[Value]>),
    List,
    Dict(usize),
    Name(Name),
    Storage(Rc<Storage>),
    Tensor(Rc<View>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool => "a truth value",
            Self::Int(_) | Self::Float => "a number",
            Self::Text(_) => "a text",
            Self::Tuple(..) => "a tuple",
            Self::List => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Name(_) => "a function",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// The names that a pickle may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    Storage(Dtype),
}

impl Name {
    fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "Size") => Self::Size,
            ("torch", "DoubleStorage") => Self::Storage(Dtype::F64),
            ("torch", "FloatStorage") => Self::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Self::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Dtype::BF16),
            ("torch", "LongStorage") => Self::Storage(Dtype::I64),
            ("torch", "IntStorage") => Self::Storage(Dtype::I32),
            ("torch", "ShortStorage") => Self::Storage(Dtype::I16),
            ("torch", "CharStorage") => Self::Storage(Dtype::I8),
            ("torch", "ByteStorage") => Self::Storage(Dtype::U8),
            ("torch", "BoolStorage") => Self::Storage(Dtype::BOOL),
            _ => return None,
        })
    }
}

enum Fault {
    Text(String),
    /// A name that is not in the list.
    Name(String),
}

impl From<&str> for Fault {
    fn from(what: &str) -> Self {
        Self::Text(what.to_owned())
    }
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Text(what)
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Lengths of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    dicts: Vec<Vec<(Value, Value)>>,
}

impl<'a> Machine<'a> {
    /// Runs all operations; returns the dictionary that is the result.
    fn run(&mut self) -> Result<usize, Fault> {
        loop {
            let code = self.take(1)?[0];
            match code {
                // PROTO and FRAME.
                0x80 => match self.take(1)?[0] {
                    2..=5 => {}
                    version => return Err(format!("protocol {version}; expected 2 to 5").into()),
                },
                0x95 => drop(self.take(8)?),
                b'.' => break,
                b'(' => {
                    self.check_depth(self.marks.len())?;
                    self.marks.push(self.stack.len());
                }
                b'N' => self.push(Value::None)?,
                0x88 | 0x89 => self.push(Value::Bool)?,
                b'K' => {
                    let value = self.take(1)?[0];
                    self.push(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                0x8a => self.long()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Float)?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.text(length as usize)?;
                }
                0x8c => {
                    let length = self.take(1)?[0];
                    self.text(length.into())?;
                }
                b')' => self.push(Value::Tuple(0, Rc::new([])))?,
                0x85..=0x87 => {
                    let from = self.stack.len().checked_sub(usize::from(code - 0x84));
                    self.tuple(from.ok_or("too few values for a tuple")?)?;
                }
                b't' => {
                    let from = self.mark()?;
                    self.tuple(from)?;
                }
                b']' => self.push(Value::List)?,
                b'a' => {
                    self.pop()?;
                    self.check_list()?;
                }
                b'e' => {
                    let from = self.mark()?;
                    self.stack.truncate(from);
                    self.check_list()?;
                }
                b'}' => self.new_dict()?,
                b's' => {
                    let from = self.stack.len().checked_sub(2).ok_or("too few values")?;
                    self.set(from)?;
                }
                b'u' => {
                    let from = self.mark()?;
                    self.set(from)?;
                }
                b'q' => {
                    let key = self.take(1)?[0];
                    self.store(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.array()?);
                    self.store(key)?;
                }
                0x94 => self.store(self.memo.len() as u32)?,
                b'h' => {
                    let key = self.take(1)?[0];
                    self.load(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.array()?);
                    self.load(key)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.name(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (module, name) else {
                        return Err("a name that is not a text".into());
                    };
                    self.name(&module, &name)?;
                }
                b'Q' => self.persistent()?,
                b'R' => self.call()?,
                b'b' => self.build()?,
                other => return Err(self.unknown(other)),
            }
        }
        if self.at < self.bytes.len() {
            return Err("bytes follow its end".into());
        }
        match (self.pop()?, self.stack.is_empty()) {
            (Value::Dict(dict), true) => Ok(dict),
            (other, _) => {
                Err(format!("it is {}; expected a dictionary of tensors", other.kind()).into())
            }
        }
    }

    /// An operation that state dictionaries do not need; those that run code are named.
    fn unknown(&self, code: u8) -> Fault {
        let name = match code {
            b'i' => "INST, which calls a function",
            b'o' => "OBJ, which calls a function",
            0x81 => "NEWOBJ, which creates an object",
            0x92 => "NEWOBJ_EX, which creates an object",
            0x82..=0x84 => "EXT, which calls a registered function",
            b'P' => "PERSID, which old formats use",
            _ => return format!("operation {code:#04x} is not part of a state dictionary").into(),
        };
        format!("operation {name}, is not part of a state dictionary").into()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("it ends in the middle of an operation")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(MAX_NAME_BYTES).position(|byte| *byte == b'\n');
        let line = self.take(end.ok_or("a name without an end")? + 1)?;
        std::str::from_utf8(&line[..line.len() - 1]).map_err(|_| "a name is not UTF-8".into())
    }

    fn check_depth(&self, depth: usize) -> Result<(), Fault> {
        if depth >= MAX_PICKLE_STACK {
            return Err(format!("more than {MAX_PICKLE_STACK} values on its stack").into());
        }
        Ok(())
    }

    fn push(&mut self, value: Value) -> Result<(), Fault> {
        self.check_depth(self.stack.len())?;
        self.stack.push(value);
        Ok(())
    }

    /// The last value after the last mark.
    fn pop(&mut self) -> Result<Value, Fault> {
        if self.marks.last().is_some_and(|mark| *mark >= self.stack.len()) {
            return Err("a mark where a value is needed".into());
        }
        self.stack.pop().ok_or_else(|| "its stack is empty where a value is needed".into())
    }

    fn mark(&mut self) -> Result<usize, Fault> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        mark.ok_or_else(|| "a mark is missing".into())
    }

    fn long(&mut self) -> Result<(), Fault> {
        let length = usize::from(self.take(1)?[0]);
        let bytes = self.take(length)?;
        if length > 8 {
            return Err(format!("a number of {length} bytes").into());
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut all = [if negative { 0xff } else { 0 }; 8];
        all[..length].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(all)))
    }

    fn text(&mut self, length: usize) -> Result<(), Fault> {
        let bytes = self.take(length)?;
        if length > MAX_NAME_BYTES {
            return Err(
                format!("a text of {length} bytes; expected at most {MAX_NAME_BYTES}").into()
            );
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")?;
        self.push(Value::Text(text.into()))
    }

    fn tuple(&mut self, from: usize) -> Result<(), Fault> {
        if self.marks.last().is_some_and(|mark| *mark > from) {
            return Err("a mark within a tuple".into());
        }
        let items: Rc<[Value]> = self.stack.drain(from..).collect();
        let inner =
            items.iter().map(|item| if let Value::Tuple(depth, _) = item { depth + 1 } else { 0 });
        let depth = inner.max().unwrap_or(0);
        if depth > MAX_PICKLE_DEPTH {
            return Err(format!("more than {MAX_PICKLE_DEPTH} nested tuples").into());
        }
        self.push(Value::Tuple(depth, items))
    }

    fn check_list(&mut self) -> Result<(), Fault> {
        // Lists are not part of weights; what they contain is of no use.
        match self.stack.last() {
            Some(Value::List) => Ok(()),
            _ => Err("an element without its list".into()),
        }
    }

    fn new_dict(&mut self) -> Result<(), Fault> {
        self.dicts.push(Vec::new());
        self.push(Value::Dict(self.dicts.len() - 1))
    }

    /// Moves keys and values from the stack to the dictionary below them.
    fn set(&mut self, from: usize) -> Result<(), Fault> {
        if self.marks.last().is_some_and(|mark| *mark > from) {
            return Err("a mark within a dictionary".into());
        }
        let items: Vec<Value> = self.stack.drain(from..).collect();
        let Some(Value::Dict(dict)) = self.stack.last() else {
            return Err("a key without its dictionary".into());
        };
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key without a value".into());
        }
        let dict = &mut self.dicts[*dict];
        dict.extend(pairs.iter().map(|[key, value]| (key.clone(), value.clone())));
        if dict.len() > MAX_TENSORS {
            return Err(format!("a dictionary of more than {MAX_TENSORS} entries").into());
        }
        Ok(())
    }

    fn store(&mut self, key: u32) -> Result<(), Fault> {
        let value = self.stack.last().ok_or("nothing to store")?;
        if self.memo.len() == MAX_PICKLE_MEMO {
            return Err(format!("more than {MAX_PICKLE_MEMO} stored values").into());
        }
        self.memo.insert(key, value.clone());
        Ok(())
    }

    fn load(&mut self, key: u32) -> Result<(), Fault> {
        let value = self.memo.get(&key).cloned();
        self.push(value.ok_or_else(|| format!("value {key} was not stored"))?)
    }

    fn name(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        match Name::of(module, name) {
            Some(known) => self.push(Value::Name(known)),
            None => Err(Fault::Name(format!("{module}.{name}"))),
        }
    }

    /// A storage: `("storage", type, key, device, elements)`.
    fn persistent(&mut self) -> Result<(), Fault> {
        let Value::Tuple(_, id) = self.pop()? else {
            return Err("an id that is not a tuple".into());
        };
        let [
            Value::Text(kind),
            Value::Name(Name::Storage(dtype)),
            Value::Text(key),
            Value::Text(_),
            Value::Int(count),
        ] = &*id
        else {
            return Err("an id that is not that of a storage".into());
        };
        let count = u64::try_from(*count).map_err(|_| "a storage of negative size")?;
        if &**kind != "storage" {
            return Err("an id that is not that of a storage".into());
        }
        let storage = Storage { key: key.to_string(), dtype: *dtype, count };
        self.push(Value::Storage(Rc::new(storage)))
    }

    fn call(&mut self) -> Result<(), Fault> {
        let (arguments, name) = (self.pop()?, self.pop()?);
        let (Value::Tuple(_, arguments), Value::Name(name)) = (arguments, name) else {
            return Err("a call of something that is not a name".into());
        };
        match (name, &*arguments) {
            (Name::OrderedDict, []) => self.new_dict(),
            (Name::Size, [axes @ Value::Tuple(..)]) => self.push(axes.clone()),
            (Name::RebuildParameter, [tensor @ Value::Tensor(_), Value::Bool, hooks]) => {
                self.check_hooks(hooks)?;
                self.push(tensor.clone())
            }
            (
                Name::RebuildTensor,
                [
                    Value::Storage(storage),
                    Value::Int(offset),
                    Value::Tuple(_, shape),
                    Value::Tuple(_, strides),
                    Value::Bool,
                    hooks,
                    rest @ ..,
                ],
            ) if rest.len() <= 1 => {
                self.check_hooks(hooks)?;
                let view = View {
                    storage: storage.clone(),
                    offset: u64::try_from(*offset).map_err(|_| "a negative offset")?,
                    shape: axes(shape)?,
                    strides: axes(strides)?,
                };
                self.push(Value::Tensor(Rc::new(view)))
            }
            _ => Err(format!("a call of {name:?} with other arguments than weights have").into()),
        }
    }

    /// Hooks would be called; weights have none.
    fn check_hooks(&self, hooks: &Value) -> Result<(), Fault> {
        match hooks {
            Value::None => Ok(()),
            Value::Dict(dict) if self.dicts[*dict].is_empty() => Ok(()),
            _ => Err("a tensor with hooks".into()),
        }
    }

    /// The state of a dictionary: versions of modules, which are of no use.
    fn build(&mut self) -> Result<(), Fault> {
        self.pop()?;
        match self.stack.last() {
            Some(Value::Dict(_)) => Ok(()),
            _ => Err("a state of something that is not a dictionary".into()),
        }
    }
}

/// Lengths or strides.
fn axes(values: &[Value]) -> Result<Vec<u64>, Fault> {
    if values.len() > MAX_AXES {
        return Err(format!("a tensor of more than {MAX_AXES} axes").into());
    }
    let axis = |value: &Value| match value {
        Value::Int(axis) => u64::try_from(*axis).map_err(|_| "a negative axis".into()),
        other => Err(Fault::from(format!("an axis that is {}", other.kind()))),
    };
    values.iter().map(axis).collect()
}
