//! Weights that arrive in chunks, and exported weights.

use super::{TINY_CONFIG, TINY_VOCAB, file_of, raw_file, tiny_config, tiny_tensors};
use crate::base::{
    Base, BaseError, BaseStream, BaseWeights, Export, LinearFormat, TokenizerFiles, WeightStream,
    expected_tensors,
};
use crate::packed::{Format, Packed};

const KEY: &str = "encoder.layer.0.attention.self.key.weight";

fn streamed(file: &[u8], piece: usize, format: Format) -> Result<BaseWeights, BaseError> {
    let mut stream = WeightStream::new(&tiny_config(), format, Some(file.len() as u64));
    file.chunks(piece).try_for_each(|bytes| stream.push(bytes))?;
    stream.finish()
}

fn all(mut weights: BaseWeights) -> Vec<Packed> {
    let names = expected_tensors(&tiny_config()).into_iter().map(|(name, _)| name);
    names.map(|name| weights.take_packed(&name).unwrap()).collect()
}

/// The tiny base as one file, with f16 embeddings.
fn written(format: Format) -> Vec<u8> {
    let linear = match format {
        Format::F32 => LinearFormat::F32,
        Format::F16 => LinearFormat::F16,
        Format::Int8 => LinearFormat::Int8,
    };
    let mut whole = BaseWeights::open(file_of(&tiny_tensors()), &tiny_config()).unwrap();
    let hash = "ab".repeat(32);
    let words = Export::words_with(linear);
    let export = Export { linear, words, base_sha256: &hash, shard_bytes: None };
    let mut files = whole.write(&tiny_config(), &export).unwrap();
    assert_eq!(files.len(), 1);
    let (name, bytes) = files.remove(0);
    assert_eq!(name, "model.safetensors");
    bytes
}

#[test]
fn chunks_of_any_length_give_the_same_tensors() {
    let file = file_of(&tiny_tensors());
    for format in [Format::F32, Format::F16, Format::Int8] {
        let whole = all(streamed(&file, file.len(), format).unwrap());
        for piece in [1, 3, 7, 64, 1001] {
            assert_eq!(all(streamed(&file, piece, format).unwrap()), whole, "{piece}");
        }
        for ((name, shape, values), packed) in tiny_tensors().into_iter().zip(whole) {
            let linear = name.starts_with("encoder.") && shape.len() == 2;
            let kept = if linear { format } else { Format::F32 };
            let inputs = *shape.last().unwrap();
            assert_eq!(packed, Packed::new(values, inputs, kept), "{name}");
        }
    }
}

#[test]
fn a_stream_that_is_too_short_or_too_long_is_damaged() {
    let file = file_of(&tiny_tensors());
    let empty = WeightStream::new(&tiny_config(), Format::F32, None).finish().unwrap_err();
    assert_eq!(empty.to_string(), "model.safetensors: the file is empty");
    for length in [5, 8, 100, file.len() - 1] {
        let mut stream = WeightStream::new(&tiny_config(), Format::F32, None);
        stream.push(&file[..length]).unwrap();
        let message = stream.finish().unwrap_err().to_string();
        assert!(message.contains("not a complete safetensors file"), "{length}: {message}");
    }
    let mut stream = WeightStream::new(&tiny_config(), Format::F32, None);
    stream.push(&file).unwrap();
    assert!(stream.push(&[0]).unwrap_err().to_string().contains("follow the last tensor"));
    // The header reveals an impossible length.
    let mut stream = WeightStream::new(&tiny_config(), Format::F32, Some(9999));
    let header = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    stream.push(&file[..header - 1]).unwrap();
    assert!(stream.push(&file[header - 1..header]).is_err());
}

/// The tensors in three files, every third one in each, and their index.
fn shards() -> (Vec<Vec<u8>>, String) {
    let tensors = tiny_tensors();
    let name = |at: usize| format!("model-{}-of-3.safetensors", at % 3 + 1);
    let file = |shard: usize| {
        let mine: Vec<_> = tensors.iter().skip(shard).step_by(3).cloned().collect();
        file_of(&mine)
    };
    let map: serde_json::Map<_, _> =
        tensors.iter().enumerate().map(|(at, t)| (t.0.clone(), name(at).into())).collect();
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
    ((0..3).map(file).collect(), index.to_string())
}

#[test]
fn shards_give_the_same_tensors_as_one_file() {
    let (files, index) = shards();
    for format in [Format::F32, Format::F16, Format::Int8] {
        let mut stream = WeightStream::sharded(&tiny_config(), format, index.as_bytes()).unwrap();
        assert_eq!(stream.shards().len(), 3);
        for (at, file) in files.iter().enumerate() {
            stream.begin_shard((at > 0).then_some(file.len() as u64)).unwrap();
            file.chunks(101).try_for_each(|bytes| stream.push(bytes)).unwrap();
        }
        let whole = streamed(&file_of(&tiny_tensors()), 64, format).unwrap();
        assert_eq!(all(stream.finish().unwrap()), all(whole));
    }
}

#[test]
fn missing_incomplete_and_wrong_shards_are_refused_by_name() {
    let (files, index) = shards();
    let open = || WeightStream::sharded(&tiny_config(), Format::F32, index.as_bytes()).unwrap();
    let mut stream = open();
    stream.begin_shard(None).unwrap();
    stream.push(&files[0]).unwrap();
    let message = stream.finish().unwrap_err().to_string();
    assert_eq!(message, "model.safetensors.index.json: model-2-of-3.safetensors was not read");
    let mut stream = open();
    stream.begin_shard(None).unwrap();
    stream.push(&files[0][..300]).unwrap();
    let message = stream.begin_shard(None).unwrap_err().to_string();
    assert!(message.starts_with("model-1-of-3.safetensors: not a complete"), "{message}");
    let mut stream = open();
    stream.begin_shard(None).unwrap();
    let message = stream.push(&files[1]).unwrap_err().to_string();
    assert!(message.contains("but that file has no such tensor"), "{message}");
    let mut stream = open();
    for file in &files {
        stream.begin_shard(None).unwrap();
        stream.push(file).unwrap();
    }
    let message = stream.begin_shard(None).unwrap_err().to_string();
    assert!(message.contains("no shard after 3"), "{message}");
    let less = index.replace(KEY, "encoder.layer.0.attention.self.kex.weight");
    let error = WeightStream::sharded(&tiny_config(), Format::F32, less.as_bytes());
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with("model.safetensors.index.json: tensor `") && message.contains("kex"),
        "{message}"
    );
}

#[test]
fn a_non_finite_element_is_detected_while_streaming() {
    let mut tensors = tiny_tensors();
    tensors.iter_mut().find(|t| t.0 == KEY).unwrap().2[61] = f32::INFINITY;
    for format in [Format::F32, Format::F16, Format::Int8] {
        let message = streamed(&file_of(&tensors), 5, format).unwrap_err().to_string();
        assert!(message.contains(KEY) && message.contains("inf at element 61"), "{message}");
    }
}

#[test]
fn an_exported_base_has_the_rounded_values() {
    for format in [Format::F16, Format::Int8] {
        let file = written(format);
        assert_eq!(file, written(format), "equal input, equal bytes");
        let weights = streamed(&file, 13, format).unwrap();
        assert_eq!(weights.origin().unwrap().base_sha256, "ab".repeat(32));
        assert!(weights.ignored().is_empty());
        let direct = all(streamed(&file_of(&tiny_tensors()), 4096, format).unwrap());
        for ((name, shape), (found, direct)) in
            expected_tensors(&tiny_config()).into_iter().zip(all(weights).into_iter().zip(direct))
        {
            // The embeddings were rounded to f16; the values of the tiny base are multiples of 0.5, which f16
            // represents exactly. Those of the vocabulary stay in f16.
            let words = name.ends_with("word_embeddings.weight");
            let kept = if words { Format::F16 } else { direct.format() };
            assert_eq!(found.format(), kept, "{name}");
            assert_eq!(found.to(direct.format()), direct, "{name} {shape:?}");
        }
        let plain = BaseWeights::open(file, &tiny_config()).unwrap();
        assert_eq!(plain.origin().unwrap().base_sha256, "ab".repeat(32));
    }
}

#[test]
fn an_exported_base_has_the_identity_of_its_original() {
    let file = written(Format::Int8);
    let vocabulary = TokenizerFiles::vocab(TINY_VOCAB.as_bytes());
    let mut stream =
        BaseStream::new(TINY_CONFIG.as_bytes(), vocabulary, Format::Int8, None).unwrap();
    stream.push(&file).unwrap();
    assert_ne!(stream.file_hash(), "ab".repeat(32));
    let Base { hash, .. } = stream.finish().unwrap();
    assert_eq!(hash, "ab".repeat(32));
    let spoilt = String::from_utf8_lossy(&file[..4096]).contains("base_sha256");
    assert!(spoilt, "the origin is in the header");
}

#[test]
fn a_weight_in_8_bits_needs_its_scales() {
    type Change = fn(&mut Vec<(String, &'static str, Vec<usize>, Vec<u8>)>);
    let cases: [(&str, Change); 5] = [
        ("key.weight_scale` is missing", |parts| parts.retain(|p| p.0 != format!("{KEY}_scale"))),
        ("key.weight_scale` has shape [7]", |parts| {
            let scales = parts.iter_mut().find(|p| p.0 == format!("{KEY}_scale")).unwrap();
            (scales.2, scales.3) = (vec![7], vec![0; 28]);
        }),
        ("key.weight_scale` is not part of the encoder", |parts| {
            let weight = parts.iter_mut().find(|p| p.0 == KEY).unwrap();
            (weight.1, weight.3) = ("F32", vec![0; 256]);
        }),
        ("word_embeddings.weight` has dtype I8", |parts| {
            let words = parts.iter_mut().find(|p| p.0.contains("word_emb")).unwrap();
            (words.1, words.3) = ("I8", vec![0; 14 * 8]);
        }),
        ("position_embeddings.weight` has dtype I8", |parts| {
            let words = parts.iter_mut().find(|p| p.0.contains("position_emb")).unwrap();
            (words.1, words.3) = ("I8", vec![0; 10 * 8]);
        }),
    ];
    let parts = || {
        let mut parts: Vec<_> = expected_tensors(&tiny_config())
            .into_iter()
            .map(|(name, shape)| {
                let bytes = vec![0; 4 * shape.iter().product::<usize>()];
                (name, "F32", shape, bytes)
            })
            .collect();
        let weight = parts.iter_mut().find(|p| p.0 == KEY).unwrap();
        (weight.1, weight.3) = ("I8", vec![1; 64]);
        parts.push((format!("{KEY}_scale"), "F32", vec![8], 0.5f32.to_le_bytes().repeat(8)));
        parts
    };
    let open = |parts: &[(String, &'static str, Vec<usize>, Vec<u8>)]| {
        let raw: Vec<_> =
            parts.iter().map(|(n, d, s, b)| (n.as_str(), *d, s.as_slice(), b.clone())).collect();
        BaseWeights::open(raw_file(&raw), &tiny_config())
    };
    assert_eq!(open(&parts()).unwrap().take(KEY).unwrap().data, [0.5; 64]);
    for (expected, spoil) in cases {
        let mut parts = parts();
        spoil(&mut parts);
        let message = open(&parts).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn values_beyond_f16_are_not_written() {
    let mut tensors = tiny_tensors();
    tensors.iter_mut().find(|t| t.0 == KEY).unwrap().2[3] = 1e7;
    let weights = BaseWeights::open(file_of(&tensors), &tiny_config()).unwrap();
    for linear in [LinearFormat::F16, LinearFormat::Int4] {
        let export = Export { linear, words: Format::F16, base_sha256: "ab", shard_bytes: None };
        let error = weights.clone().write(&tiny_config(), &export).unwrap_err();
        assert_eq!(error, BaseError::TooLarge { name: KEY.into() });
    }
}
