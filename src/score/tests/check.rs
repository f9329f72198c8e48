//! Signs of different conventions.

use super::super::{Evaluation, Finding, Form};
use super::utterance;
use crate::text::{Conventions, Normalize, Unit};

fn findings(conventions: Conventions, lists: &[(&str, &[&str])]) -> Vec<Finding> {
    let mut evaluation = Evaluation::with(conventions);
    for (reference, texts) in lists {
        let scored: Vec<_> = texts.iter().map(|text| (*text, None)).collect();
        evaluation.add(&utterance(Some(reference), &scored), None);
    }
    evaluation.report(10, 0).warnings
}

fn first(lists: &[(&str, &[&str])]) -> Finding {
    findings(Conventions::default(), lists)[0]
}

#[test]
fn errors_of_form_are_named_with_the_weakest_normalisation_that_removes_them() {
    let vanishing = |errors, left, form| Finding::Vanishing { errors, left, form };
    let found = first(&[("TURN IT OFF", &["turn it off"]), ("STOP IT", &["stop at"])]);
    assert_eq!(found, vanishing(5, 1, Form::Case));
    assert_eq!(
        found.to_string(),
        "4 of 5 errors of the first pass vanish when case is ignored; set `normalize` to `lower`"
    );
    let found = first(&[("TURN IT OFF", &[" Turn it off."]), ("stop", &["go"])]);
    assert_eq!(found, vanishing(4, 1, Form::Punctuation));
    let found = first(&[("über Hà", &["u\u{308}ber Ha\u{300}"])]);
    assert_eq!(found, vanishing(2, 0, Form::Composition));
    assert!(found.to_string().ends_with("(NFC) is ignored; set `normalize` to `lower`"), "{found}");
    let found = first(&[("don't", &["don’t"]), ("it is late", &["it is late"])]);
    assert_eq!(found, vanishing(1, 0, Form::Punctuation));
    let found = first(&[("SET IT FOR TWENTY ONE MINUTES", &["Set it for 21 minutes."])]);
    assert_eq!(found, vanishing(6, 0, Form::Whisper));
}

#[test]
fn real_errors_cause_no_warning() {
    let lists: [(&str, &[&str]); 3] =
        [("turn it off", &["turn it of"]), ("play a song", &["lay along"]), ("stop", &["stop"])];
    assert_eq!(findings(Conventions::default(), &lists), []);
    // One capital in two hundred words.
    let long = "word ".repeat(200);
    assert_eq!(findings(Conventions::default(), &[(&long, &[&long]), ("b c", &["B x"])]), []);
    // What the conventions ignore already.
    let basic = Conventions { normalize: Normalize::Basic, ..Conventions::default() };
    assert_eq!(findings(basic, &[("TURN IT OFF", &["turn, it, of"])]), []);
}

#[test]
fn scripts_without_spaces_need_characters() {
    let chinese: (&str, &[&str]) = ("请把厨房的灯关掉", &["请把厨房的等关掉"]);
    let found = first(&[chinese]);
    assert_eq!(found, Finding::OneWord { references: 1, all: 1, unit: Unit::Char });
    assert!(found.to_string().ends_with("set `unit` to `char`"), "{found}");
    let found =
        first(&[chinese, ("打开 wifi 开关", &["打开 wifi 开关"]), ("请打开无线网 wifi", &["a"])]);
    assert_eq!(found, Finding::OneWord { references: 2, all: 3, unit: Unit::Mixed });
    let spaced: (&str, &[&str]) = ("请 把 厨 房 的 灯 关 掉", &["请 把 厨 房 的 等 关 掉"]);
    assert_eq!(findings(Conventions::default(), &[spaced]), []);
    let by_character = Conventions { unit: Unit::Char, ..Conventions::default() };
    assert_eq!(findings(by_character, &[chinese]), []);
    assert!(matches!(first(&[("เปิดไฟในห้องครัว", &["ปิดไฟในห้องครัว"])]), Finding::OneWord { .. }));
}

#[test]
fn an_oracle_near_100_percent_is_reported_unless_forms_explain_it() {
    let reference = "a b c d e f g h i j k l m n o p q r s t";
    let other = "z ".repeat(20);
    let found = findings(Conventions::default(), &[(reference, &[&other])]);
    assert_eq!(found, [Finding::HopelessOracle { errors: 20, words: 20, unit: Unit::Word }]);
    let capitals = reference.to_uppercase();
    let found = findings(Conventions::default(), &[(reference, &[&capitals])]);
    assert!(matches!(found[..], [Finding::Vanishing { left: 0, .. }]), "{found:?}");
    // A few words can be misheard.
    assert_eq!(findings(Conventions::default(), &[("yellow", &["hello"])]), []);
}
