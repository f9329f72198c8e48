//! Which file of a RoBERTa or CamemBERT counts, and what is said about it. `tests/golden_tokenizers.rs` compares the ids.

use crate::base::{BaseError, BertConfig, BertTokenizer, TokenizerFiles};

const ROBERTA: &[u8] = include_bytes!("../../../../tests/golden/roberta/tokenizer.json");

fn config(model_type: &str) -> BertConfig {
    let text = include_str!("../../../../tests/golden/roberta/config.json");
    let text =
        text.replace(r#""model_type": "roberta""#, &format!(r#""model_type": "{model_type}""#));
    BertConfig::from_json(text.as_bytes()).unwrap()
}

fn read(model_type: &str, files: TokenizerFiles<'_>) -> Result<BertTokenizer, BaseError> {
    BertTokenizer::from_files(files, &config(model_type))
}

#[test]
fn the_space_before_a_text_is_that_of_the_settings_and_a_note_says_so() {
    let with = |settings: Option<&'static str>| {
        let config = settings.map(str::as_bytes);
        read("roberta", TokenizerFiles { config, ..TokenizerFiles::json(ROBERTA) }).unwrap()
    };
    let [plain, prefixed] = [with(None), with(Some(r#"{"add_prefix_space": true}"#))];
    assert!(plain.notes().is_empty(), "{:?}", plain.notes());
    let [note] = prefixed.notes() else { panic!("{:?}", prefixed.notes()) };
    assert!(note.contains("disagree about `add_prefix_space`; true counts"), "{note}");
    let ids = |tokenizer: &BertTokenizer, text: &str| tokenizer.encode(text).unwrap().ids;
    assert_ne!(ids(&plain, "turn"), ids(&prefixed, "turn"));
    assert_eq!(ids(&plain, " turn"), ids(&prefixed, "turn"));
    // A file whose rules all count decides itself.
    let own =
        with(Some(r#"{"add_prefix_space": true, "tokenizer_class": "PreTrainedTokenizerFast"}"#));
    assert_eq!(ids(&own, "turn"), ids(&plain, "turn"));
}

#[test]
fn tokenizer_json_comes_before_older_files() {
    let older = TokenizerFiles {
        vocab_json: Some(b"not JSON"),
        merges: Some(b"a"),
        sentence_piece: Some(b"not a model"),
        ..TokenizerFiles::json(ROBERTA)
    };
    for model_type in ["roberta", "xlm-roberta", "camembert"] {
        let tokenizer = read(model_type, older).unwrap();
        assert_eq!(tokenizer.vocabulary_size(), 331);
    }
}

#[test]
fn missing_and_foreign_files_are_named() {
    let pages = &b"<!DOCTYPE html><html></html>"[..];
    let cases = [
        ("roberta", TokenizerFiles::default(), "nor a vocab.json with merges.txt"),
        (
            "roberta",
            TokenizerFiles { vocab_json: Some(b"{}"), ..TokenizerFiles::default() },
            "nor a vocab.json with merges.txt",
        ),
        (
            "roberta",
            TokenizerFiles {
                vocab_json: Some(pages),
                merges: Some(b"a b"),
                ..TokenizerFiles::default()
            },
            "vocab.json: this is an HTML page",
        ),
        (
            "roberta",
            TokenizerFiles {
                vocab_json: Some(b"[]"),
                merges: Some(b""),
                ..TokenizerFiles::default()
            },
            "merges.txt: the file is empty",
        ),
        (
            "roberta",
            TokenizerFiles {
                vocab_json: Some(b"[]"),
                merges: Some(b"#version"),
                ..TokenizerFiles::default()
            },
            "vocab.json with merges.txt cannot be used: its model",
        ),
        ("xlm-roberta", TokenizerFiles::default(), "nor sentencepiece.bpe.model"),
        (
            "camembert",
            TokenizerFiles { sentence_piece: Some(pages), ..TokenizerFiles::default() },
            "sentencepiece.bpe.model: this is an HTML page",
        ),
        (
            "camembert",
            TokenizerFiles { vocab: Some(b"a"), ..TokenizerFiles::default() },
            "nor sentencepiece.bpe.model",
        ),
    ];
    for (model_type, files, expected) in cases {
        let error = read(model_type, files).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
