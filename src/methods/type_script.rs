//! The registry for the npm package: `web/js/registry.ts`, which this test writes, and compares with the registry.

use std::fmt::Write;

use super::{METHODS, settings};
use crate::ops::Objective;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web/js/registry.ts");

/// The text as a string of TypeScript.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn list(text: &mut String, name: &str, comment: &str, entries: &[[&str; 3]]) {
    let _ = writeln!(text, "/** {comment} */\nexport const {name} = [");
    for [name, label, help] in entries {
        let [name, label, help] = [name, label, help].map(|text| quoted(text));
        let _ = writeln!(text, "  {{ name: {name}, label: {label}, help: {help} }},");
    }
    text.push_str("] as const;\n\n");
}

fn registry() -> String {
    let mut text = String::from(
        "/**\n * The core's objectives, tuning methods and their settings. The core's test \
         `registry_of_the_package` writes this file\n * when `LORB_BLESS` is set.\n */\n\n",
    );
    let objectives = Objective::ALL.map(|objective| {
        let info = objective.info();
        [info.name, info.label, info.help]
    });
    list(&mut text, "OBJECTIVES", "Training objectives; the first is the default.", &objectives);
    let methods: Vec<[&str; 3]> =
        METHODS.iter().map(|info| [info.name, info.label, info.help]).collect();
    list(&mut text, "METHODS", "Tuning methods; `lora` is the default.", &methods);
    text.push_str(
        "export type Objective = (typeof OBJECTIVES)[number]['name'];\n\n\
         export type MethodName = (typeof METHODS)[number]['name'];\n\n\
         /** A tuning method and its settings; a setting of another method is an error. */\n\
         export interface MethodOptions {\n  /** `lora` by default. */\n  method?: MethodName;\n",
    );
    for setting in settings() {
        let methods = METHODS.iter().filter(|info| info.has(setting)).map(|info| info.name);
        let (help, kind) = (setting.help, setting.kind.type_script());
        let methods = methods.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  /** {help}. For {methods}. */\n  {}?: {kind};", setting.option);
    }
    let options: Vec<String> = settings().iter().map(|setting| quoted(setting.option)).collect();
    let _ = writeln!(
        text,
        "}}\n\n/** The keys of `MethodOptions`. */\n\
         export const METHOD_OPTIONS: readonly (keyof MethodOptions)[] = ['method', {}];",
        options.join(", ")
    );
    text
}

#[test]
fn registry_of_the_package() {
    let expected = registry();
    if std::env::var_os("LORB_BLESS").is_some() {
        std::fs::write(FILE, &expected).unwrap();
    }
    let found = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        found == expected,
        "web/js/registry.ts is not up to date; run this test with LORB_BLESS=1"
    );
}
