use super::*;

fn units(unit: Unit, text: &str) -> Vec<&str> {
    unit.of(text).collect()
}

#[test]
fn words_are_separated_by_unicode_white_space() {
    assert_eq!(
        units(Unit::Word, " turn\u{3000}off\tthe  lights "),
        ["turn", "off", "the", "lights"]
    );
    assert_eq!(units(Unit::Word, " \u{a0} "), [""; 0]);
}

#[test]
fn characters_count_without_white_space() {
    assert_eq!(units(Unit::Char, "关 灯 ab"), ["关", "灯", "a", "b"]);
    assert_eq!(Unit::Char.count("เปิดไฟในห้องครัว"), 16);
    assert_eq!(Unit::Char.count(""), 0);
}

#[test]
fn mixed_units_are_characters_of_scripts_without_spaces_and_words_of_others() {
    assert_eq!(
        units(Unit::Mixed, "打开wifi和 Blue-tooth 吧"),
        ["打", "开", "wifi", "和", "Blue-tooth", "吧"]
    );
    assert_eq!(units(Unit::Mixed, "ラジオを 5 分"), ["ラ", "ジ", "オ", "を", "5", "分"]);
    for (script, text) in [("Thai", "เปิด"), ("Lao", "ເປີດ"), ("Khmer", "បើក"), ("Burmese", "ဖွင့်")]
    {
        assert_eq!(units(Unit::Mixed, text).len(), text.chars().count(), "{script}");
    }
    // Korean is written with spaces.
    assert_eq!(units(Unit::Mixed, "불을 꺼 줘"), ["불을", "꺼", "줘"]);
    let text = "Hà Nội hôm nay trời mưa";
    assert_eq!(units(Unit::Mixed, text), units(Unit::Word, text));
}

#[test]
fn names_survive_text_and_json() {
    for unit in Unit::ALL {
        assert_eq!(unit.name().parse(), Ok(unit));
        assert_eq!(serde_json::to_string(&unit).unwrap(), format!("{:?}", unit.name()));
    }
    assert_eq!("words".parse::<Unit>().unwrap_err(), "expected word, char or mixed");
}
