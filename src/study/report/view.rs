//! The runs of a study, grouped over seeds.

use crate::study::Cell;
use crate::study::config::{Part, StudyConfig};
use crate::study::method::{label, place};
use crate::study::plan::Plan;
use crate::study::record::{DomainResult, Measured, Outcome, Record, Trained};
use crate::study::statistics::{Mean, mean};

/// The data of a report.
pub(super) struct View<'a> {
    pub config: &'a StudyConfig,
    pub plan: &'a Plan,
    pub records: &'a [Record],
}

/// Runs that differ only in their seed.
#[derive(Clone)]
pub(super) struct Group<'a> {
    /// The cell without its seed.
    pub cell: Cell,
    /// Label in tables: the method, and the axes in which groups of that method differ.
    pub label: String,
    /// Finished runs, by seed.
    pub runs: Vec<(u64, &'a Measured)>,
}

impl<'a> View<'a> {
    pub fn new(config: &'a StudyConfig, plan: &'a Plan, records: &'a [Record]) -> Self {
        Self { config, plan, records }
    }

    /// The record of a cell.
    pub fn record(&self, id: &str) -> Option<&'a Record> {
        self.records.iter().find(|record| record.id == id)
    }

    /// Groups with a finished run in the grids of one section: methods in report order, otherwise as configured.
    pub fn groups(&self, part: Part) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for planned in self.plan.of_part(self.config, part) {
            let Some(Record { outcome: Outcome::Done(measured), .. }) = self.record(&planned.id)
            else {
                continue;
            };
            let cell = Cell { perturbed: false, ..planned.cell.without_seed() };
            let run = (planned.cell.seed.unwrap_or(0), &**measured);
            match groups.iter_mut().find(|group| group.cell == cell) {
                Some(group) => group.runs.push(run),
                None => groups.push(Group { cell, label: String::new(), runs: vec![run] }),
            }
        }
        groups.sort_by_key(|group| place(&group.cell.method));
        name(&mut groups);
        groups
    }

    /// Names of all domains, the target first.
    pub fn domains(&self) -> Vec<&'a str> {
        let others = self.config.non_target.iter().map(|domain| domain.name.as_str());
        std::iter::once(self.config.target.name.as_str()).chain(others).collect()
    }

    /// Whether the study has several bases.
    pub fn several_bases(groups: &[Group<'_>]) -> bool {
        groups.iter().any(|group| group.cell.base != groups[0].cell.base)
    }

    /// The first results of a domain: its first pass and oracle are the same in every run.
    pub fn any(&self, domain: &str) -> Option<&'a DomainResult> {
        self.plan.cells.iter().find_map(|planned| match self.record(&planned.id) {
            Some(Record { outcome: Outcome::Done(measured), .. }) => {
                measured.domains.iter().find(|result| result.name == domain)
            }
            _ => None,
        })
    }
}

impl<'a> Group<'a> {
    /// Results of a domain, one per run.
    pub fn domain(&self, name: &str) -> Vec<&'a DomainResult> {
        let find = |(_, run): &(u64, &'a Measured)| run.domains.iter().find(|d| d.name == name);
        self.runs.iter().filter_map(find).collect()
    }

    /// WER after rescoring, over seeds.
    pub fn wer(&self, domain: &str) -> Option<Mean> {
        let rates: Vec<f64> =
            self.domain(domain).into_iter().filter_map(DomainResult::wer_rescored).collect();
        mean(&rates)
    }

    /// A value of every run, over seeds; `None` if a run lacks it.
    pub fn over_runs(&self, number: impl Fn(&Measured) -> Option<f64>) -> Option<Mean> {
        let numbers: Option<Vec<f64>> = self.runs.iter().map(|(_, run)| number(run)).collect();
        mean(&numbers?)
    }

    /// The same for training results.
    pub fn over_trained(&self, number: impl Fn(&Trained) -> f64) -> Option<Mean> {
        self.over_runs(|run| run.trained.as_ref().map(&number))
    }

    /// Whether it was trained.
    pub fn trained(&self) -> bool {
        self.cell.lr.is_some()
    }
}

/// Gives groups unique labels, with the axes in which a method's groups differ.
fn name(groups: &mut [Group<'_>]) {
    let cells: Vec<Cell> = groups.iter().map(|group| group.cell.clone()).collect();
    for (group, cell) in groups.iter_mut().zip(&cells) {
        let same: Vec<&Cell> = cells.iter().filter(|other| other.method == cell.method).collect();
        let mut parts = vec![label(&cell.method).to_owned()];
        let mut add = |differ: bool, text: Option<String>| {
            parts.extend(text.filter(|_| differ));
        };
        let bases = cells.iter().any(|other| other.base != cell.base);
        add(bases, Some(short_base(&cell.base).to_owned()));
        add(same.iter().any(|o| o.rank != cell.rank), cell.rank.map(|rank| format!("rank {rank}")));
        add(same.iter().any(|o| o.targets != cell.targets), cell.targets.clone());
        add(
            same.iter().any(|o| o.budget != cell.budget),
            cell.budget.as_ref().map(|budget| format!("within {}", budget.0)),
        );
        add(
            same.iter().any(|o| o.utterances != cell.utterances),
            cell.utterances.map(|count| format!("{count} utterances")),
        );
        add(
            same.iter().any(|o| o.lr != cell.lr),
            cell.lr.map(|lr| format!("lr {}", super::numbers::small(lr))),
        );
        add(
            same.iter().any(|o| o.warmup != cell.warmup),
            cell.warmup.map(|warmup| format!("warm-up {warmup}")),
        );
        add(
            same.iter().any(|o| o.cor_weight != cell.cor_weight),
            cell.cor_weight.map(|weight| format!("weight {weight}")),
        );
        group.label = parts.join(", ");
    }
}

/// The last part of a path or id.
pub(super) fn short_base(name: &str) -> &str {
    name.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(name)
}
