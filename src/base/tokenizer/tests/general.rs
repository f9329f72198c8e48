//! Files of other kinds.

use serde_json::{Value, json};

use super::{added, changed, same};
use crate::base::tokenizer::read::Inner;

fn same_as_general(json: &str) {
    assert!(matches!(same(json), Inner::General(_)));
}

/// SentencePiece's table with some replacements: `ﬁ` by `fi`, `½` by `1/2`, no-break space by a space, and a soft
/// hyphen by nothing.
pub fn charsmap() -> Vec<u8> {
    let replacements = "fi\x001/2\0 \0\0";
    let keys = [("\u{fb01}", 0), ("½", 3), ("\u{a0}", 7), ("\u{ad}", 9)];
    // A node is a block of 256 units; each byte of a key leads to the next block.
    let mut blocks: Vec<[u32; 256]> = vec![[0; 256]];
    let mut next: std::collections::HashMap<Vec<u8>, usize> = [(vec![], 0)].into();
    for (key, value) in keys {
        let mut path = Vec::new();
        for byte in key.bytes() {
            let here = next[&path];
            path.push(byte);
            let free = blocks.len();
            let there = *next.entry(path.clone()).or_insert(free);
            if there == free {
                blocks.push([0; 256]);
            }
            let (from, to) = (here * 256 + byte as usize, there * 256);
            blocks[here][byte as usize] = ((from ^ to) as u32) << 10 | u32::from(byte);
        }
        let (&last, before) = path.split_last().unwrap();
        blocks[next[before]][last as usize] |= 1 << 8;
        blocks[next[&path]][0] = 1 << 31 | value;
    }
    let units: Vec<u8> = blocks.iter().flatten().flat_map(|unit| unit.to_le_bytes()).collect();
    let mut bytes = (units.len() as u32).to_le_bytes().to_vec();
    bytes.extend(units);
    bytes.extend(replacements.bytes());
    bytes
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |group: &[u8]| {
        let mut three = [0; 3];
        three[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        let digit = |at: usize| {
            let used = at <= group.len();
            if used { DIGITS[(bits >> (18 - 6 * at) & 63) as usize] as char } else { '=' }
        };
        [0, 1, 2, 3].map(digit)
    };
    bytes.chunks(3).flat_map(digits).collect()
}

/// The tokenizer of a multilingual base: Unigram, with SentencePiece's normalisation.
pub fn multilingual(change: impl FnOnce(&mut Value)) -> String {
    let pieces = [
        ("<s>", 0.0),
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -2.5),
        ("▁the", -3.0),
        ("▁turn", -5.0),
        ("off", -4.5),
        ("▁of", -3.5),
        ("f", -4.0),
        ("li", -5.5),
        ("ght", -6.0),
        ("s", -3.2),
        ("t", -4.1),
        ("h", -4.2),
        ("e", -3.1),
        ("野", -9.0),
        ("か", -9.0),
        ("domain", -9.5),
        ("main", -8.0),
        ("do", -7.0),
        (".", -3.0),
        ("fi", -6.1),
        ("1/2", -9.0),
        ("g", -5.0),
        ("gh", -5.0),
        ("<0xC3>", -9.0),
        ("<0x89>", -9.0),
        ("▁▁", -4.0),
    ];
    let pieces: Vec<_> = pieces.iter().map(|(piece, score)| json!([piece, score])).collect();
    let mask = json!({"id": 29, "content": "[MASK]", "single_word": false, "lstrip": true, "rstrip": false,
        "normalized": false, "special": true});
    let mut file = json!({
        "version": "1.0",
        "added_tokens": [added("<s>", false, true), added("</s>", false, true), mask],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": base64(&charsmap())},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true}]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}},
        "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces},
    });
    change(&mut file);
    file.to_string()
}

#[test]
fn multilingual_files_give_the_same_ids() {
    same_as_general(&multilingual(|_| {}));
    same_as_general(&multilingual(|file| file["model"]["byte_fallback"] = json!(true)));
    same_as_general(&multilingual(|file| {
        file["normalizer"] = json!({"type": "NFKC"});
        file["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false});
    }));
    same_as_general(&multilingual(|file| {
        file["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true});
    }));
    same_as_general(&multilingual(|file| {
        file["pre_tokenizer"] =
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"});
        file["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFKD"},
            {"type": "StripAccents"}, {"type": "Lowercase"},
            {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "Prepend", "prepend": "▁"}]});
    }));
    same_as_general(&multilingual(|file| file["pre_tokenizer"] = Value::Null));
    same_as_general(&multilingual(|file| {
        // Of equal pieces the last one counts.
        file["model"]["vocab"].as_array_mut().unwrap().push(json!(["off", -1.0]));
    }));
}

#[test]
fn word_pieces_with_other_rules_give_the_same_ids() {
    let bert = json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": null, "lowercase": true});
    same_as_general(&changed(|file| {
        file["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}, bert]});
    }));
    for step in [
        json!({"type": "Whitespace"}),
        json!({"type": "UnicodeScripts"}),
        json!({"type": "Punctuation", "behavior": "Contiguous"}),
        json!({"type": "Digits", "individual_digits": true}),
        json!({"type": "CharDelimiterSplit", "delimiter": "-"}),
        json!({"type": "Split", "pattern": {"String": "-"}, "behavior": "Removed", "invert": false}),
        json!({"type": "Split", "pattern": {"Regex": r"\s+"}, "behavior": "MergedWithNext", "invert": false}),
    ] {
        same_as_general(&changed(|file| {
            file["pre_tokenizer"] = json!({"type": "Sequence",
                "pretokenizers": [{"type": "WhitespaceSplit"}, step]});
        }));
    }
    for flags in 0..8 {
        same_as_general(&changed(|file| {
            file["normalizer"] = json!({"type": "Lowercase"});
            file["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "▁"});
            for content in ["off", "Domain", "-"] {
                let mut token = added(content, content == "Domain", false);
                for (bit, flag) in ["single_word", "lstrip", "rstrip"].into_iter().enumerate() {
                    token[flag] = json!(flags >> bit & 1 == 1);
                }
                file["added_tokens"].as_array_mut().unwrap().push(token);
            }
        }));
    }
}

/// RoBERTa's kind: bytes as characters, and merges.
pub fn byte_level(change: impl FnOnce(&mut Value)) -> String {
    // Printable characters stand for themselves, the other bytes for those from 256 on.
    let printable = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 256;
    let alphabet = (0..256).map(|byte| {
        let code = if printable(byte) { byte } else { next };
        next += u32::from(!printable(byte));
        char::from_u32(code).unwrap().to_string()
    });
    let special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"].map(str::to_owned);
    let mut pieces: Vec<String> = special.into_iter().chain(alphabet).collect();
    let merges = [
        ("t", "h"),
        ("Ġ", "t"),
        ("th", "e"),
        ("Ġt", "h"),
        ("Ġth", "e"),
        ("o", "f"),
        ("of", "f"),
        ("Ġ", "o"),
        ("Ġo", "f"),
        ("Ġof", "f"),
        ("h", "t"),
        ("i", "g"),
        ("ig", "ht"),
        ("l", "ight"),
        ("'", "s"),
        ("Ã", "©"),
        ("Ġ", "Ġ"),
        ("1", "0"),
        ("ĠĠ", "Ġ"),
        ("o", "m"),
        ("d", "om"),
        ("dom", "a"),
        ("i", "n"),
        ("doma", "in"),
    ];
    pieces.extend(merges.iter().map(|(left, right)| format!("{left}{right}")));
    let vocabulary: serde_json::Map<_, _> =
        pieces.into_iter().enumerate().map(|(id, piece)| (piece, json!(id))).collect();
    let added = |content: &str, strips: bool| {
        json!({"id": 0, "content": content, "single_word": false, "lstrip": strips, "rstrip": false, "normalized": false,
            "special": true})
    };
    let mut file = json!({
        "version": "1.0",
        "added_tokens": [added("<s>", false), added("</s>", false), added("<mask>", true)],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": true,
            "add_prefix_space": false},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges.map(|(left, right)| json!([left, right]))},
    });
    change(&mut file);
    file.to_string()
}

#[test]
fn byte_pairs_give_the_same_ids() {
    same_as_general(&byte_level(|_| {}));
    same_as_general(&byte_level(|file| {
        let text = |pair: &Value| {
            json!(format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        };
        let merges = file["model"]["merges"].as_array().unwrap().iter().map(text).collect();
        file["model"]["merges"] = Value::Array(merges);
    }));
    same_as_general(&byte_level(|file| file["pre_tokenizer"]["add_prefix_space"] = json!(true)));
    same_as_general(&byte_level(|file| file["pre_tokenizer"]["use_regex"] = json!(false)));
    same_as_general(&byte_level(|file| {
        // A piece to which no merges lead.
        file["model"]["vocab"]["Ġlights"] = json!(300);
        file["model"]["ignore_merges"] = json!(true);
    }));
    // Characters instead of bytes, some of them unknown.
    for (fuse, fallback) in [(false, false), (true, false), (false, true), (true, true)] {
        same_as_general(&byte_level(|file| {
            file["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "Ġ"});
            let model = &mut file["model"];
            (model["unk_token"], model["fuse_unk"]) = (json!("<unk>"), json!(fuse));
            model["byte_fallback"] = json!(fallback);
            for (at, byte) in "か\u{20000}".bytes().enumerate() {
                model["vocab"][format!("<0x{byte:02X}>")] = json!(400 + at);
            }
        }));
    }
}

#[test]
fn unusable_byte_pairs_are_refused() {
    let refused = |change: fn(&mut Value), part: &str| {
        let json = byte_level(|file| change(&mut file["model"]));
        let error = super::from_json(json.as_bytes()).err();
        assert!(error.as_ref().is_some_and(|error| error.contains(part)), "{error:?}: {part}");
    };
    refused(|model| model["dropout"] = json!(0.1), "dropout");
    refused(|model| model["continuing_subword_prefix"] = json!("##"), "continuing_subword_prefix");
    refused(|model| model["end_of_word_suffix"] = json!("</w>"), "end_of_word_suffix");
    refused(|model| model["merges"] = json!([["t", "zz"]]), "merge 0 has the piece \"tzz\"");
    refused(|model| model["merges"] = json!(["tzz"]), "merge 0 is \"tzz\"");
    refused(|model| model["unk_token"] = json!("<none>"), "<none>");
    let json = byte_level(|file| file["pre_tokenizer"] = Value::Null);
    let (tokenizer, _) = super::from_json(json.as_bytes()).unwrap();
    let error = tokenizer.pieces("か", 9).unwrap_err();
    assert!(error.contains("the character 'か' is unknown"), "{error}");
}
