use super::*;

#[test]
fn none_changes_nothing() {
    let text = " Don’t\u{200b}  STOP.\u{0} e\u{301}";
    assert_eq!(Normalize::None.apply(text), text);
}

#[test]
fn lower_ignores_case_and_composition() {
    let lower = |text| Normalize::Lower.apply(text).into_owned();
    assert_eq!(lower("TURN Off."), "turn off.");
    // The same words as a Mac's file system writes them, and as keyboards do.
    assert_eq!(lower("U\u{308}ber Ha\u{300} No\u{323}\u{302}i"), lower("über hà nội"));
    // Angstrom and Kelvin signs; Greek final sigma; Turkish I with a dot keeps it as a mark.
    assert_eq!(lower("\u{212b} \u{212a} ΟΔΟΣ"), "å k οδος");
    assert_eq!(lower("İ"), "i\u{307}");
}

#[test]
fn basic_ignores_punctuation_symbols_and_invisible_characters() {
    let basic = |text| Normalize::Basic.apply(text).into_owned();
    for (given, expected) in [
        (" Turn off the lights, in the kitchen!", "turn off the lights in the kitchen"),
        ("don’t don‘t don`t don´t donʼt don＇t DON'T", "don't don't don't don't don't don't don't"),
        ("'cause the dogs' rock 'n' roll ''", "cause the dogs rock n roll"),
        ("well-known e.g. 10,000 50% a_b", "well known e g 10 000 50 a b"),
        ("turn\u{200b}off turn\u{3000}off turn\u{a0}off", "turn off turn off turn off"),
        ("\u{feff}turn\u{ad} off\0 th\u{ad}e\u{feff}", "turn off the"),
        ("¿Qué? «Oui» „ja“ 。，「灯」", "qué oui ja 灯"),
        ("ok 👍🏽 fine \u{1fae0}", "ok fine"),
        // Vowel signs and marks belong to the letters.
        ("नमस्ते, เปิดไฟ! e\u{301}", "नमस्ते เปิดไฟ é"),
        ("می\u{200c}خواهم", "میخواهم"),
        ("…", ""),
        ("", ""),
    ] {
        assert_eq!(basic(given), expected, "{given:?}");
    }
}

#[test]
fn normalising_twice_changes_nothing_more() {
    let texts = ["Don’t STOP — e.g. 10,000!", "é İ ǅ ﬁ", "a 'b' c'd", "नमस्ते 👍", "'''", "ΟΔΟΣ."];
    for text in texts {
        for kind in [Normalize::Lower, Normalize::Basic] {
            let once = kind.apply(text).into_owned();
            assert_eq!(kind.apply(&once), once, "{kind} {text:?}");
        }
    }
}

#[test]
fn every_character_is_normalised_without_a_panic() {
    for c in '\0'..=char::MAX {
        let text = format!("a{c} '{c}.{c}% ${c}1");
        for kind in Normalize::ALL {
            let normalised = kind.apply(&text);
            assert!(kind != Normalize::Basic || !normalised.contains(['\'', '.', ',']), "{text:?}");
        }
    }
}
