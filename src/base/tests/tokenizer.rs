use super::{TINY_VOCAB, tiny_config};
use crate::base::{BaseError, BertTokenizer, TokenizerFiles};

fn vocab(text: &str, lowercase: bool) -> Result<BertTokenizer, BaseError> {
    let config = format!("{{\"do_lower_case\": {lowercase}}}");
    let (vocab, config) = (Some(text.as_bytes()), Some(config.as_bytes()));
    let files = TokenizerFiles { vocab, config, ..TokenizerFiles::default() };
    BertTokenizer::from_files(files, &tiny_config())
}

fn json(text: &str) -> Result<BertTokenizer, BaseError> {
    BertTokenizer::from_files(TokenizerFiles::json(text.as_bytes()), &tiny_config())
}

/// A `tokenizer.json` with truncation and padding, as in sentence-transformers' models.
const JSON: &str = r###"{"version": "1.0",
    "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0},
    "padding": {"strategy": {"Fixed": 7}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "[PAD]"},
    "added_tokens": [],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
        "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
            "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
    "decoder": null,
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {"[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "play": 5, "##ing": 6, "the": 7, "song": 8}}}"###;

#[test]
fn words_become_pieces_between_cls_and_sep() {
    let tokenizer = vocab(TINY_VOCAB, true).unwrap();
    let ids = |text| tokenizer.encode(text).unwrap().ids;
    assert_eq!(ids("playing the song."), [2, 5, 6, 7, 8, 9, 3]);
    assert_eq!(ids("THE  Song\t\n"), [2, 7, 8, 3]);
    assert_eq!(ids("zebra"), [2, 1, 3]);
    assert_eq!(ids(""), [2, 3]);
    assert_eq!(tokenizer.vocabulary_size(), 14);
}

#[test]
fn accents_and_case_follow_do_lower_case() {
    assert_eq!(vocab(TINY_VOCAB, true).unwrap().encode("A Café").unwrap().ids, [2, 11, 12, 3]);
    assert_eq!(vocab(TINY_VOCAB, false).unwrap().encode("A café").unwrap().ids, [2, 10, 13, 3]);
}

#[test]
fn text_is_truncated_at_the_position_limit_and_keeps_sep() {
    let tokenizer = vocab(TINY_VOCAB, true).unwrap();
    for words in 0..30 {
        let encoded = tokenizer.encode(&"the ".repeat(words)).unwrap();
        assert_eq!(encoded.ids.len(), (words + 2).min(10));
        assert_eq!((encoded.ids[0], *encoded.ids.last().unwrap()), (2, 3));
        assert_eq!(encoded.truncated, words > 8, "{words}");
    }
}

#[test]
fn stored_truncation_and_padding_are_dropped() {
    let encoded = json(JSON).unwrap().encode("playing the song the song").unwrap();
    assert_eq!((encoded.ids.as_slice(), encoded.truncated), (&[2, 5, 6, 7, 8, 7, 8, 3][..], false));
    assert_eq!(json(JSON).unwrap().encode("the").unwrap().ids, [2, 7, 3]);
}

#[test]
fn a_json_without_template_uses_cls_and_sep_by_name() {
    let start = JSON.find("\"post_processor\"").unwrap();
    let end = JSON.find("\"decoder\"").unwrap();
    let plain = format!("{}\"post_processor\": null,\n{}", &JSON[..start], &JSON[end..]);
    assert_eq!(json(&plain).unwrap().encode("the song").unwrap().ids, [2, 7, 8, 3]);
    let error = json(&plain.replace("\"[SEP]\": 3,", "")).unwrap_err();
    assert!(error.to_string().contains("[SEP]"), "{error}");
}

#[test]
fn ids_beyond_the_embedding_are_rejected_by_name() {
    let error = vocab(&format!("{TINY_VOCAB}extra\n"), true).unwrap_err();
    assert_eq!(
        error,
        BaseError::VocabularyTooLarge { token: "extra".into(), id: 14, vocab_size: 14 }
    );
    let error = json(&JSON.replace("\"song\": 8", "\"song\": 99")).unwrap_err();
    assert!(error.to_string().contains("\"song\" has id 99"), "{error}");
}

#[test]
fn damaged_files_are_reported() {
    for end in (0..JSON.len()).step_by(37) {
        let message = json(&JSON[..end]).unwrap_err().to_string();
        assert!(message.contains("tokenizer.json"), "{message}");
    }
    for token in ["[UNK]", "[CLS]", "[SEP]"] {
        let message = vocab(&TINY_VOCAB.replace(token, "gone"), true).unwrap_err().to_string();
        assert!(message.contains(&format!("vocab.txt has no line {token}")), "{message}");
    }
    let error =
        BertTokenizer::from_files(TokenizerFiles::vocab(b"[UNK]\n\xff\xfe\n"), &tiny_config())
            .unwrap_err();
    assert!(error.to_string().contains("vocab.txt"), "{error}");
}
