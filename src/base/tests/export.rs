//! Exported bases in 4 bits, with int8 embeddings, in f32, and in shards.

use std::collections::BTreeMap;

use super::{TINY_CONFIG, TINY_VOCAB, file_of, raw_file, tiny_config, tiny_tensors};
use crate::base::{
    BaseError, BaseStream, BaseWeights, Export, LinearFormat, NamedFile, TensorFile,
    TokenizerFiles, WeightStream, expected_tensors,
};
use crate::packed::{Format, Packed};

const KEY: &str = "encoder.layer.0.attention.self.key.weight";
const WORDS: &str = "embeddings.word_embeddings.weight";
const FORMATS: [Format; 3] = [Format::F32, Format::F16, Format::Int8];

fn files(linear: LinearFormat, words: Format, shard_bytes: Option<u64>) -> Vec<NamedFile> {
    let mut whole = BaseWeights::open(file_of(&tiny_tensors()), &tiny_config()).unwrap();
    let hash = "ab".repeat(32);
    whole.write(&tiny_config(), &Export { linear, words, base_sha256: &hash, shard_bytes }).unwrap()
}

fn one_file(linear: LinearFormat, words: Format) -> Vec<u8> {
    let mut files = files(linear, words, None);
    assert_eq!(files.len(), 1);
    files.remove(0).1
}

fn streamed(file: &[u8], piece: usize, format: Format) -> Result<BaseWeights, BaseError> {
    let mut stream = WeightStream::new(&tiny_config(), format, Some(file.len() as u64));
    file.chunks(piece).try_for_each(|bytes| stream.push(bytes))?;
    stream.finish()
}

fn all(mut weights: BaseWeights) -> BTreeMap<String, Packed> {
    let names = expected_tensors(&tiny_config()).into_iter().map(|(name, _)| name);
    names.map(|name| (name.clone(), weights.take_packed(&name).unwrap())).collect()
}

/// The files read as a base in shards.
fn sharded(files: &[NamedFile], format: Format) -> Result<BaseWeights, BaseError> {
    let (index, shards) = files.split_last().unwrap();
    let mut stream = WeightStream::sharded(&tiny_config(), format, &index.1)?;
    for (name, bytes) in shards {
        let at = stream.shards().iter().position(|shard| shard == name);
        assert!(at.is_some(), "{name}");
        stream.begin_shard(Some(bytes.len() as u64))?;
        bytes.chunks(33).try_for_each(|bytes| stream.push(bytes))?;
    }
    stream.finish()
}

#[test]
fn weights_in_4_bits_become_any_format_in_chunks_of_any_length() {
    let file = one_file(LinearFormat::Int4, Format::Int8);
    assert_eq!(file, one_file(LinearFormat::Int4, Format::Int8), "equal input, equal bytes");
    assert!(file.len() < one_file(LinearFormat::Int8, Format::Int8).len());
    let original = all(BaseWeights::open(file_of(&tiny_tensors()), &tiny_config()).unwrap());
    let full = all(streamed(&file, 4096, Format::F32).unwrap());
    for format in FORMATS {
        let whole = all(streamed(&file, 4096, format).unwrap());
        for piece in [1, 3, 64] {
            assert_eq!(all(streamed(&file, piece, format).unwrap()), whole, "{piece}");
        }
        for (name, shape) in expected_tensors(&tiny_config()) {
            let linear = name.starts_with("encoder.") && shape.len() == 2;
            let kept = match name.as_str() {
                WORDS => Format::Int8,
                _ if linear => format,
                _ => Format::F32,
            };
            assert_eq!(whole[&name].format(), kept, "{name}");
            if linear {
                assert_eq!(whole[&name], full[&name].clone().to(format), "{name}");
            }
        }
    }
    for (name, shape, values) in tiny_tensors() {
        let linear = name.starts_with("encoder.") && shape.len() == 2;
        let found = full[&name].clone().into_f32();
        // A group here is a row, whose values grow from its first to its last: half a step of the coarsest scale.
        let step = |row: &[f32]| row.iter().fold(0.0_f32, |most, w| most.max(w.abs())) / 7.0;
        for (row, found) in
            values.chunks(shape[shape.len() - 1]).zip(found.chunks(shape[shape.len() - 1]))
        {
            let most = if linear { step(row) } else { step(row) / 18.0 };
            assert!(row.iter().zip(found).all(|(a, b)| (a - b).abs() <= most), "{name}");
        }
        assert_eq!(linear, full[&name] != original[&name] && name != WORDS, "{name}");
    }
}

#[test]
fn int8_embeddings_have_a_scale_for_each_word_piece() {
    let file = one_file(LinearFormat::F16, Format::Int8);
    let open = TensorFile::open(file.as_slice()).unwrap();
    assert_eq!(open.entries()[&format!("{WORDS}_scale")].shape, [14]);
    let found = all(streamed(&file, 7, Format::F16).unwrap()).remove(WORDS).unwrap();
    let values = tiny_tensors().remove(0).2;
    assert_eq!(found, Packed::new(values, 8, Format::Int8));
    assert_eq!(found.rows(), 14);
}

#[test]
fn a_base_in_f32_keeps_its_values_and_its_identity() {
    let file = one_file(LinearFormat::F32, Format::F32);
    let weights = BaseWeights::open(file, &tiny_config()).unwrap();
    assert_eq!(weights.origin().unwrap().base_sha256, "ab".repeat(32));
    for (name, _, values) in tiny_tensors() {
        assert_eq!(weights.get(&name).unwrap().data, values, "{name}");
    }
}

#[test]
fn shards_are_read_like_one_file_and_keep_to_their_size() {
    for (linear, words) in [
        (LinearFormat::F32, Format::F32),
        (LinearFormat::Int8, Format::F16),
        (LinearFormat::Int4, Format::Int8),
    ] {
        let files = files(linear, words, Some(2500));
        let (index, shards) = files.split_last().unwrap();
        assert_eq!(index.0, "model.safetensors.index.json");
        assert!(shards.len() > 1 && shards.iter().all(|(_, bytes)| bytes.len() <= 2500));
        let first = format!("model-00001-of-{:05}.safetensors", shards.len());
        assert_eq!(shards[0].0, first);
        let index: serde_json::Value = serde_json::from_slice(&index.1).unwrap();
        let mut bytes = 0;
        for (name, shard) in shards {
            let open = TensorFile::open(shard.as_slice()).unwrap();
            for tensor in open.entries().keys() {
                assert_eq!(index["weight_map"][tensor], name.as_str());
            }
            let header = u64::from_le_bytes(*shard.first_chunk().unwrap()) as usize;
            bytes += shard.len() - header - 8;
        }
        assert_eq!(index["metadata"]["total_size"], bytes);
        for format in FORMATS {
            let found = sharded(&files, format).unwrap();
            assert_eq!(found.origin().unwrap().base_sha256, "ab".repeat(32));
            let whole = one_file(linear, words);
            assert_eq!(all(found), all(streamed(&whole, 64, format).unwrap()));
        }
    }
    // Everything fits into one: no index. A tensor that is larger has its own file.
    assert_eq!(files(LinearFormat::F32, Format::F32, Some(1 << 20)).len(), 1);
    let tensors = expected_tensors(&tiny_config()).len();
    assert_eq!(files(LinearFormat::F32, Format::F32, Some(1)).len(), tensors + 1);
}

#[test]
fn shards_of_different_bases_are_refused() {
    let mut files = files(LinearFormat::Int8, Format::F16, Some(2500));
    let mut whole = BaseWeights::open(file_of(&tiny_tensors()), &tiny_config()).unwrap();
    let hash = "cd".repeat(32);
    let (linear, words) = (LinearFormat::Int8, Format::F16);
    let export = Export { linear, words, base_sha256: &hash, shard_bytes: Some(2500) };
    files[1] = whole.write(&tiny_config(), &export).unwrap().swap_remove(1);
    let message = sharded(&files, Format::F32).unwrap_err().to_string();
    assert!(message.contains("are not of the same base"), "{message}");
}

type Raw = (String, &'static str, Vec<usize>, Vec<u8>);

/// A base of zeros with KEY in 4 bits: bytes 0x2f (-1, 2) and the scales 0.5.
fn raw() -> Vec<Raw> {
    let zeros = |(name, shape): (String, Vec<usize>)| {
        let bytes = vec![0; 4 * shape.iter().product::<usize>()];
        (name, "F32", shape, bytes)
    };
    let mut parts: Vec<Raw> = expected_tensors(&tiny_config()).into_iter().map(zeros).collect();
    let weight = parts.iter_mut().find(|part| part.0 == KEY).unwrap();
    (weight.1, weight.2, weight.3) = ("U8", vec![8, 4], vec![0x2f; 32]);
    parts.push((format!("{KEY}_scale"), "F32", vec![8, 1], 0.5_f32.to_le_bytes().repeat(8)));
    parts
}

fn open(parts: &[Raw]) -> Result<BaseWeights, BaseError> {
    let raw: Vec<_> =
        parts.iter().map(|(n, d, s, b)| (n.as_str(), *d, s.as_slice(), b.clone())).collect();
    BaseWeights::open(raw_file(&raw), &tiny_config())
}

/// The file is read in byte order, so the scales come after the weight here and before it in LoRB's files.
#[test]
fn scales_may_come_after_their_weight() {
    let values = open(&raw()).unwrap().get(KEY).unwrap();
    assert_eq!((values.shape, values.data), (vec![8, 8], [-0.5, 1.0].repeat(32)));
    let mut parts = raw();
    parts.rotate_right(1);
    assert_eq!(open(&parts).unwrap().get(KEY).unwrap().data, [-0.5, 1.0].repeat(32));
}

#[test]
fn a_weight_in_4_bits_needs_sound_scales() {
    type Change = fn(&mut Vec<Raw>);
    fn scales(parts: &mut [Raw]) -> &mut Raw {
        parts.last_mut().unwrap()
    }
    let cases: [(&str, Change); 6] = [
        ("key.weight_scale` is missing; `encoder", |parts| drop(parts.pop())),
        ("key.weight_scale` has shape [8]", |parts| scales(parts).2 = vec![8]),
        ("key.weight_scale` has NaN", |parts| {
            scales(parts).3[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        }),
        ("key.weight_scale` has", |parts| {
            scales(parts).3[4..8].copy_from_slice(&1e38_f32.to_le_bytes());
        }),
        ("key.weight` has shape [8, 8]", |parts| {
            let weight = parts.iter_mut().find(|part| part.0 == KEY).unwrap();
            (weight.2, weight.3) = (vec![8, 8], vec![0; 64]);
        }),
        ("word_embeddings.weight` has shape [14, 4]", |parts| {
            (parts[0].1, parts[0].2, parts[0].3) = ("U8", vec![14, 4], vec![0; 56]);
        }),
    ];
    for (expected, spoil) in cases {
        let mut parts = raw();
        spoil(&mut parts);
        let message = open(&parts).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

/// The scales in another file than the weight: their number is known only once both are read.
#[test]
fn scales_in_another_shard_are_checked_too() {
    for (dtype, shape, count, sound) in [
        ("U8", vec![8, 4], 8, true),
        ("U8", vec![8, 4], 7, false),
        ("I8", vec![8, 8], 8, true),
        ("I8", vec![8, 8], 9, false),
    ] {
        let mut parts = raw();
        let weight = parts.iter_mut().find(|part| part.0 == KEY).unwrap();
        weight.1 = dtype;
        weight.3 = vec![1; shape.iter().product()];
        weight.2 = shape;
        let mut scales = parts.pop().unwrap();
        (scales.2, scales.3) = (vec![count], 0.5_f32.to_le_bytes().repeat(count));
        let file = |parts: &[Raw]| {
            let raw: Vec<_> = parts
                .iter()
                .map(|(n, d, s, b)| (n.as_str(), *d, s.as_slice(), b.clone()))
                .collect();
            raw_file(&raw)
        };
        let mut places: serde_json::Map<_, _> =
            parts.iter().map(|part| (part.0.clone(), "b.safetensors".into())).collect();
        places.insert(scales.0.clone(), "a.safetensors".into());
        let index = serde_json::json!({ "weight_map": places }).to_string().into_bytes();
        let files = [
            ("a.safetensors".to_owned(), file(&[scales])),
            ("b.safetensors".to_owned(), file(&parts)),
            ("index".to_owned(), index),
        ];
        let read = sharded(&files, Format::F32);
        assert_eq!(read.is_ok(), sound, "{dtype} {count}");
        if let Err(error) = read {
            let message = error.to_string();
            assert!(message.contains("key.weight_scale` has shape"), "{message}");
        }
    }
}

#[test]
fn a_base_in_shards_has_the_identity_of_its_original() {
    let files = files(LinearFormat::Int4, Format::Int8, Some(2500));
    let (index, shards) = files.split_last().unwrap();
    let vocabulary = TokenizerFiles::vocab(TINY_VOCAB.as_bytes());
    let config = TINY_CONFIG.as_bytes();
    let mut stream = BaseStream::sharded(config, vocabulary, Format::F16, &index.1).unwrap();
    for (_, bytes) in shards {
        stream.begin_shard(None).unwrap();
        stream.push(bytes).unwrap();
    }
    assert_eq!(stream.finish().unwrap().hash, "ab".repeat(32));
}
