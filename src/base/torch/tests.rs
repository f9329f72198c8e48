//! Files of `torch.save`, made by tests/golden/make_torch.py, and what `safetensors` wrote of the same tensors.

#[allow(dead_code, reason = "each test uses a part")]
#[path = "../../../tests/shared/archive.rs"]
mod archive;

use std::io::Cursor;

use super::*;
use crate::base::tests::{TINY_CONFIG, TINY_VOCAB};
use crate::base::{BaseFiles, HostTensor, TensorFile, expected_tensors};

macro_rules! golden {
    ($name:literal) => {
        &include_bytes!(concat!("../../../tests/golden/torch/", $name))[..]
    };
}

fn torch(files: &[(&str, &[u8])], index: Option<&[u8]>, format: Format) -> Result<Base, BaseError> {
    let open = |name: &str| {
        let (_, file) = files.iter().find(|(known, _)| *known == name).expect(name);
        Ok::<_, BaseError>((Cursor::new(*file), file.len() as u64))
    };
    let vocabulary = TokenizerFiles::vocab(TINY_VOCAB.as_bytes());
    Base::from_torch(TINY_CONFIG.as_bytes(), vocabulary, format, index, open)
}

fn whole(file: &[u8]) -> Result<Base, BaseError> {
    torch(&[(WEIGHTS, file)], None, Format::F32)
}

fn safetensors(weights: &[u8]) -> Base {
    Base::from_files(BaseFiles {
        config: TINY_CONFIG.as_bytes(),
        tokenizer: TokenizerFiles::vocab(TINY_VOCAB.as_bytes()),
        weights: weights.to_vec(),
    })
    .unwrap()
}

fn all(base: &Base) -> Vec<HostTensor> {
    let names = expected_tensors(&base.config).into_iter().map(|(name, _)| name);
    names.map(|name| base.weights.get(&name).unwrap()).collect()
}

#[test]
fn layouts_and_shared_storages_give_the_same_tensors() {
    let file = golden!("layouts.bin");
    let (base, expected) = (whole(file).unwrap(), safetensors(golden!("layouts.safetensors")));
    assert_eq!(all(&base), all(&expected));
    assert!(base.weights.has_masked_head() && expected.weights.has_masked_head());
    let bias = "cls.predictions.bias";
    assert_eq!(base.weights.get(bias).unwrap(), expected.weights.get(bias).unwrap());
    assert_eq!(base.weights.ignored(), expected.weights.ignored());
    assert_eq!(base.hash, crate::digest::sha256(file));
    for format in [Format::F16, Format::Int8] {
        let mut ours = torch(&[(WEIGHTS, file)], None, format).unwrap().weights;
        let length = golden!("layouts.safetensors").len() as u64;
        let mut stream = crate::base::WeightStream::new(&base.config, format, Some(length));
        stream.push(golden!("layouts.safetensors")).unwrap();
        let mut theirs = stream.finish().unwrap();
        for (name, _) in expected_tensors(&base.config) {
            assert_eq!(ours.take_packed(&name), theirs.take_packed(&name), "{name}");
        }
    }
}

#[test]
fn every_type_of_elements_is_read_and_a_classifier_is_not_used() {
    let base = whole(golden!("types.bin")).unwrap();
    assert_eq!(all(&base), all(&safetensors(golden!("types.safetensors"))));
    let notes = base.notes();
    assert!(notes.len() == 1 && notes[0].starts_with("`classifier.weight`"), "{notes:?}");
    assert!(whole(golden!("layouts.bin")).unwrap().notes().is_empty());
}

#[test]
fn shards_with_a_foreign_prefix_are_one_base() {
    let names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"];
    let files =
        [golden!("pytorch_model-00001-of-00002.bin"), golden!("pytorch_model-00002-of-00002.bin")];
    let index = golden!("pytorch_model.bin.index.json");
    let named = [(names[0], files[0]), (names[1], files[1])];
    let base = torch(&named, Some(index), Format::F32).unwrap();
    assert_eq!(all(&base), all(&safetensors(golden!("whole.safetensors"))));
    assert_eq!(base.hash, crate::digest::sha256(files.concat()));
    // Each shard in place of the other.
    let swapped = [(names[0], files[1]), (names[1], files[0])];
    let message = torch(&swapped, Some(index), Format::F32).unwrap_err().to_string();
    assert!(message.starts_with("pytorch_model.bin.index.json: tensor `"), "{message}");
    // An error names the shard.
    let damaged = [(names[0], files[0]), (names[1], &files[1][..100])];
    let message = torch(&damaged, Some(index), Format::F32).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: not a complete archive", names[1])), "{message}");
}

#[test]
fn an_adapter_becomes_safetensors_with_the_same_tensors() {
    let file = golden!("adapter_model.bin");
    let file = TorchFile::open(Cursor::new(file), file.len() as u64).unwrap();
    let ours = TensorFile::open(file.into_safetensors().unwrap()).unwrap();
    let theirs =
        include_bytes!("../../../tests/golden/tiny/adapter_rslora/adapter_model.safetensors");
    let theirs = TensorFile::open(&theirs[..]).unwrap();
    assert!(ours.entries().keys().eq(theirs.entries().keys()) && ours.entries().len() > 4);
    for name in ours.entries().keys() {
        assert_eq!(ours.read(name).unwrap(), theirs.read(name).unwrap(), "{name}");
    }
}

#[test]
fn every_changed_byte_is_noticed_or_harmless() {
    let file = golden!("adapter_model.bin");
    let read = |bytes: &[u8]| {
        let file = TorchFile::open(Cursor::new(bytes), bytes.len() as u64);
        file.and_then(TorchFile::into_safetensors)
    };
    let whole = read(file).unwrap();
    let mut refused = 0;
    for at in 0..file.len() {
        let mut damaged = file.to_vec();
        damaged[at] ^= 0x15;
        match read(&damaged) {
            Ok(same) => assert!(same == whole, "byte {at} changes tensors"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > file.len() / 2, "{refused} of {}", file.len());
    for end in 0..file.len() {
        assert!(read(&file[..end]).is_err(), "{end}");
    }
}

/// A damaged pickle with a right checksum.
#[test]
fn changed_pickles_never_panic_and_never_give_more_than_the_file() {
    let file = golden!("adapter_model.bin");
    let open = |bytes: &[u8]| TorchFile::open(Cursor::new(bytes.to_vec()), bytes.len() as u64);
    let original = open(file).unwrap();
    let mut entries: Vec<_> = original.archive.iter().collect();
    entries.sort_by_key(|(_, entry)| entry.start);
    let contents =
        |entry: &Entry| file[entry.start as usize..(entry.start + entry.length) as usize].to_vec();
    let mut entries: Vec<_> = entries
        .into_iter()
        .map(|(name, entry)| archive::Entry::new(name, contents(entry)))
        .collect();
    let pickle = entries.iter().position(|entry| entry.name.ends_with(b"data.pkl")).unwrap();
    let length = entries[pickle].contents.len();
    let mut accepted = 0;
    for at in 0..length {
        for value in [0x15, 0xff] {
            entries[pickle].contents[at] ^= value;
            let bytes = archive::build(&entries, None);
            if let Ok(file) = open(&bytes) {
                accepted += 1;
                assert!(file.header().data <= 2 * bytes.len());
                file.into_safetensors().unwrap();
            }
            entries[pickle].contents[at] ^= value;
        }
    }
    // Names of tensors, and values that are not used, may be others.
    assert!(accepted > 0 && accepted < length, "{accepted} of {length}");
    assert!(open(&archive::build(&entries, None)).is_ok());
}
