//! Files of BERT's own kind.

use serde_json::{Value, json};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Tokenizer};

use super::{GOLDEN, TEXTS, added, changed, random_texts, same};
use crate::base::TokenizerFiles;
use crate::base::tests::tiny_config;
use crate::base::tokenizer::read::{Inner, from_vocab};
use crate::base::tokenizer::settings::Settings;

fn same_as_bert(json: &str) {
    assert!(matches!(same(json), Inner::Bert(_)));
}

#[test]
fn bert_tokenizer_files_give_the_same_ids() {
    same_as_bert(GOLDEN);
    same_as_bert(&changed(|file| file["normalizer"] = Value::Null));
    same_as_bert(&changed(|file| file["normalizer"]["lowercase"] = json!(false)));
    same_as_bert(&changed(|file| file["normalizer"]["strip_accents"] = json!(false)));
    same_as_bert(&changed(|file| {
        file["normalizer"]["lowercase"] = json!(false);
        file["normalizer"]["strip_accents"] = json!(true);
    }));
    same_as_bert(&changed(|file| {
        file["normalizer"]["clean_text"] = json!(false);
        file["normalizer"]["handle_chinese_chars"] = json!(false);
    }));
    same_as_bert(&changed(|file| file["post_processor"] = Value::Null));
    same_as_bert(&changed(|file| {
        file["post_processor"] =
            json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]});
    }));
    same_as_bert(&changed(|file| file["model"]["max_input_chars_per_word"] = json!(9)));
    same_as_bert(&changed(|file| file["model"]["continuing_subword_prefix"] = json!("")));
    same_as_bert(&changed(|file| {
        // Published files of that age do not name the kind of the model.
        file["model"].as_object_mut().unwrap().remove("type");
    }));
}

#[test]
fn added_tokens_have_the_same_ids_and_places() {
    same_as_bert(&changed(|file| {
        let tokens = file["added_tokens"].as_array_mut().unwrap();
        tokens.push(added("DOMAIN", true, false));
        tokens.push(added("domain words", true, false));
        tokens.push(added("[MASK", false, false));
        tokens.push(added("off", false, true));
        tokens.push(added("É", true, true));
        // Normalised, the same as an earlier one.
        tokens.push(added("domain", true, false));
        tokens.push(added("off", true, false));
        tokens.push(added("", true, false));
    }));
    // Ids of the vocabulary are not contiguous.
    same_as_bert(&changed(|file| {
        file["model"]["vocab"]["off"] = json!(400);
        let tokens = file["added_tokens"].as_array_mut().unwrap();
        tokens.extend([added("off", false, false), added("new", true, false)]);
    }));
    for flags in 0..8 {
        same_as_bert(&changed(|file| {
            for content in ["off", "the", "Domain", "-"] {
                let mut token = added(content, content != "off", false);
                for (bit, flag) in ["single_word", "lstrip", "rstrip"].into_iter().enumerate() {
                    token[flag] = json!(flags >> bit & 1 == 1);
                }
                file["added_tokens"].as_array_mut().unwrap().push(token);
            }
        }));
    }
}

#[test]
fn a_vocabulary_gives_the_same_ids() {
    let lines = "[PAD]\n[UNK]\r\n[CLS]\n[SEP]\n[MASK]\nturn\noff\nthe \nlight\n##s\ncafe\ncafé\n,\nis\nturn\n";
    for lowercase in [true, false] {
        let config = format!("{{\"do_lower_case\": {lowercase}}}");
        let files = TokenizerFiles { config: Some(config.as_bytes()), ..TokenizerFiles::default() };
        let settings = Settings::read(&files, &tiny_config()).unwrap();
        let bert = from_vocab(lines.as_bytes(), &settings).unwrap();
        let vocabulary = WordPiece::read_bytes(lines.as_bytes()).unwrap();
        let model = WordPiece::builder().vocab(vocabulary).unk_token("[UNK]".into()).build();
        let mut theirs = Tokenizer::new(model.unwrap());
        theirs.with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)));
        theirs.with_pre_tokenizer(Some(BertPreTokenizer));
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        theirs.add_special_tokens(&special.map(|token| AddedToken::from(token, true)));
        assert_eq!(bert.len(), theirs.get_vocab(true).len());
        for text in TEXTS.into_iter().map(str::to_owned).chain(random_texts(400)) {
            let expected = theirs.encode_fast(text.as_str(), false).unwrap();
            assert_eq!(bert.pieces(&text, usize::MAX - 1).unwrap(), expected.get_ids(), "{text:?}");
        }
    }
}

/// Every character between two letters, so that a table of another version would show.
#[test]
fn every_character_is_treated_the_same() {
    for rules in [
        json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": true}),
        json!({"type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": false, "strip_accents": false,
            "lowercase": false}),
    ] {
        let json = changed(|file| {
            file["normalizer"] = rules;
            let vocab = file["model"]["vocab"].as_object_mut().unwrap();
            vocab.extend([("a".to_owned(), json!(300)), ("b".to_owned(), json!(301))]);
        });
        let (ours, _) = super::from_json(json.as_bytes()).unwrap();
        let theirs = Tokenizer::from_bytes(json).unwrap();
        let all: Vec<char> = (0..0x30000).filter_map(char::from_u32).collect();
        for some in all.chunks(500) {
            let text: String =
                some.iter().flat_map(|c| ['a', *c, 'b', ' ', 'a', 'b', ' ']).collect();
            let expected = theirs.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
            let first = u32::from(some[0]);
            assert_eq!(ours.pieces(&text, usize::MAX - 1).unwrap().0, expected, "from {first:x}");
        }
    }
}
