//! Writes hostile files, and notices which files of a sandbox have changed.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::case::{HostileFile, Part, ZipEntry};
use crate::mutate::archive;

/// Writes `file` into the sandbox, or several if its path has a range.
pub fn write(sandbox: &Path, file: &HostileFile) {
    let path = file.path.to_str().unwrap();
    if let Some((before, rest)) = path.split_once('{') {
        let (range, after) = rest.split_once('}').unwrap();
        let (first, last) = range.split_once("..").unwrap();
        for number in first.parse::<u32>().unwrap()..=last.parse().unwrap() {
            let path = format!("{before}{number}{after}").into();
            write(sandbox, &HostileFile { path, ..file.clone() });
        }
        return;
    }
    let path = sandbox.join(&file.path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let original = file.copy.as_ref().map(|copy| fs::read(sandbox.join(copy)).unwrap());
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    } else {
        let _ = fs::remove_file(&path);
    }
    if file.fifo {
        return make_fifo(&path);
    } else if let Some(target) = &file.symlink {
        return std::os::unix::fs::symlink(target, &path).unwrap();
    } else if file.directory {
        return fs::create_dir(&path).unwrap();
    }
    let mut out = BufWriter::new(File::create(&path).unwrap());
    if let Some(bytes) = original {
        out.write_all(&edited(file, bytes)).unwrap();
    }
    if !file.zip.is_empty() {
        out.write_all(&archive::build(&entries(&file.zip), file.zip_count)).unwrap();
    }
    if file.length_first {
        out.write_all(&length(&file.parts).to_le_bytes()).unwrap();
    }
    write_parts(&mut out, &file.parts).unwrap();
    let out = out.into_inner().unwrap();
    if let Some(size) = file.size {
        out.set_len(size).unwrap();
    }
}

fn make_fifo(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: `name` is a string that ends in zero and lives until the call returns.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "{}", path.display());
}

fn write_parts(out: &mut dyn Write, parts: &[Part]) -> io::Result<()> {
    for part in parts {
        if part.gzip {
            let mut packed = GzEncoder::new(&mut *out, Compression::default());
            write_times(&mut packed, part)?;
            packed.finish()?;
        } else {
            write_times(out, part)?;
        }
    }
    Ok(())
}

fn write_times(out: &mut dyn Write, part: &Part) -> io::Result<()> {
    let piece = match (&part.text, &part.hex) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(hex)) => from_hex(hex),
        (None, None) => {
            return (0..part.times).try_for_each(|_| write_parts(out, &part.parts));
        }
        _ => panic!("a part has `text` or `hex`, not both"),
    };
    // Small pieces are written together: a byte at a time would take seconds.
    let together = (65_536 / piece.len().max(1)).max(1) as u64;
    let many = piece.repeat(together.min(part.times) as usize);
    (0..part.times / together).try_for_each(|_| out.write_all(&many))?;
    (0..part.times % together).try_for_each(|_| out.write_all(&piece))
}

fn from_hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn entries(given: &[ZipEntry]) -> Vec<archive::Entry> {
    let entry = |entry: &ZipEntry| {
        let mut contents = Vec::new();
        write_parts(&mut contents, &entry.parts).unwrap();
        let ZipEntry { flags, method, crc, length, unpacked, offset, .. } = *entry;
        let name = entry.name.clone().into_bytes();
        let local_name = entry.local_name.clone().map(String::into_bytes);
        archive::Entry { name, contents, flags, method, crc, length, unpacked, offset, local_name }
    };
    given.iter().map(entry).collect()
}

/// The length of what `parts` write.
fn length(parts: &[Part]) -> u64 {
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    write_parts(&mut count, parts).unwrap();
    count.0
}

/// `bytes` with the JSON in it changed as `file` says.
fn edited(file: &HostileFile, bytes: Vec<u8>) -> Vec<u8> {
    if file.set.is_empty() && file.remove.is_empty() {
        return bytes;
    }
    let packed = file.path.extension().is_some_and(|extension| extension == "safetensors");
    let (header, data) = if packed {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        (&bytes[8..8 + length], &bytes[8 + length..])
    } else {
        (&bytes[..], &[][..])
    };
    let mut json: Value = serde_json::from_slice(header).unwrap();
    for pointer in &file.remove {
        let (parent, last) = place(&mut json, pointer);
        match parent {
            Value::Object(map) => drop(map.remove(&last).expect(pointer)),
            Value::Array(list) => drop(list.remove(last.parse().unwrap())),
            _ => panic!("nothing at {pointer}"),
        }
    }
    for (pointer, text) in &file.set {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        if pointer.is_empty() {
            json = value;
            continue;
        }
        let (parent, last) = place(&mut json, pointer);
        match parent {
            Value::Object(map) => drop(map.insert(last, value)),
            Value::Array(list) if last == "-" => list.push(value),
            Value::Array(list) => list[last.parse::<usize>().unwrap()] = value,
            _ => panic!("nothing at {pointer}"),
        }
    }
    let text = json.to_string().into_bytes();
    if packed { [&(text.len() as u64).to_le_bytes(), &text[..], data].concat() } else { text }
}

/// The value that contains what `pointer` points to, and the key in it.
fn place<'a>(json: &'a mut Value, pointer: &str) -> (&'a mut Value, String) {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    let found = json.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}"));
    (found, last.replace("~1", "/").replace("~0", "~"))
}

/// What is in a folder: the kind, size, time and, of small files, contents of everything.
pub fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (fs::FileType, u64, SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let small = about.is_file() && about.len() < 1_000_000;
            let contents = if small { fs::read(&path).unwrap() } else { Vec::new() };
            if about.is_dir() {
                waiting.push(path.clone());
            }
            // The size and time of a directory change with a temporary file in it.
            let (size, time) = if about.is_dir() {
                (0, SystemTime::UNIX_EPOCH)
            } else {
                (about.len(), about.modified().unwrap())
            };
            found.insert(path, (about.file_type(), size, time, contents));
        }
    }
    found
}
