//! Long texts, and files that would make short ones long.

use std::time::{Duration, Instant};

use serde_json::json;

use super::general::multilingual;
use super::{GOLDEN, changed, from_json};

/// Long texts of every kind, whose first pieces are those of their beginning.
fn long_texts(length: usize) -> Vec<String> {
    let units = [
        "the off ", "!", "野", "a", " ", "e\u{301}", "[MASK]", "the\u{0}", "\u{ad}", "turn", "[",
        "[M",
    ];
    units.iter().map(|unit| unit.repeat(length / unit.len())).collect()
}

#[test]
fn a_long_text_costs_no_more_than_its_beginning() {
    let (bert, _) = from_json(GOLDEN.as_bytes()).unwrap();
    let started = Instant::now();
    for text in long_texts(8 << 20) {
        let start = &text[..text.floor_char_boundary(1 << 16)];
        let (ids, clipped) = bert.pieces(&text, 510).unwrap();
        assert!(!clipped);
        // At the end of a word more than 510 pieces may be there.
        assert!(ids.len() < 600, "{} of {:?}", ids.len(), &text[..8]);
        if ids.len() > 510 {
            assert_eq!(ids, bert.pieces(start, 510).unwrap().0);
        }
    }
    // 12 texts of 8 MB took 50 s before.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn other_tokenizers_read_the_beginning() {
    let (unigram, _) = from_json(multilingual(|_| {}).as_bytes()).unwrap();
    let started = Instant::now();
    for text in long_texts(8 << 20) {
        let (ids, clipped) = unigram.pieces(&text, 510).unwrap();
        assert_eq!(clipped, !text.trim().is_empty(), "{:?}", &text[..8]);
        assert!(ids.len() <= 1 << 16);
    }
    let text = format!("{}the end", "the off ".repeat(2048));
    assert!(unigram.pieces(&text, usize::MAX - 1).unwrap().1, "cut at white space");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn a_normalizer_that_doubles_a_text_again_and_again_is_stopped() {
    let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    let json = changed(|file| {
        file["normalizer"] = json!({"type": "Sequence", "normalizers": vec![double; 16]});
    });
    let (tokenizer, _) = from_json(json.as_bytes()).unwrap();
    tokenizer.pieces("the", 510).unwrap();
    let error = tokenizer.pieces("a a a a", 510).unwrap_err();
    assert!(error.contains("its normalizer makes"), "{error}");
}

#[test]
fn words_that_share_prefixes_with_long_pieces_take_bounded_time() {
    let json = changed(|file| {
        for length in 1..=256 {
            file["model"]["vocab"]["a".repeat(length)] = json!(5);
        }
        file["model"]["max_input_chars_per_word"] = json!(256);
    });
    let (bert, _) = from_json(json.as_bytes()).unwrap();
    let json = multilingual(|file| {
        let vocab = file["model"]["vocab"].as_array_mut().unwrap();
        vocab.extend((1..=256).map(|length| json!(["a".repeat(length), -1.0])));
    });
    let (unigram, _) = from_json(json.as_bytes()).unwrap();
    let started = Instant::now();
    let word = format!("{}b ", "a".repeat(255));
    bert.pieces(&word.repeat(200), 510).unwrap();
    unigram.pieces(&"a".repeat(1 << 16), 510).unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
