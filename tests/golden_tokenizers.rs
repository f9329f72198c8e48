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
    let files = TokenizerFiles::named(|name| files.get(name).map(Vec::as_slice));
    BertTokenizer::from_files(files, config).expect("a tokenizer that loads")
}

/// Compares the ids of all texts with those of Transformers.
fn compare(name: &str, case: &Value, tokenizer: &BertTokenizer, texts: &[String]) {
    for example in case["examples"].as_array().unwrap() {
        let text = example["text"].as_str().unwrap();
        assert_eq!(json!(tokenizer.encode(text).unwrap().ids), example["ids"], "{name}: {text:?}");
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

fn config(model_type: &str, tokens: usize, positions: u64) -> BertConfig {
    let config = json!({
        "model_type": model_type, "vocab_size": tokens, "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": positions,
        "pad_token_id": u64::from(model_type != "bert"),
    });
    BertConfig::from_json(config.to_string().as_bytes()).unwrap()
}

#[test]
fn every_folder_with_word_pieces_gives_the_ids_of_transformers() {
    let about = common::json("tokenizers/cases.json");
    let vocabulary = String::from_utf8(common::read("tokenizers/vocab.txt")).unwrap();
    let texts = texts(&about);
    let tokens = vocabulary.lines().count() + 8;
    let config = config("bert", tokens, about["positions"].as_u64().unwrap());
    let cases = about["cases"].as_object().unwrap();
    assert!(cases.len() > 15 && texts.len() == 3000);
    for (name, case) in cases {
        let tokenizer = open(&files(case, &vocabulary), &config);
        compare(name, case, &tokenizer, &texts);
    }
}

#[test]
fn every_folder_with_subwords_gives_the_ids_of_transformers() {
    let texts = texts(&common::json("tokenizers/cases.json"));
    let about = common::json("tokenizers/subwords.json");
    let positions = about["positions"].as_u64().unwrap() + 2;
    let cases = about["cases"].as_object().unwrap();
    assert!(cases.len() > 10 && texts.len() == 3000);
    for (name, case) in cases {
        let mut files = BTreeMap::new();
        for shared in case["shared"].as_array().unwrap() {
            let shared = shared.as_str().unwrap();
            let contents = about["shared"][shared].as_str().unwrap();
            let model = shared.ends_with(".model");
            let bytes = if model { unbase64(contents) } else { contents.into() };
            files.insert(shared.to_owned(), bytes);
        }
        for (file, contents) in case["files"].as_object().unwrap() {
            files.insert(file.clone(), contents.to_string().into_bytes());
        }
        let config = config(case["model_type"].as_str().unwrap(), 900, positions);
        compare(name, case, &open(&files, &config), &texts);
    }
}

/// Decodes base64, whose padding is not checked.
fn unbase64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |c: u8| digits.iter().position(|digit| *digit == c).unwrap() as u32;
    let mut bytes = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0, |bits, c| bits << 6 | digit(*c)) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
