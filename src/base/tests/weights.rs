use half::{bf16, f16};

use super::{file_of, load, raw_file, tiny_config, tiny_tensors};
use crate::base::{BaseError, BaseWeights, TensorFault, TensorFile, expected_tensors};

const QUERY: &str = "encoder.layer.1.attention.self.query.weight";

fn message(weights: Vec<u8>) -> String {
    load(weights).unwrap_err().to_string()
}

#[test]
fn every_tensor_can_be_taken_once_as_stored() {
    let tensors = tiny_tensors();
    let mut weights = load(file_of(&tensors)).unwrap().weights;
    for (name, shape, values) in &tensors {
        let tensor = weights.take(name).unwrap();
        assert_eq!((&tensor.shape, &tensor.data), (shape, values), "{name}");
        assert_eq!(weights.take(name).unwrap_err(), BaseError::Taken { name: name.clone() });
    }
    assert!(matches!(weights.take("pooler.dense.weight"), Err(BaseError::MissingTensor { .. })));
}

#[test]
fn the_encoder_needs_what_bert_has() {
    // 5 tensors of the embeddings and 16 per layer.
    assert_eq!(expected_tensors(&tiny_config()).len(), 5 + 2 * 16);
}

#[test]
fn prefix_and_old_names_are_accepted_and_heads_ignored() {
    let plain = tiny_tensors();
    let mut tensors: Vec<_> = plain
        .iter()
        .map(|(name, shape, values)| {
            let old = name
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta");
            (format!("bert.{old}"), shape.clone(), values.clone())
        })
        .collect();
    let aside =
        ["bert.embeddings.position_ids", "bert.pooler.dense.weight", "cls.predictions.bias"];
    tensors.extend(aside.iter().map(|n| ((*n).to_owned(), vec![1], vec![f32::NAN])));
    let mut weights = load(file_of(&tensors)).unwrap().weights;
    assert_eq!(weights.ignored(), aside);
    for (name, _, values) in plain {
        assert_eq!(weights.take(&name).unwrap().data, values);
    }
}

#[test]
fn half_types_are_widened_exactly() {
    let values = [0.5f32, -3.0, 1.0 / 1024.0];
    let f16s: Vec<u8> = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
    let bf16s: Vec<u8> = values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
    let file =
        TensorFile::open(raw_file(&[("a", "F16", &[3], f16s), ("b", "BF16", &[3, 1], bf16s)]))
            .unwrap();
    assert_eq!(file.read("a").unwrap().data, values);
    assert_eq!(file.read("b").unwrap().data, values);
    assert_eq!(file.read("b").unwrap().shape, [3, 1]);
    assert_eq!(file.read("c"), Err(TensorFault::Missing { name: "c".into() }));
}

#[test]
fn non_finite_values_are_detected_in_every_type() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let f16s = [f16::ONE, f16::from_f32(bad)].map(f16::to_le_bytes).concat();
        let bf16s = [bf16::ONE, bf16::from_f32(bad)].map(bf16::to_le_bytes).concat();
        let f32s = [1.0f32, bad].map(f32::to_le_bytes).concat();
        for (dtype, bytes) in [("F16", f16s), ("BF16", bf16s), ("F32", f32s)] {
            let file = TensorFile::open(raw_file(&[("x", dtype, &[2], bytes)])).unwrap();
            {
                let fault = file.read("x").unwrap_err();
                assert!(
                    matches!(fault, TensorFault::NotFinite { index: 1, .. }),
                    "{dtype} {bad}: {fault}"
                );
            }
        }
    }
    let mut tensors = tiny_tensors();
    tensors.iter_mut().find(|t| t.0 == QUERY).unwrap().2[5] = f32::NAN;
    let message = message(file_of(&tensors));
    assert!(message.contains(QUERY) && message.contains("NaN at element 5"), "{message}");
}

#[test]
fn each_missing_tensor_is_reported() {
    let tensors = tiny_tensors();
    for gone in 0..tensors.len() {
        let mut rest = tensors.clone();
        let (name, ..) = rest.remove(gone);
        let message = message(file_of(&rest));
        assert!(message.contains(&format!("`{name}` is missing")), "{message}");
    }
    let mut foreign = renamed(|name| format!("model.{name}"));
    foreign.last_mut().unwrap().0 = "ema.encoder.layer.1.output.LayerNorm.bias".into();
    let message = message(file_of(&foreign));
    assert!(message.contains("`ema.encoder.layer.1.output.LayerNorm.bias` exists"), "{message}");
}

/// The tensors under other names.
fn renamed(name: impl Fn(&str) -> String) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    tiny_tensors().into_iter().map(|(n, shape, values)| (name(&n), shape, values)).collect()
}

#[test]
fn names_under_one_prefix_are_those_of_the_encoder() {
    let plain = tiny_tensors();
    for prefix in [
        "module.",
        "model.",
        "_orig_mod.",
        "0.auto_model.",
        "module.bert.",
        "_orig_mod.model.bert.",
        "model.encoder.",
        "a.b.c.d.",
    ] {
        let mut tensors = renamed(|name| format!("{prefix}{name}"));
        tensors.push(("classifier.weight".into(), vec![2, 8], vec![0.0; 16]));
        let mut weights =
            load(file_of(&tensors)).unwrap_or_else(|e| panic!("{prefix}: {e}")).weights;
        assert_eq!(weights.ignored(), ["classifier.weight"], "{prefix}");
        for (name, _, values) in &plain {
            assert_eq!(&weights.take(name).unwrap().data, values, "{prefix}{name}");
        }
    }
    // Modules around parts of the encoder.
    let wrapped = renamed(|name| {
        let layers =
            name.replace("encoder.layer.1.", "encoder.layer.1._checkpoint_wrapped_module.");
        format!("module.bert.{}", layers.replace("embeddings.", "embeddings._orig_mod."))
    });
    let weights = load(file_of(&wrapped)).unwrap().weights;
    assert_eq!(weights.get(QUERY).unwrap().data, plain.iter().find(|t| t.0 == QUERY).unwrap().2);
    // A head is next to the encoder.
    let head =
        [("dense.weight", 64), ("dense.bias", 8), ("LayerNorm.weight", 8), ("LayerNorm.bias", 8)];
    let mut tensors = renamed(|name| format!("module.bert.{name}"));
    for (name, size) in head {
        let shape = if size == 64 { vec![8, 8] } else { vec![8] };
        let name = format!("module.cls.predictions.transform.{name}");
        tensors.push((name, shape, vec![0.5; size]));
    }
    tensors.push(("module.cls.predictions.bias".into(), vec![14], vec![0.5; 14]));
    assert!(load(file_of(&tensors)).unwrap().weights.has_masked_head());
    tensors.last_mut().unwrap().1 = vec![7, 2];
    let weights = load(file_of(&tensors)).unwrap().weights;
    assert!(!weights.has_masked_head() && weights.ignored().len() == 5);
}

#[test]
fn several_encoders_in_one_file_are_ambiguous() {
    let mut tensors = renamed(|name| format!("query.{name}"));
    tensors.extend(renamed(|name| format!("passage.{name}")));
    let message = message(file_of(&tensors));
    assert!(message.contains("`passage.") && message.contains("`query."), "{message}");
    assert!(message.contains("both mean"), "{message}");
    // One of them is not whole.
    tensors.pop();
    assert!(load(file_of(&tensors)).is_ok());
}

#[test]
fn f64_is_rounded_to_f32() {
    let values = [0.1f64, -3.0, 1e-50, 16_777_217.0];
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let file = TensorFile::open(raw_file(&[("a", "F64", &[4], bytes)])).unwrap();
    assert_eq!(file.read("a").unwrap().data, [0.1f32, -3.0, 0.0, 16_777_216.0]);
    let beyond = [1.0f64, 1e39].map(f64::to_le_bytes).concat();
    let file = TensorFile::open(raw_file(&[("a", "F64", &[2], beyond)])).unwrap();
    let fault = file.read("a").unwrap_err();
    assert!(matches!(fault, TensorFault::NotFinite { index: 1, .. }), "{fault}");
    let tensors = tiny_tensors();
    let wide: Vec<_> = tensors
        .iter()
        .map(|(name, shape, values)| {
            let bytes: Vec<u8> =
                values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
            (name.as_str(), "F64", shape.as_slice(), bytes)
        })
        .collect();
    let mut weights = load(raw_file(&wide)).unwrap().weights;
    for (name, _, values) in &tensors {
        assert_eq!(&weights.take(name).unwrap().data, values);
    }
}

#[test]
fn each_wrong_shape_is_reported() {
    for wrong in 0..tiny_tensors().len() {
        let mut tensors = tiny_tensors();
        let (name, shape, values) = &mut tensors[wrong];
        shape[0] += 1;
        values.resize(shape.iter().product(), 0.0);
        let (name, found) = (name.clone(), format!("{shape:?}"));
        let message = message(file_of(&tensors));
        assert!(message.contains(&name) && message.contains(&found), "{message}");
    }
    // Transposed: the same number of elements, another shape.
    let mut tensors = tiny_tensors();
    tensors.iter_mut().find(|t| t.0.ends_with("0.intermediate.dense.weight")).unwrap().1.reverse();
    let message = message(file_of(&tensors));
    assert!(message.contains("0.intermediate.dense.weight` has shape [8, 12]"), "{message}");
}

#[test]
fn encoder_tensors_beyond_the_configuration_are_rejected() {
    for name in
        ["encoder.layer.2.output.dense.bias", "bert.encoder.layer.0.crossattention.self.key.weight"]
    {
        let mut tensors = tiny_tensors();
        tensors.push((name.into(), vec![8], vec![0.0; 8]));
        let message = message(file_of(&tensors));
        assert!(message.contains(name) && message.contains("num_hidden_layers is 2"), "{message}");
    }
    let mut tensors = tiny_tensors();
    tensors.push((format!("bert.{QUERY}"), vec![8, 8], vec![0.0; 64]));
    let message = message(file_of(&tensors));
    assert!(message.contains(&format!("`bert.{QUERY}` and `{QUERY}`")), "{message}");
}

#[test]
fn unsupported_types_are_reported() {
    for (dtype, size) in [("I64", 8), ("I32", 4), ("I8", 1), ("F8_E4M3", 1), ("U16", 2)] {
        let expected = expected_tensors(&tiny_config());
        let tensors: Vec<_> = expected
            .iter()
            .map(|(name, shape)| {
                let (dtype, size) = if name == QUERY { (dtype, size) } else { ("F32", 4) };
                (
                    name.as_str(),
                    dtype,
                    shape.as_slice(),
                    vec![0u8; shape.iter().product::<usize>() * size],
                )
            })
            .collect();
        let message = message(raw_file(&tensors));
        assert!(message.contains(QUERY) && message.contains(dtype), "{message}");
    }
}

/// The pooler (dense, tanh) before the classifier is not part of a score head, so only the encoder is read.
#[test]
fn a_base_with_a_classifier_of_one_output_is_read_as_an_encoder_with_a_note() {
    let mut tensors: Vec<_> = tiny_tensors();
    tensors.iter_mut().for_each(|tensor| tensor.0 = format!("bert.{}", tensor.0));
    tensors.push(("bert.pooler.dense.weight".into(), vec![8, 8], vec![0.5; 64]));
    tensors.push(("bert.pooler.dense.bias".into(), vec![8], vec![0.5; 8]));
    tensors.push(("classifier.weight".into(), vec![1, 8], vec![0.5; 8]));
    tensors.push(("classifier.bias".into(), vec![1], vec![0.5]));
    let base = load(file_of(&tensors)).unwrap();
    let notes = base.notes();
    let note = notes.iter().find(|note| note.starts_with("`classifier.weight`")).unwrap();
    assert!(note.contains("without the classifier's dense layer"), "{note}");
    assert_eq!(base.weights.ignored().len(), 4);
    assert!(load(file_of(&tiny_tensors())).unwrap().notes().is_empty());
}

#[test]
fn a_truncated_or_padded_file_is_damaged() {
    let whole = file_of(&tiny_tensors());
    assert_eq!(message(Vec::new()), "model.safetensors: the file is empty");
    for end in (1..whole.len()).step_by(37) {
        let message = message(whole[..end].to_vec());
        assert!(
            message.contains("model.safetensors: not a complete safetensors file"),
            "{end}: {message}"
        );
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(message(longer).contains("not a complete safetensors file"));
}

#[test]
fn an_inconsistent_header_is_damaged() {
    let whole = file_of(&tiny_tensors());
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap());
    for length in [0, 1, header - 8, header + 8, 99_999_999, 1 << 40, u64::MAX] {
        let mut lying = whole.clone();
        lying[..8].copy_from_slice(&length.to_le_bytes());
        assert!(message(lying).contains("not a complete safetensors file"), "{length}");
    }
    let text = String::from_utf8(whole[8..8 + header as usize].to_vec()).unwrap();
    let lies = [
        text.replacen("[14,8]", "[15,8]", 1),
        text.replacen("[14,8]", "[4294967296,4294967296]", 1),
        text.replacen("\"data_offsets\":[0,", "\"data_offsets\":[4,", 1),
        text.replacen("\"F32\"", "\"F99\"", 1),
        text.replacen('{', "[", 1),
    ];
    for lie in lies {
        assert_ne!(lie, text);
        let bytes =
            [&(lie.len() as u64).to_le_bytes()[..], lie.as_bytes(), &whole[8 + header as usize..]]
                .concat();
        assert!(message(bytes).contains("not a complete safetensors file"));
    }
    assert!(BaseWeights::open(Vec::new(), &tiny_config()).is_err());
}

#[test]
fn flipped_header_bytes_never_panic() {
    let whole = file_of(&tiny_tensors());
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let refused = (0..8 + header)
        .filter(|&i| {
            let mut damaged = whole.clone();
            damaged[i] ^= 0x11;
            BaseWeights::open(damaged, &tiny_config()).is_err()
        })
        .count();
    // Only the metadata and the padding may change unnoticed.
    assert!(refused + 64 > 8 + header, "{refused} of {}", 8 + header);
}

#[test]
fn the_first_layers_are_a_separate_base() {
    let whole = load(file_of(&tiny_tensors())).unwrap();
    let (hash, query) = (whole.hash.clone(), whole.weights.get(QUERY).unwrap());
    for (wanted, found) in [(0, 2), (3, 2)] {
        let error = whole.clone().first_layers(wanted).unwrap_err();
        assert_eq!(error, BaseError::Layers { wanted, found });
    }
    let all = whole.clone().first_layers(2).unwrap();
    assert_eq!((all.hash, all.weights.get(QUERY).unwrap()), (hash.clone(), query));
    let part = whole.first_layers(1).unwrap();
    assert_ne!(part.hash, hash);
    for (name, shape) in expected_tensors(&part.config) {
        assert_eq!(part.weights.get(&name).unwrap().shape, shape, "{name}");
    }
    assert!(matches!(part.weights.get(QUERY), Err(BaseError::MissingTensor { .. })));
}
