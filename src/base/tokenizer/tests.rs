//! The wasm module's tokenizer gives the same ids as the general one, or rejects the file.

use serde_json::{Value, json};

use super::VocabTxt;
use super::bert::Bert;
use super::general::General;
use crate::base::arch;

const GOLDEN: &str = include_str!("../../../tests/golden/tiny/tokenizer.json");

/// Case, composed and decomposed accents, all kinds of white space, punctuation, CJK, control and private characters,
/// overlong words, special tokens complete, truncated, adjacent, in lower case and inside a word.
const TEXTS: [&str; 18] = [
    "",
    " \t\n",
    "turn off the lights in the kitchen",
    "Turn OFF, the 2 lights: it's 10%!",
    "Café cafe\u{301} naïve ÅNGSTRÖM ﬁne \u{1e9e}ß",
    "a\u{a0}b\u{2003}c\u{3000}d\u{200b}e\u{ad}f",
    "\u{0}x\u{fffd}y\u{7f}z\u{e000}w",
    "野口里佳 Noguchi かな 한국어 \u{20000}",
    "…—«quoted» “so” 3.14€ $5 ~a^b`c",
    "[MASK]",
    "the [MASK] is [SEP][CLS] here[PAD]after",
    "[mask] [MAS K] [[MASK]] [MASK",
    "turn [UNK] off",
    "DOMAIN word domainword domain",
    "domain words and domain",
    "\u{1F600} emoji \u{1F1E9}\u{1F1EA}",
    "ΑΣ ας İstanbul ıI",
    "supercalifragilisticexpialidocious",
];

fn same(json: &str) {
    let (general, bert) = (General::from_json(json.as_bytes()), Bert::from_json(json.as_bytes()));
    let (general, bert) = (general.expect("a valid file"), bert.expect("a valid file"));
    assert_eq!(bert.vocabulary(), general.vocabulary());
    assert_eq!(bert.frame().unwrap(), general.frame().unwrap());
    let long = "ab".repeat(60);
    for text in TEXTS.into_iter().chain([long.as_str()]) {
        assert_eq!(bert.pieces(text).unwrap(), general.pieces(text).unwrap(), "{text:?}");
    }
    for token in ["[MASK]", "the", "domain", "nowhere"] {
        assert_eq!(bert.id(token), general.id(token), "{token}");
    }
}

fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut file: Value = serde_json::from_str(GOLDEN).unwrap();
    change(&mut file);
    file.to_string()
}

fn added(content: &str, normalized: bool, special: bool) -> Value {
    json!({"id": 900, "content": content, "single_word": false, "lstrip": true, "rstrip": false,
        "normalized": normalized, "special": special})
}

#[test]
fn bert_tokenizer_files_give_the_same_ids() {
    same(GOLDEN);
    same(&changed(|file| {
        let tokens = file["added_tokens"].as_array_mut().unwrap();
        tokens.push(added("DOMAIN", true, false));
        tokens.push(added("domain words", true, false));
        tokens.push(added("[MASK", false, false));
        tokens.push(added("off", false, true));
    }));
    same(&changed(|file| file["normalizer"] = Value::Null));
    same(&changed(|file| file["normalizer"]["lowercase"] = json!(false)));
    same(&changed(|file| file["normalizer"]["strip_accents"] = json!(false)));
    same(&changed(|file| {
        file["normalizer"]["clean_text"] = json!(false);
        file["normalizer"]["handle_chinese_chars"] = json!(false);
    }));
    same(&changed(|file| file["post_processor"] = Value::Null));
    same(&changed(|file| {
        file["post_processor"] =
            json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]});
    }));
    same(&changed(|file| file["model"]["max_input_chars_per_word"] = json!(9)));
}

#[test]
fn a_vocabulary_gives_the_same_ids() {
    let lines =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nturn\noff\nthe\nlight\n##s\ncafe\ncafé\n,\nis\n";
    for lowercase in [true, false] {
        let tokens = &arch::BERT.tokenizer;
        let read = || VocabTxt::read(lines.as_bytes(), lowercase, tokens).unwrap();
        let (general, bert) =
            (General::from_vocab(read()).unwrap(), Bert::from_vocab(read()).unwrap());
        assert_eq!(bert.vocabulary(), general.vocabulary());
        for text in TEXTS {
            assert_eq!(bert.pieces(text).unwrap(), general.pieces(text).unwrap(), "{text:?}");
        }
    }
}

#[test]
fn other_kinds_are_rejected_by_name() {
    let refused = |change: &dyn Fn(&mut Value)| {
        Bert::from_json(changed(|file| change(file)).as_bytes()).unwrap_err().to_string()
    };
    let error = refused(&|file| file["normalizer"] = json!({"type": "NFKC"}));
    assert!(error.contains("NFKC") && error.contains("BertNormalizer"), "{error}");
    let error = refused(&|file| file["pre_tokenizer"] = json!({"type": "Metaspace"}));
    assert!(error.contains("Metaspace"), "{error}");
    let error = refused(&|file| file["model"]["type"] = json!("Unigram"));
    assert!(error.contains("Unigram"), "{error}");
    let error = refused(&|file| file["added_tokens"][4]["single_word"] = json!(true));
    assert!(error.contains("[MASK]") && error.contains("single_word"), "{error}");
    let error = refused(&|file| file["version"] = json!("2.0"));
    assert!(error.contains("2.0"), "{error}");
}
