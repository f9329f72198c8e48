//! `budget.json`: what the kernels may use on each family of GPUs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

/// What a compiler made of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Vector registers of an invocation.
    pub registers: u64,
    /// Registers that are stored in memory for lack of free ones.
    pub spills: u64,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u64,
    /// Subgroups that can be on a SIMD unit at the same time.
    pub waves: u64,
}

/// Variant to family to statistics.
pub type Measured = BTreeMap<String, BTreeMap<String, Statistics>>;

/// Goals, and the variants that miss them today.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The version of Mesa that the exceptions were measured with.
    pub mesa: String,
    /// By the name that `RADV_FORCE_FAMILY` takes.
    pub families: BTreeMap<String, Family>,
    /// Variants without goals, with the reason. A `*` stands for any text.
    pub no_goal: BTreeMap<String, String>,
    /// Variants that the compiler does not support, with the reason.
    pub not_compiled: BTreeMap<String, String>,
    /// Variant to family to today's values of what misses its goal.
    exceptions: BTreeMap<String, BTreeMap<String, Limits>>,
}

/// A family of GPUs and its goals. No kernel may spill.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// The name in tables.
    pub gpu: String,
    /// Most registers.
    registers: u64,
    /// Least waves.
    waves: u64,
}

/// Values instead of goals.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Limits {
    registers: Option<u64>,
    spills: Option<u64>,
    waves: Option<u64>,
}

/// A value with its goal and its exception.
struct Check {
    what: &'static str,
    value: u64,
    goal: Option<u64>,
    exception: Option<u64>,
    /// Whether more is better.
    more: bool,
}

impl Check {
    /// What is wrong, if anything is.
    fn complaint(&self) -> Option<String> {
        let Self { what, value, .. } = self;
        let better = |a: u64, b: u64| if self.more { a > b } else { a < b };
        let met = |value| self.goal.is_none_or(|goal| !better(goal, value));
        let goal =
            self.goal.map_or_else(|| "there is no goal".to_owned(), |g| format!("the goal is {g}"));
        match self.exception {
            None if met(*value) => None,
            None => Some(format!("{value} {what}; {goal}")),
            Some(exception) if better(exception, *value) => {
                Some(format!("{value} {what}, worse than the exception of {exception}; {goal}"))
            }
            Some(_) if met(*value) => {
                Some(format!("{value} {what}, and {goal}: remove the exception"))
            }
            Some(exception) if better(*value, exception) => Some(format!(
                "{value} {what}, better than the exception of {exception}: change it to {value}"
            )),
            Some(_) => None,
        }
    }
}

impl Budget {
    pub fn read() -> Self {
        serde_json::from_str(include_str!("budget.json")).expect("a valid budget.json")
    }

    /// Everything that is not as the budget says, a line each.
    pub fn complaints(&self, measured: &Measured) -> Vec<String> {
        let mut all = Vec::new();
        for (variant, by_family) in measured {
            for (family, statistics) in by_family {
                for complaint in self.check(variant, family, statistics) {
                    all.push(format!("{variant} on {family}: {complaint}"));
                }
            }
        }
        for (variant, by_family) in &self.exceptions {
            for family in by_family.keys() {
                if measured.get(variant).is_none_or(|known| !known.contains_key(family)) {
                    all.push(format!(
                        "exception of {variant} on {family}: no such variant or family"
                    ));
                }
            }
        }
        all
    }

    fn check(&self, variant: &str, family: &str, found: &Statistics) -> Vec<String> {
        let goals = &self.families[family];
        let exception = self.exceptions.get(variant).and_then(|families| families.get(family));
        let exception = exception.unwrap_or(&Limits { registers: None, spills: None, waves: None });
        let none = listed(&self.no_goal, variant);
        let goal = |goal| (!none).then_some(goal);
        let checks = [
            Check {
                what: "registers",
                value: found.registers,
                goal: goal(goals.registers),
                exception: exception.registers,
                more: false,
            },
            Check {
                what: "spills",
                value: found.spills,
                goal: goal(0),
                exception: exception.spills,
                more: false,
            },
            Check {
                what: "waves",
                value: found.waves,
                goal: goal(goals.waves),
                exception: exception.waves,
                more: true,
            },
        ];
        checks.iter().filter_map(Check::complaint).collect()
    }

    /// A Markdown table, one row for each kernel and tile: the worst values over precisions, and over widths of heads
    /// with and without guards.
    pub fn table(&self, measured: &Measured) -> String {
        let mut rows: BTreeMap<String, (usize, BTreeMap<&str, Statistics>)> = BTreeMap::new();
        for (variant, by_family) in measured {
            let row = rows.entry(group(variant)).or_default();
            row.0 += 1;
            for (family, found) in by_family {
                let worst = row.1.entry(family).or_insert(*found);
                worst.registers = worst.registers.max(found.registers);
                worst.spills = worst.spills.max(found.spills);
                worst.workgroup_bytes = worst.workgroup_bytes.max(found.workgroup_bytes);
                worst.waves = worst.waves.min(found.waves);
            }
        }
        let mut text = "| kernel | variants | workgroup memory, bytes |".to_owned();
        for family in self.families.values() {
            write!(text, " {} |", family.gpu).expect("a string");
        }
        text += "\n|---|---:|---:|";
        text += &"---:|".repeat(self.families.len());
        for (name, (variants, by_family)) in &rows {
            let bytes = by_family.values().map(|found| found.workgroup_bytes).max().unwrap_or(0);
            write!(text, "\n| {name} | {variants} | {bytes} |").expect("a string");
            for family in self.families.keys() {
                let Statistics { registers, spills, waves, .. } = by_family[family.as_str()];
                write!(text, " {registers} / {spills} / {waves} |").expect("a string");
            }
        }
        text
    }
}

/// The name without the parts that hardly change the numbers.
fn group(variant: &str) -> String {
    let same = |part: &&str| !["f32", "f16", "int8", "exact"].contains(part);
    variant.split('_').filter(same).collect::<Vec<_>>().join("_")
}

/// Whether one of the patterns matches the name.
pub fn listed(patterns: &BTreeMap<String, String>, name: &str) -> bool {
    patterns.keys().any(|pattern| matches(pattern, name))
}

/// Whether a pattern, in which `*` stands for any text, matches the name.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|at| name.is_char_boundary(at) && matches(rest, &name[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        let json = r#"{
            "mesa": "Mesa 1",
            "families": { "card": { "gpu": "Card", "registers": 128, "waves": 4 } },
            "no_goal": { "software*": "never on a GPU" },
            "not_compiled": {},
            "exceptions": { "late": { "card": { "spills": 5, "waves": 1 } } }
        }"#;
        serde_json::from_str(json).expect("valid")
    }

    fn complaints(variant: &str, [registers, spills, waves]: [u64; 3]) -> Vec<String> {
        let found = Statistics { registers, spills, workgroup_bytes: 0, waves };
        let late = Statistics { registers: 9, spills: 5, workgroup_bytes: 0, waves: 1 };
        let mut measured = Measured::new();
        for (variant, found) in [("late", late), (variant, found)] {
            measured.insert(variant.to_owned(), BTreeMap::from([("card".to_owned(), found)]));
        }
        budget().complaints(&measured)
    }

    #[test]
    fn goals_hold_for_variants_without_exception() {
        assert!(complaints("plain", [128, 0, 4]).is_empty());
        assert_eq!(
            complaints("plain", [129, 0, 4]),
            ["plain on card: 129 registers; the goal is 128"]
        );
        assert_eq!(complaints("plain", [9, 1, 4]), ["plain on card: 1 spills; the goal is 0"]);
        assert_eq!(complaints("plain", [9, 0, 3]), ["plain on card: 3 waves; the goal is 4"]);
        assert!(complaints("software_1", [256, 900, 1]).is_empty());
    }

    #[test]
    fn an_exception_is_a_ratchet() {
        assert!(complaints("late", [9, 5, 1]).is_empty());
        let worse = "late on card: 6 spills, worse than the exception of 5; the goal is 0";
        assert_eq!(complaints("late", [9, 6, 1]), [worse]);
        let better = "late on card: 3 spills, better than the exception of 5: change it to 3";
        assert_eq!(complaints("late", [9, 3, 1]), [better]);
        let met = "late on card: 4 waves, and the goal is 4: remove the exception";
        assert_eq!(complaints("late", [9, 5, 4]), [met]);
        let worse = "late on card: 0 waves, worse than the exception of 1; the goal is 4";
        assert_eq!(complaints("late", [9, 5, 0]), [worse]);
    }

    #[test]
    fn exceptions_of_unknown_variants_are_refused() {
        let unknown = "exception of late on card: no such variant or family";
        assert_eq!(budget().complaints(&Measured::new()), [unknown]);
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*_128x128", "linear_f32_128x128", true),
            ("a*_128*", "attention_cls_128_exact", true),
            ("a*_128", "attention_cls_128_exact", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
