use super::*;

#[test]
fn the_default_changes_nothing_and_settings_have_names() {
    let joined = Conventions { normalize: Normalize::Basic, unit: Unit::Char, join: true };
    assert!(Conventions::default().is_default() && !joined.is_default());
    assert_eq!(Conventions::default().to_string(), "normalize none, unit word");
    assert_eq!(joined.to_string(), "normalize basic, unit char, equal texts joined");
    let json = r#"{"normalize":"whisper","unit":"mixed","join":false}"#;
    let read: Conventions = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    assert!(serde_json::from_str::<Conventions>(r#"{"units":"word"}"#).is_err());
}

#[test]
fn changes_replace_only_what_they_name() {
    let stored = Conventions { normalize: Normalize::Basic, unit: Unit::Char, join: true };
    assert_eq!(Changes::default().over(stored), stored);
    let changes = Changes { unit: Some(Unit::Word), join: Some(false), ..Changes::default() };
    let expected = Conventions { normalize: Normalize::Basic, unit: Unit::Word, join: false };
    assert_eq!(changes.over(stored), expected);
    assert_eq!(Changes::from(stored).over(expected), stored);
}
