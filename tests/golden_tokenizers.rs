//! Tokenizers equal those of Transformers, for folders of files that agree and disagree with each other, on texts in
//! twelve scripts.

mod common;

use std::collections::BTreeMap;

use lorb::base::{BertConfig, BertTokenizer, TokenizerFiles};
use lorb::digest::sha256;
use serde_json::{Map, Value, json};

/// The generator of the texts, as in make_tokenizers.py.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % count
    }
}

fn texts(about: &Value) -> Vec<String> {
    let scripts = about["scripts"].as_object().unwrap().values();
    let scripts: Vec<Vec<char>> = scripts.map(|s| s.as_str().unwrap().chars().collect()).collect();
    let others: Vec<&str> =
        about["others"].as_array().unwrap().iter().map(|other| other.as_str().unwrap()).collect();
    let count = about["texts"].as_u64().unwrap() as usize;
    let mut random = Random(15);
    let text = |number: usize| {
        let letters = &scripts[number % scripts.len()];
        let mut text = String::new();
        for _ in 0..1 + random.below(10) {
            if random.below(4) == 0 {
                text += others[random.below(others.len())];
            } else {
                let count = 1 + random.below(6);
                text.extend((0..count).map(|_| letters[random.below(letters.len())]));
            }
            if random.below(4) > 0 {
                text.push(' ');
            }
        }
        text
    };
    (0..count).map(text).collect()
}

/// The files of a case, as bytes.
fn files(case: &Value, vocabulary: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, contents) in case["files"].as_object().unwrap() {
        let mut contents = contents.clone();
        if name == "tokenizer.json" {
            let pieces = vocabulary.lines().enumerate();
            let pieces: Map<_, _> =
                pieces.map(|(id, piece)| (piece.to_owned(), json!(id))).collect();
            contents["model"]["vocab"] = pieces.into();
        }
        files.insert(name.clone(), contents.to_string().into_bytes());
    }
    files.insert("vocab.txt".to_owned(), vocabulary.into());
    files
}

fn open(files: &BTreeMap<String, Vec<u8>>, config: &BertConfig) -> BertTokenizer {
    let file = |name: &str| files.get(name).map(Vec::as_slice);
    let files = TokenizerFiles {
        json: file("tokenizer.json"),
        vocab: file("vocab.txt"),
        config: file("tokenizer_config.json"),
        special_tokens: file("special_tokens_map.json"),
        added_tokens: file("added_tokens.json"),
    };
    BertTokenizer::from_files(files, config).expect("a tokenizer that loads")
}

#[test]
fn every_folder_gives_the_ids_of_transformers() {
    let about = common::json("tokenizers/cases.json");
    let vocabulary = String::from_utf8(common::read("tokenizers/vocab.txt")).unwrap();
    let texts = texts(&about);
    let config = json!({
        "model_type": "bert", "vocab_size": vocabulary.lines().count() + 8, "hidden_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
        "max_position_embeddings": about["positions"],
    });
    let config = BertConfig::from_json(config.to_string().as_bytes()).unwrap();
    let cases = about["cases"].as_object().unwrap();
    assert!(cases.len() > 15 && texts.len() == 3000);
    for (name, case) in cases {
        let tokenizer = open(&files(case, &vocabulary), &config);
        for example in case["examples"].as_array().unwrap() {
            let text = example["text"].as_str().unwrap();
            assert_eq!(
                json!(tokenizer.encode(text).unwrap().ids),
                example["ids"],
                "{name}: {text:?}"
            );
            assert!(texts.iter().any(|other| other == text), "not the same texts");
        }
        let (mut lines, bytes) = (String::new(), case["bytes"].as_str().unwrap());
        for (at, text) in texts.iter().enumerate() {
            let ids = tokenizer.encode(text).unwrap().ids;
            let line = ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
            assert_eq!(sha256(&line)[..2], bytes[2 * at..2 * at + 2], "{name}: {text:?}: {line}");
            lines += &line;
            lines.push('\n');
        }
        assert_eq!(sha256(&lines), case["sha256"].as_str().unwrap(), "{name}");
        if let Some(mask) = case["mask"].as_u64() {
            assert_eq!(u64::from(tokenizer.mask().unwrap()), mask, "{name}");
        }
    }
}
