//! ZIP archives with stored entries, as `torch.save` writes them, with ZIP64 fields.
//!
//! Nothing is unpacked: an entry is a range of the file. Ranges must not overlap, so an archive describes no more bytes than
//! it has.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::{TorchFault, damaged};
use crate::bounds::{MAX_ARCHIVE_DIRECTORY_BYTES, MAX_ARCHIVE_ENTRIES, MAX_NAME_BYTES};

/// A stored entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// First byte of its contents in the file.
    pub start: u64,
    /// Bytes of its contents.
    pub length: u64,
    /// CRC-32 of its contents.
    pub crc: u32,
}

/// Bytes of the record at the end, without its comment.
const END: u64 = 22;
/// Bytes of the record before it in an archive with 64-bit sizes.
const LOCATOR: u64 = 20;
/// The longest comment at the end.
const COMMENT: u64 = 65_535;
/// Bytes of the record of an entry in the directory, and before its contents.
const CENTRAL: usize = 46;
const LOCAL: usize = 30;

/// Reads the directory of an archive of `length` bytes.
pub fn read(
    file: &mut (impl Read + Seek),
    length: u64,
) -> Result<BTreeMap<String, Entry>, TorchFault> {
    let Directory { offset, size, count } = directory(file, length)?;
    let bytes = at(file, offset, size)?;
    let (mut rest, mut entries) = (bytes.as_slice(), BTreeMap::new());
    let mut ranges = Vec::new();
    for _ in 0..count {
        let (name, place, entry) = central(&mut rest)?;
        let entry = local(file, &name, place, entry, offset)?;
        ranges.push((place, entry.start + entry.length, name.clone()));
        if entries.insert(name.clone(), entry).is_some() {
            return Err(entry_fault(&name, "is there twice"));
        }
    }
    if !rest.is_empty() {
        return Err(damaged(format!("{} bytes follow its last entry", rest.len())));
    }
    ranges.sort();
    match ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        Some(pair) => Err(entry_fault(&pair[1].2, &format!("overlaps the entry {:?}", pair[0].2))),
        None => Ok(entries),
    }
}

struct Directory {
    offset: u64,
    size: u64,
    count: u64,
}

/// Finds the directory from the end of the file.
fn directory(file: &mut (impl Read + Seek), length: u64) -> Result<Directory, TorchFault> {
    let start = length.saturating_sub(END + COMMENT);
    let tail = at(file, start, length - start)?;
    let places = (0..tail.len().saturating_sub(END as usize - 1)).rev();
    let found = places.into_iter().find(|&place| {
        let record = &tail[place..];
        let comment = usize::from(u16_at(record, 20));
        record.starts_with(b"PK\x05\x06") && record.len() == END as usize + comment
    });
    let Some(place) = found else {
        return Err(damaged("it has no directory at its end".to_owned()));
    };
    let record = &tail[place..];
    let mut limit = start + place as u64;
    let mut found = Directory {
        count: u64::from(u16_at(record, 10)),
        size: u64::from(u32_at(record, 12)),
        offset: u64::from(u32_at(record, 16)),
    };
    let mut disks = [u32::from(u16_at(record, 4)), u32::from(u16_at(record, 6))];
    if let Some(place) = limit.checked_sub(LOCATOR) {
        let locator = at(file, place, LOCATOR)?;
        if locator.starts_with(b"PK\x06\x07") {
            let place = u64_at(&locator, 8);
            if place > limit - LOCATOR {
                return Err(damaged("its 64-bit directory is not in the file".to_owned()));
            }
            let record = at(file, place, 56)?;
            if !record.starts_with(b"PK\x06\x06") {
                return Err(damaged("its 64-bit directory is missing".to_owned()));
            }
            limit = place;
            disks = [u32_at(&record, 16), u32_at(&record, 20)];
            found = Directory {
                count: u64_at(&record, 32),
                size: u64_at(&record, 40),
                offset: u64_at(&record, 48),
            };
        }
    }
    if disks != [0, 0] {
        return Err(damaged("it is a part of an archive in several files".to_owned()));
    }
    if found.count > MAX_ARCHIVE_ENTRIES {
        let count = found.count;
        return Err(damaged(format!("{count} entries; expected at most {MAX_ARCHIVE_ENTRIES}")));
    }
    if found.size > MAX_ARCHIVE_DIRECTORY_BYTES {
        let (size, limit) = (found.size, MAX_ARCHIVE_DIRECTORY_BYTES);
        return Err(damaged(format!("a directory of {size} bytes; expected at most {limit}")));
    }
    if found.offset.checked_add(found.size).is_none_or(|end| end > limit) {
        return Err(damaged("its directory is not in the file".to_owned()));
    }
    Ok(found)
}

/// Reads an entry of the directory: its name, the place of its record before the contents, and its size there.
fn central(rest: &mut &[u8]) -> Result<(String, u64, Entry), TorchFault> {
    let short = || damaged("its directory ends in the middle of an entry".to_owned());
    let record = rest.get(..CENTRAL).ok_or_else(short)?;
    if !record.starts_with(b"PK\x01\x02") {
        return Err(damaged("its directory has something that is not an entry".to_owned()));
    }
    let [name, extra, comment] = [28, 30, 32].map(|place| usize::from(u16_at(record, place)));
    let after = rest.get(CENTRAL..).and_then(|rest| rest.split_at_checked(name));
    let (name, after) = after.ok_or_else(short)?;
    let (extra, after) = after.split_at_checked(extra).ok_or_else(short)?;
    *rest = after.get(comment..).ok_or_else(short)?;
    let name = checked_name(name)?;
    let (flags, method) = (u16_at(record, 8), u16_at(record, 10));
    check_kind(&name, flags, method)?;
    let mut length = u64::from(u32_at(record, 24));
    let mut packed = u64::from(u32_at(record, 20));
    let mut place = u64::from(u32_at(record, 42));
    let mut wide = wide_field(extra).unwrap_or_default();
    for value in [&mut length, &mut packed, &mut place] {
        if *value == u64::from(u32::MAX) {
            let (first, after) = wide
                .split_first_chunk()
                .ok_or_else(|| entry_fault(&name, "has no 64-bit size, but its size needs one"))?;
            (*value, wide) = (u64::from_le_bytes(*first), after);
        }
    }
    if length != packed {
        return Err(entry_fault(
            &name,
            &format!("has {packed} bytes that stand for {length}; expected stored bytes"),
        ));
    }
    Ok((name, place, Entry { start: 0, length, crc: u32_at(record, 16) }))
}

/// Checks the record before an entry's contents, and completes the entry. `end` is where contents end at the latest.
fn local(
    file: &mut (impl Read + Seek),
    name: &str,
    place: u64,
    entry: Entry,
    end: u64,
) -> Result<Entry, TorchFault> {
    let outside = || entry_fault(name, "is not in the file");
    let after = place.checked_add((LOCAL + name.len()) as u64).filter(|after| *after <= end);
    after.ok_or_else(outside)?;
    let record = at(file, place, (LOCAL + name.len()) as u64)?;
    let same = record.starts_with(b"PK\x03\x04")
        && usize::from(u16_at(&record, 26)) == name.len()
        && record[LOCAL..] == *name.as_bytes();
    if !same {
        return Err(entry_fault(name, "differs from its record before the contents"));
    }
    check_kind(name, u16_at(&record, 6), u16_at(&record, 8))?;
    let start = place + (LOCAL + name.len()) as u64 + u64::from(u16_at(&record, 28));
    let last = start.checked_add(entry.length);
    last.filter(|last| *last <= end).ok_or_else(outside)?;
    Ok(Entry { start, ..entry })
}

fn check_kind(name: &str, flags: u16, method: u16) -> Result<(), TorchFault> {
    // Encrypted contents, strong encryption, an encrypted directory.
    if flags & (1 | 1 << 6 | 1 << 13) != 0 {
        return Err(entry_fault(name, "is encrypted"));
    }
    match method {
        0 => Ok(()),
        _ => Err(entry_fault(
            name,
            &format!("is compressed (method {method}); torch.save stores entries uncompressed"),
        )),
    }
}

/// A name that is a relative path on every system. Nothing is written under it, but other names show that the file is not
/// what `torch.save` writes.
fn checked_name(bytes: &[u8]) -> Result<String, TorchFault> {
    if bytes.len() > MAX_NAME_BYTES {
        let length = bytes.len();
        return Err(damaged(format!(
            "a name of {length} bytes; expected at most {MAX_NAME_BYTES}"
        )));
    }
    let name = String::from_utf8(bytes.to_vec());
    let name = name.map_err(|_| damaged("the name of an entry is not UTF-8".to_owned()))?;
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
    if name.chars().any(odd) || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(entry_fault(&name, "has a name that torch.save does not write"));
    }
    Ok(name)
}

/// The 64-bit sizes of an entry.
fn wide_field(mut extra: &[u8]) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let field = extra.get(4..4 + length)?;
        if id == 1 {
            return Some(field);
        }
        extra = &extra[4 + length..];
    }
    None
}

fn entry_fault(name: &str, what: &str) -> TorchFault {
    TorchFault::Entry { name: name.to_owned(), what: what.to_owned() }
}

/// Reads a range of the file; the caller has checked its length.
pub fn at(file: &mut (impl Read + Seek), place: u64, length: u64) -> Result<Vec<u8>, TorchFault> {
    file.seek(SeekFrom::Start(place)).map_err(|e| TorchFault::Io(e.to_string()))?;
    let mut bytes = Vec::with_capacity(length as usize);
    let read = file.take(length).read_to_end(&mut bytes);
    read.map_err(|error| TorchFault::Io(error.to_string()))?;
    if (bytes.len() as u64) < length {
        return Err(damaged(format!("it ends after {} bytes", place + bytes.len() as u64)));
    }
    Ok(bytes)
}

fn u16_at(bytes: &[u8], place: usize) -> u16 {
    bytes.get(place..place + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    u32::from(u16_at(bytes, place)) | u32::from(u16_at(bytes, place + 2)) << 16
}

fn u64_at(bytes: &[u8], place: usize) -> u64 {
    u64::from(u32_at(bytes, place)) | u64::from(u32_at(bytes, place + 4)) << 32
}
