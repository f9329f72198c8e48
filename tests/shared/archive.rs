//! ZIP archives as `torch.save` writes them, with fields that tests may falsify.

use flate2::Crc;

/// An entry. Fields that are not set are those of a correct archive.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub name: Vec<u8>,
    pub contents: Vec<u8>,
    pub flags: u16,
    /// How the contents are compressed; they are not changed.
    pub method: u16,
    pub crc: Option<u32>,
    /// Bytes of the contents, in the directory; before and after compression.
    pub length: Option<u32>,
    pub unpacked: Option<u32>,
    /// The place of the record before the contents.
    pub offset: Option<u32>,
    /// The name in that record.
    pub local_name: Option<Vec<u8>>,
}

impl Entry {
    pub fn new(name: &str, contents: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), contents: contents.into(), ..Self::default() }
    }
}

/// Writes an archive. `count` is the number of entries that its end states, if it is false.
pub fn build(entries: &[Entry], count: Option<u16>) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = entry.offset.unwrap_or(file.len() as u32);
        let mut sum = Crc::new();
        sum.update(&entry.contents);
        let length = entry.contents.len() as u32;
        let packed = entry.length.unwrap_or(length);
        let sizes = [
            entry.crc.unwrap_or(sum.sum()),
            packed,
            entry.unpacked.or(entry.length).unwrap_or(length),
        ];
        let mut common = Vec::new();
        for field in [0, entry.flags, entry.method, 0, 0] {
            common.extend(u16::to_le_bytes(field));
        }
        common.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        let local = entry.local_name.as_ref().unwrap_or(&entry.name);
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend((local.len() as u32).to_le_bytes());
        file.extend(local);
        file.extend(&entry.contents);
        directory.extend(b"PK\x01\x02\0\0");
        directory.extend(&common);
        directory.extend((entry.name.len() as u16).to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
    }
    let (start, count) = (file.len() as u32, count.unwrap_or(entries.len() as u16));
    let size = directory.len() as u32;
    file.append(&mut directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    file.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
    file.extend([0, 0]);
    file
}

/// The entries of a correct archive with stored contents; `None` if it is something else.
pub fn read(file: &[u8]) -> Option<Vec<Entry>> {
    let number = |at: usize, size: usize| {
        let bytes = file.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0usize, |number, byte| number << 8 | usize::from(*byte)))
    };
    let end = file.len().checked_sub(22).filter(|end| file[*end..].starts_with(b"PK\x05\x06"))?;
    let (count, mut at) = (number(end + 10, 2)?, number(end + 16, 4)?);
    let mut entries = Vec::new();
    for _ in 0..count {
        let lengths = [number(at + 28, 2)?, number(at + 30, 2)?, number(at + 32, 2)?];
        let (size, local) = (number(at + 24, 4)?, number(at + 42, 4)?);
        let name = file.get(at + 46..at + 46 + lengths[0])?.to_vec();
        let start = local + 30 + number(local + 26, 2)? + number(local + 28, 2)?;
        let contents = file.get(start..start.checked_add(size)?)?.to_vec();
        entries.push(Entry { name, contents, ..Entry::default() });
        at += 46 + lengths.iter().sum::<usize>();
    }
    Some(entries)
}
