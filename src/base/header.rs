//! The JSON header of a safetensors file. Its size is bounded while it is read, because every entry needs several times
//! its bytes in memory.

use std::collections::BTreeMap;
use std::fmt;

use safetensors::Dtype;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::TensorEntry;
use super::tensor_file::Header;
use crate::bounds::{MAX_AXES, MAX_METADATA_ENTRIES, MAX_NAME_BYTES, MAX_TENSORS};

/// Parses the header, and checks that the tensors' ranges are contiguous from 0 and fit their shapes.
pub(super) fn parse(bytes: &[u8]) -> Result<Header, String> {
    let Entries { tensors, metadata } =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut ranges: Vec<_> = tensors.iter().collect();
    ranges.sort_by_key(|(_, entry)| (entry.range.start, entry.range.end));
    let mut end = 0;
    for (name, TensorEntry { dtype, shape, range }) in ranges {
        if range.start != end || range.end < range.start {
            return Err(format!(
                "tensor {name:?} has the bytes {range:?}, but the tensor before it ends at {end}"
            ));
        }
        let count = shape.iter().try_fold(1usize, |count, axis| count.checked_mul(*axis));
        let bits = count.and_then(|count| count.checked_mul(dtype.bitsize()));
        if bits != range.len().checked_mul(8) || bits.is_none() {
            return Err(format!(
                "tensor {name:?} of type {dtype:?} and shape {shape:?} has {} bytes",
                range.len()
            ));
        }
        end = range.end;
    }
    Ok(Header { entries: tensors, metadata, data: end })
}

struct Entries {
    tensors: BTreeMap<String, TensorEntry>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Info {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (usize, usize),
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let (mut tensors, mut metadata) = (BTreeMap::new(), None);
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        let Metadata(entries) = map.next_value()?;
                        if metadata.replace(entries).is_some() {
                            return Err(A::Error::custom("__metadata__ is there twice"));
                        }
                        continue;
                    }
                    check_name::<A::Error>(&name)?;
                    if tensors.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    }
                    let Info { dtype, shape: Shape(shape), data_offsets: (start, end) } =
                        map.next_value()?;
                    let entry = TensorEntry { dtype, shape, range: start..end };
                    if tensors.insert(name, entry).is_some() {
                        return Err(A::Error::custom("a tensor is there twice"));
                    }
                }
                Ok(Entries { tensors, metadata: metadata.unwrap_or_default() })
            }
        }
        deserializer.deserialize_map(All)
    }
}

fn check_name<E: de::Error>(name: &str) -> Result<(), E> {
    if name.len() > MAX_NAME_BYTES {
        let length = name.len();
        return Err(E::custom(format!(
            "a name of {length} bytes; expected at most {MAX_NAME_BYTES}"
        )));
    }
    Ok(())
}

/// The text entries of `__metadata__`.
struct Metadata(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Metadata, E> {
                Ok(Metadata(BTreeMap::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    check_name::<A::Error>(&key)?;
                    if texts.len() == MAX_METADATA_ENTRIES {
                        let limit = MAX_METADATA_ENTRIES;
                        return Err(A::Error::custom(format!(
                            "more than {limit} metadata entries"
                        )));
                    }
                    if texts.insert(key, text).is_some() {
                        return Err(A::Error::custom("a metadata entry is there twice"));
                    }
                }
                Ok(Metadata(texts))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

/// The lengths of a tensor's axes.
struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Axes;
        impl<'de> Visitor<'de> for Axes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_AXES} axes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Shape, A::Error> {
                let mut axes = Vec::new();
                while let Some(axis) = sequence.next_element()? {
                    if axes.len() == MAX_AXES {
                        return Err(A::Error::custom(format!("more than {MAX_AXES} axes")));
                    }
                    axes.push(axis);
                }
                Ok(Shape(axes))
            }
        }
        deserializer.deserialize_seq(Axes)
    }
}
