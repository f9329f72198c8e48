//! Files that are rejected, each with a message that names the part.

use serde_json::{Value, json};

use super::general::{base64, charsmap, multilingual};
use super::{added, changed, from_json};
use crate::base::tests::tiny_config;
use crate::base::{BaseError, BertTokenizer, TokenizerFiles};

fn refused(json: &str, part: &str) {
    let error = from_json(json.as_bytes()).err().unwrap_or_else(|| panic!("accepted: {part}"));
    assert!(error.contains(part), "{error}: expected {part}");
}

#[test]
fn templates_without_one_text_between_two_tokens_are_refused() {
    let refused = |single: &str, part: &str| {
        let single: Value = serde_json::from_str(&single.replace('\'', "\"")).unwrap();
        let json = changed(|file| file["post_processor"]["single"] = single.clone());
        refused(&json, part);
        let json = multilingual(|file| file["post_processor"]["single"] = single);
        refused(&json.replace("<s>", "[CLS]").replace("</s>", "[SEP]"), part);
    };
    let cls = "{'SpecialToken': {'id': '[CLS]', 'type_id': 0}}";
    let sep = "{'SpecialToken': {'id': '[SEP]', 'type_id': 0}}";
    let (a, b) =
        ("{'Sequence': {'id': 'A', 'type_id': 0}}", "{'Sequence': {'id': 'B', 'type_id': 0}}");
    let gone = "{'SpecialToken': {'id': '[GONE]', 'type_id': 0}}";
    refused(&format!("[{cls}, {b}, {sep}]"), "sequence B");
    refused(&format!("[{cls}, {a}, {b}, {sep}]"), "sequence B");
    refused(&format!("[{cls}, {sep}]"), "0 times");
    refused(&format!("[{cls}, {a}, {a}, {sep}]"), "2 times");
    refused(&format!("[{cls}, {sep}, {a}]"), "2 tokens before and 0 after");
    refused(&format!("[{cls}, {a}]"), "1 tokens before and 0 after");
    refused(&format!("[{gone}, {a}, {sep}]"), "[GONE]");
    refused(&format!("[{cls}, {a}, {sep}, {sep}]"), "2 after");
}

#[test]
fn ids_of_the_template_are_checked() {
    let config = tiny_config();
    let open = |json: String| {
        BertTokenizer::from_files(TokenizerFiles::json(json.as_bytes()), &config).unwrap_err()
    };
    let small = |file: &mut Value| {
        file["model"]["vocab"] = json!({"[UNK]": 1, "[CLS]": 2, "[SEP]": 3});
        file["added_tokens"] = json!([]);
    };
    let beyond = |token: &str, id| BaseError::VocabularyTooLarge {
        token: token.into(),
        id,
        vocab_size: config.vocab_size,
    };
    let json = changed(|file| {
        small(file);
        file["post_processor"]["special_tokens"]["[CLS]"]["ids"] = json!([config.vocab_size]);
    });
    assert_eq!(open(json), beyond("[CLS]", config.vocab_size as u32));
    let json = changed(|file| {
        small(file);
        file["post_processor"] =
            json!({"type": "BertProcessing", "sep": ["[SEP]", 1_000_000_000], "cls": ["[CLS]", 2]});
    });
    assert_eq!(open(json), beyond("[SEP]", 1_000_000_000));
    let json = changed(|file| {
        small(file);
        file["added_tokens"] =
            json!((0..20).map(|i| numbered(100 + i, &format!("x{i:02}"))).collect::<Vec<_>>());
    });
    assert_eq!(open(json), beyond("x19", 22));
}

/// An added token with this id.
fn numbered(id: u64, content: &str) -> Value {
    let mut token = added(content, true, false);
    token["id"] = json!(id);
    token
}

#[test]
fn other_kinds_are_refused_by_name() {
    let part = |key: &str, value: Value| changed(|file| file[key] = value);
    refused(&part("normalizer", json!({"type": "ByteLevel"})), "ByteLevel");
    refused(&part("pre_tokenizer", json!({"type": "FixedLength", "length": 0})), "FixedLength");
    refused(&part("pre_tokenizer", json!({"type": "RandomChunk"})), "RandomChunk");
    refused(&part("post_processor", json!({"type": "Sequence", "processors": []})), "Sequence");
    refused(&part("version", json!("2.0")), "2.0");
    refused(&changed(|file| file["model"]["type"] = json!("BPE")), "merges");
    let levels = json!({"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"});
    refused(&part("model", levels), "WordLevel");
    refused(&part("model", json!({"type": "WordLevel", "vocab": {}})), "WordLevel");
}

#[test]
fn parts_beyond_their_limits_are_refused() {
    let normalizer = |value: Value| changed(|file| file["normalizer"] = value);
    let replace = |pattern: Value, content: &str| {
        normalizer(json!({"type": "Replace", "pattern": pattern, "content": content}))
    };
    refused(&replace(json!({"String": ""}), "x"), "a pattern is empty");
    refused(&replace(json!({"Regex": "(a|a)*b"}), "x"), "(a|a)*b");
    refused(&replace(json!({"Regex": "x?"}), "x"), "x?");
    refused(&replace(json!({"String": "a"}), &"x".repeat(65)), "65 bytes");
    let steps = vec![json!({"type": "NFC"}); 17];
    refused(&normalizer(json!({"type": "Sequence", "normalizers": steps})), "more than 16 steps");
    let token = |length: usize| {
        changed(|file| file["added_tokens"] = json!([added(&"x".repeat(length), true, false)]))
    };
    refused(&token(257), "257 bytes");
    from_json(token(256).as_bytes()).unwrap();
    let many: Vec<_> = (0..4097).map(|i| added(&i.to_string(), true, false)).collect();
    refused(&changed(|file| file["added_tokens"] = json!(many)), "more than 4096");
    refused(&changed(|file| file["added_tokens"] = json!([added("\u{0}", true, false)])), "empty");
    let most = |chars: Value| changed(|file| file["model"]["max_input_chars_per_word"] = chars);
    refused(&most(json!(257)), "max_input_chars_per_word");
    refused(&most(json!(u64::MAX)), "max_input_chars_per_word");
    let long = "x".repeat(257);
    refused(&changed(|file| file["model"]["vocab"][&long] = json!(5)), "257 bytes");
    refused(&multilingual(|file| file["model"]["vocab"][5] = json!(["", 0.0])), "is empty");
    refused(&multilingual(|file| file["model"]["unk_id"] = json!(29)), "unk_id is 29");
    refused(&changed(|file| file["normalizer"]["x"] = json!("x".repeat(4 << 20))), "4194304");
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    refused(&changed(|_| {}).replacen('{', &format!("{{\"version\": {},", deep(9999)), 1), "");
}

#[test]
fn damaged_tables_of_characters_are_refused() {
    let read = |table: &[u8]| {
        let json = multilingual(|file| {
            file["normalizer"] =
                json!({"type": "Precompiled", "precompiled_charsmap": base64(table)});
        });
        let (tokenizer, _) = from_json(json.as_bytes())?;
        // What passes the check must work.
        for text in super::TEXTS.into_iter().map(str::to_owned).chain(super::random_texts(50)) {
            tokenizer.pieces(&text, 500)?;
        }
        Ok::<_, String>(())
    };
    let whole = charsmap();
    read(&whole).unwrap();
    let mut cases = vec![vec![], vec![0; 3], vec![0; 4], vec![0xff; 4], vec![0xff; 4096]];
    for length in [4, 100, 1027, 1028, whole.len() - 40] {
        cases.push(whole[..length].to_vec());
    }
    let change = |at: usize, unit: u32| {
        let mut table = whole.clone();
        table[at..at + 4].copy_from_slice(&unit.to_le_bytes());
        table
    };
    // The array's length; the root's offset; an offset, and a position, beyond the end.
    let unit = |block: usize, at: usize| 4 + 4 * (256 * block + at);
    cases.push(change(0, u32::MAX));
    cases.push(change(0, 0));
    cases.push(change(unit(0, 0), 1 << 30));
    cases.push(change(unit(0, 0xef), 0x7fff_fc00 | 0xef));
    for block in 1..8 {
        cases.push(change(unit(block, 0), 1 << 31 | 5000));
    }
    let mut refused = 0;
    for table in &cases {
        if let Err(error) = read(table) {
            assert!(error.contains("precompiled_charsmap"), "{error}");
            refused += 1;
        }
    }
    // Positions in blocks without a value are never read.
    assert!(refused >= cases.len() - 4, "{refused} of {}", cases.len());
    // Random damage is refused, or harmless.
    let mut state = 3u64;
    for _ in 0..300 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut table = whole.clone();
        let at = (state >> 33) as usize % table.len();
        table[at] ^= 1 << (state >> 20 & 7);
        if let Err(error) = read(&table) {
            assert!(error.contains("precompiled_charsmap"), "{error}");
        }
    }
    refused_text("!!!!", "not base64");
    refused_text("QUJ", "not base64");
}

fn refused_text(table: &str, part: &str) {
    let json = multilingual(|file| {
        file["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": table});
    });
    refused(&json, part);
}
