//! Changes of safetensors files: an eight-byte length, a JSON header of that length, data.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde_json::{Value, json};

use super::{below, json, one_of};

/// Bit patterns of values that a sum does not survive, or hardly.
const VALUES: &[u32] = &[
    0x7fc0_0000,
    0xffc0_0001,
    0x7f80_0000,
    0xff80_0000,
    0x7f7f_ffff,
    0x0000_0001,
    0x7149_f2ca,
    0x8000_0000,
];

/// `bytes` with one change; `None` if they are not safetensors.
pub fn change(rng: &mut ChaCha8Rng, bytes: &[u8]) -> Option<Vec<u8>> {
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?) as usize;
    let header = bytes.get(8..8usize.checked_add(length)?)?;
    let mut data = bytes[8 + length..].to_vec();
    let mut parsed: Value = serde_json::from_slice(header).ok()?;
    let header = match below(rng, 10) {
        0 => {
            let wrong = [
                0,
                1,
                7,
                length as u64 - 1,
                length as u64 + 1,
                1 << 24,
                1 << 40,
                u64::MAX,
                rng.next_u64(),
            ];
            let mut bytes = bytes.to_vec();
            bytes[..8].copy_from_slice(&one_of(rng, &wrong).to_le_bytes());
            return Some(bytes);
        }
        1..=3 => json::change(rng, header)?,
        4 | 5 => {
            in_an_entry(rng, &mut parsed)?;
            parsed.to_string().into_bytes()
        }
        6 => in_the_metadata(rng, &mut parsed)?,
        7 | 8 => {
            let at = 4 * below(rng, (data.len() / 4).max(1));
            data.get_mut(at..at + 4)?.copy_from_slice(&one_of(rng, VALUES).to_le_bytes());
            header.to_vec()
        }
        _ => {
            let size = below(rng, data.len() + 1);
            if below(rng, 2) == 0 {
                data.truncate(size);
            } else {
                data.extend(vec![0; size]);
            }
            header.to_vec()
        }
    };
    Some([&(header.len() as u64).to_le_bytes(), &header[..], &data].concat())
}

/// Changes type, shape or place of one tensor, or gives it the place of another.
fn in_an_entry(rng: &mut ChaCha8Rng, header: &mut Value) -> Option<()> {
    let map = header.as_object_mut()?;
    let tensors = map.iter().filter(|(name, entry)| *name != "__metadata__" && entry.is_object());
    let names: Vec<String> = tensors.map(|(name, _)| name.clone()).collect();
    if names.is_empty() {
        return None;
    }
    let (name, other) = (one_of(rng, &names), one_of(rng, &names));
    let large = [0, 1, 2, 31, 33, 1 << 20, 1 << 32, u64::from(u32::MAX), 1 << 62, u64::MAX];
    let number = |rng: &mut ChaCha8Rng| *one_of(rng, &large);
    let place = map[other]["data_offsets"].clone();
    let entry = map.get_mut(name)?;
    match below(rng, 7) {
        0 => {
            let types = ["F64", "F16", "BF16", "I8", "BOOL", "F8_E5M2", "F4", "f32", ""];
            entry["dtype"] = json!(one_of(rng, &types));
        }
        1 => entry["shape"] = json!([number(rng), number(rng)]),
        2 => entry["shape"].as_array_mut()?.reverse(),
        3 => entry["shape"] = json!(vec![number(rng) % 2; 1 << below(rng, 16)]),
        4 => entry["data_offsets"] = json!([number(rng), number(rng)]),
        5 => entry["data_offsets"] = place,
        _ => {
            let entry = entry.clone();
            map.insert(format!("{name}{}", one_of(rng, &[".x", "\u{1b}[31m", "", " "])), entry);
        }
    }
    Some(())
}

/// Changes the JSON that a metadata value contains, or the value if it is not JSON.
fn in_the_metadata(rng: &mut ChaCha8Rng, header: &mut Value) -> Option<Vec<u8>> {
    let metadata = header.get_mut("__metadata__")?.as_object_mut()?;
    let at = below(rng, metadata.len().max(1));
    let value = metadata.values_mut().nth(at)?;
    let text = value.as_str()?;
    let changed = json::change(rng, text.as_bytes()).unwrap_or_else(|| b"{\"x\":".to_vec());
    *value = Value::String(String::from_utf8(changed).ok()?);
    Some(header.to_string().into_bytes())
}
