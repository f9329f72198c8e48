//! The cells of a configuration.

use std::collections::HashMap;

use serde_json::json;

use super::StudyError;
use super::cell::{Cell, CellId, Inputs};
use super::config::{Budget, Grid, Part, StudyConfig};
use super::method::{StudyMethod, method, with_correlation};
use crate::bounds::MAX_CELLS;

/// A cell and the grids that contain it.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its id.
    pub id: CellId,
    /// The cell to run.
    pub cell: Cell,
    /// Indices of the grids it is in.
    pub grids: Vec<usize>,
}

/// The cells of a study, each once, in execution order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The cells.
    pub cells: Vec<Planned>,
}

/// The cells of all grids. Axes that do not apply to a method are dropped, and identical runs are merged.
///
/// `train_utterances` is the number of training lists.
///
/// # Errors
/// [`StudyError`] names the error in the configuration.
pub fn plan(
    config: &StudyConfig,
    inputs: &Inputs,
    train_utterances: usize,
) -> Result<Plan, StudyError> {
    config.validate()?;
    let warmup = config.train_config()?.warmup;
    let count = config.grid.iter().map(cells_of).fold(0, usize::saturating_add);
    if count > MAX_CELLS {
        let expected = format!("grids of at most {MAX_CELLS} runs in all");
        return Err(StudyError::value("grid", format!("{count} runs"), expected));
    }
    let mut cells: Vec<Planned> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (at, grid) in config.grid.iter().enumerate() {
        let perturbed = config.robustness.as_ref().is_some_and(|r| r.parts.contains(&grid.part));
        for mut cell in product(config, grid, train_utterances, warmup) {
            cell.perturbed = perturbed;
            // A run that is perturbed for one grid also serves a grid without perturbation.
            let key = json!(Cell { perturbed: false, ..cell.clone() }).to_string();
            let place = *places.entry(key).or_insert(cells.len());
            match cells.get_mut(place) {
                Some(there) => {
                    there.cell.perturbed |= perturbed;
                    if !there.grids.contains(&at) {
                        there.grids.push(at);
                    }
                }
                None => cells.push(Planned { id: String::new(), cell, grids: vec![at] }),
            }
        }
    }
    for planned in &mut cells {
        planned.id = planned.cell.id(config, inputs)?;
    }
    Ok(Plan { cells })
}

impl Plan {
    /// The cells of the grids for a part of the report.
    pub fn of_part<'a>(
        &'a self,
        config: &'a StudyConfig,
        part: Part,
    ) -> impl Iterator<Item = &'a Planned> {
        let wanted =
            move |planned: &&Planned| planned.grids.iter().any(|&at| config.grid[at].part == part);
        self.cells.iter().filter(wanted)
    }
}

/// An upper bound of the number of cells in a grid.
fn cells_of(grid: &Grid) -> usize {
    let length = |axis: Option<usize>| axis.unwrap_or(1);
    let rates = grid.learning_rates.values().map(Vec::len).max();
    let shapes = match &grid.budgets {
        Some(budgets) => budgets.len(),
        None => grid.ranks.len().saturating_mul(grid.targets.len()),
    };
    [
        length(grid.bases.as_ref().map(Vec::len)),
        grid.methods.len(),
        shapes.max(1),
        grid.sizes.len().max(1),
        length(rates),
        length(grid.warmups.as_ref().map(Vec::len)),
        length(grid.cor_weights.as_ref().map(Vec::len)),
        grid.seeds.len().max(1),
    ]
    .into_iter()
    .fold(1, usize::saturating_mul)
}

/// The product of a grid's axes.
fn product(config: &StudyConfig, grid: &Grid, all: usize, warmup: f64) -> Vec<Cell> {
    let mut cells = Vec::new();
    let first = [config.bases[0].clone()];
    let bases = grid.bases.as_deref().unwrap_or(&first);
    // The seed is the outer loop, so that a study that is stopped early has some comparisons.
    for base in bases {
        for name in &grid.methods {
            let Some(info) = method(name) else { continue };
            let start = blank(base, name);
            if !info.trained {
                cells.push(start);
                continue;
            }
            let shapes = shapes(grid, &info);
            let rates = rates(config, grid, name);
            let warmups = grid.warmups.clone().unwrap_or_else(|| vec![warmup]);
            let weights = match &grid.cor_weights {
                Some(weights) => weights.clone(),
                None if info.correlates.is_some() => vec![config.cor_weight],
                None => vec![0.0],
            };
            for (rank, targets, budget) in &shapes {
                for size in &grid.sizes {
                    for &lr in &rates {
                        for &warmup in &warmups {
                            for &weight in &weights {
                                for &seed in &grid.seeds {
                                    let cell = Cell {
                                        rank: *rank,
                                        targets: targets.clone(),
                                        budget: budget.clone(),
                                        utterances: Some(size.of(all)),
                                        lr: Some(lr),
                                        warmup: Some(warmup),
                                        cor_weight: Some(weight),
                                        seed: Some(seed),
                                        ..start.clone()
                                    };
                                    cells.push(named_for(cell));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    cells
}

/// Canonical name of a run: LoRA with the correlation term is LoRB.
fn named_for(cell: Cell) -> Cell {
    let correlation = cell.cor_weight.is_some_and(|weight| weight > 0.0);
    let method = with_correlation(&cell.method, correlation);
    Cell { method: method.to_owned(), ..cell }
}

fn blank(base: &str, method: &str) -> Cell {
    Cell {
        base: base.to_owned(),
        method: method.to_owned(),
        rank: None,
        targets: None,
        budget: None,
        utterances: None,
        lr: None,
        warmup: None,
        cor_weight: None,
        seed: None,
        perturbed: false,
    }
}

type Shape = (Option<usize>, Option<String>, Option<Budget>);

/// Ranks, targets and budgets, if the method has them.
fn shapes(grid: &Grid, info: &StudyMethod) -> Vec<Shape> {
    if !info.low_rank {
        return vec![(None, None, None)];
    }
    if let Some(budgets) = &grid.budgets {
        return budgets.iter().map(|budget| (None, None, Some(budget.clone()))).collect();
    }
    let mut shapes = Vec::new();
    for &rank in &grid.ranks {
        for targets in &grid.targets {
            shapes.push((Some(rank), Some(targets.clone()), None));
        }
    }
    shapes
}

/// The learning rates of a method: the grid's, else the study's.
fn rates(config: &StudyConfig, grid: &Grid, name: &str) -> Vec<f64> {
    let own = grid.learning_rates.get(name).or_else(|| grid.learning_rates.get("all"));
    match own {
        Some(rates) => rates.clone(),
        None => config.learning_rate(name).into_iter().collect(),
    }
}
