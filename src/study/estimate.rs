//! Estimates the remaining time.

use super::{Cell, Outcome, Record};

/// Estimated seconds for a cell: the mean of the most similar finished ones. These are cells with the same
/// method and number of utterances, else the same method scaled by utterances, else any; `None` if there are
/// none.
#[must_use]
pub fn expected_seconds(cell: &Cell, records: &[Record]) -> Option<f64> {
    let done = || {
        records.iter().filter_map(|record| match &record.outcome {
            Outcome::Done(measured) => Some((&record.cell, measured.seconds.total)),
            Outcome::Failed { .. } => None,
        })
    };
    let same_base = |other: &Cell| other.base == cell.base;
    let same = |other: &Cell| same_base(other) && other.method == cell.method;
    let mean = |values: Vec<f64>| -> Option<f64> {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let alike = done().filter(|(other, _)| same(other) && other.utterances == cell.utterances);
    if let Some(found) = mean(alike.map(|(_, seconds)| seconds).collect()) {
        return Some(found);
    }
    let size = |cell: &Cell| cell.utterances.unwrap_or(0) as f64;
    let scaled = |(other, seconds): (&Cell, f64)| {
        let (own, its) = (size(cell), size(other));
        // Part of a run does not depend on the size; a run takes at least that.
        if own > 0.0 && its > 0.0 { seconds * (own / its).max(0.1) } else { seconds }
    };
    let trained = |other: &Cell| other.lr.is_some() == cell.lr.is_some();
    let tiers: [&dyn Fn(&Cell) -> bool; 3] =
        [&same, &|other| same_base(other) && trained(other), &trained];
    tiers
        .into_iter()
        .find_map(|tier| mean(done().filter(|(other, _)| tier(other)).map(scaled).collect()))
}
