use super::{Tensor, fault, with_setting, with_tensors, written};
use crate::adapter::{AdapterFiles, read};
use crate::base::tests::tiny_config;

const A: &str = "base_model.model.encoder.layer.1.attention.self.value.lora_A.weight";

fn changed(change: impl FnOnce(&mut Vec<Tensor>)) -> String {
    fault(&with_tensors(&written(), change))
}

fn find<'a>(tensors: &'a mut [Tensor], name: &str) -> &'a mut Tensor {
    tensors.iter_mut().find(|t| t.0 == name).unwrap()
}

#[test]
fn each_missing_tensor_is_reported() {
    let count = 2 * 2 * 2 + 2;
    for gone in 0..count {
        let mut name = String::new();
        let message = changed(|tensors| {
            assert_eq!(tensors.len(), count);
            name = tensors.remove(gone).0;
        });
        assert!(message.contains(&format!("tensor `{name}` is missing")), "{message}");
    }
}

#[test]
fn each_unused_tensor_is_reported() {
    let names = [
        "base_model.model.encoder.layer.0.attention.self.key.lora_A.weight",
        "base_model.model.encoder.layer.2.attention.self.value.lora_A.weight",
        "base_model.model.encoder.layer.0.attention.self.query.lora_A.default.weight",
        "base_model.model.encoder.layer.0.attention.self.query.lora_magnitude_vector",
        "base_model.model.encoder.layer.0.attention.self.query.lora_B.bias",
        "base_model.model.encoder.layer.0.attention.self.query.bias",
        "base_model.model.embeddings.word_embeddings.lora_embedding_A",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.classifier.weight",
        "base_model.model.bert.encoder.layer.1.attention.self.value.lora_A.weight",
        "encoder.layer.0.attention.self.query.lora_A.weight",
        "score.weight",
        "",
    ];
    for name in names {
        let message = changed(|tensors| tensors.push((name.into(), vec![2, 8], vec![0.0; 16])));
        assert!(
            message.contains("would be unused") && message.contains(&format!("`{name}`")),
            "{message}"
        );
    }
}

#[test]
fn wrong_shapes_are_reported() {
    let shapes: [&[usize]; 5] = [&[3, 8], &[2, 7], &[8, 2], &[16], &[1, 2, 8]];
    for shape in shapes {
        let message = changed(|tensors| {
            let tensor = find(tensors, A);
            tensor.1 = shape.to_vec();
            tensor.2 = vec![1.0; shape.iter().product()];
        });
        assert!(message.contains(A) && message.contains(&format!("{shape:?}")), "{message}");
        assert!(message.contains("[2, 8]"), "{message}");
    }
    // The rank in the settings differs from that of the tensors.
    let message = fault(&with_setting(&written(), "r", Some(4.into())));
    assert!(message.contains("lora_A.weight") && message.contains("[4, 8]"), "{message}");
    let message = changed(|tensors| {
        let tensor = find(tensors, "base_model.model.score.weight");
        (tensor.1, tensor.2) = (vec![2, 8], vec![1.0; 16]);
    });
    assert!(message.contains("base_model.model.score.weight` has shape [2, 8]"), "{message}");
}

#[test]
fn non_finite_values_are_reported() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let message = changed(|tensors| find(tensors, A).2[3] = bad);
        assert!(message.contains(A) && message.contains("at element 3"), "{message}");
    }
}

#[test]
fn unsupported_types_are_reported() {
    let whole = written();
    for dtype in ["I32", "U32"] {
        let text = String::from_utf8_lossy(&whole.weights[8..]);
        let at = 8 + text.find(A).unwrap();
        let at = at + whole.weights[at..].windows(5).position(|w| w == b"\"F32\"").unwrap();
        let mut files = whole.clone();
        files.weights[at + 1..at + 4].copy_from_slice(dtype.as_bytes());
        let message = fault(&files);
        assert!(message.contains(A) && message.contains(dtype), "{message}");
    }
}

#[test]
fn a_truncated_file_is_damaged() {
    let whole = written();
    let empty = fault(&AdapterFiles { weights: Vec::new(), ..whole.clone() });
    assert_eq!(empty, "adapter_model.safetensors: the file is empty");
    for end in (1..whole.weights.len()).step_by(37) {
        let files = AdapterFiles { weights: whole.weights[..end].to_vec(), ..whole.clone() };
        let message = fault(&files);
        assert!(
            message.starts_with("adapter_model.safetensors: not a complete safetensors file"),
            "{end}: {message}"
        );
    }
}

#[test]
fn an_inconsistent_header_is_damaged() {
    let whole = written();
    for length in [0, 1, 8, 99_999_999, u64::MAX] {
        let mut files = whole.clone();
        files.weights[..8].copy_from_slice(&length.to_le_bytes());
        assert!(fault(&files).contains("not a complete safetensors file"), "{length}");
    }
}

#[test]
fn flipped_header_bytes_never_panic() {
    let whole = written();
    let header = u64::from_le_bytes(whole.weights[..8].try_into().unwrap()) as usize;
    let mut refused = 0;
    for i in 0..8 + header {
        let mut files = whole.clone();
        files.weights[i] ^= 0x11;
        refused += usize::from(read(&files, &tiny_config()).is_err());
    }
    // Metadata beyond the `lorb` section and the padding may change unnoticed.
    assert!(refused + 64 > header, "{refused} of {header}");
}
