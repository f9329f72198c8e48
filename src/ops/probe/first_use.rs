//! Checks kernels at their first use.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use burn::tensor::Device;

use super::{Case, Checked, Fault, ProbeError, cases, check, unaltered, wgsl};

/// Checks each kernel once, after its first launch, for devices whose start must not wait for the compilation of many
/// kernels. One per device, on the thread that uses it.
#[derive(Debug, Default)]
pub struct FirstUse {
    /// Kernels that passed the check.
    right: BTreeSet<&'static str>,
    /// Kernels that were launched but not checked yet.
    open: BTreeSet<&'static str>,
}

/// A case, optionally only its output, without gradients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    tracked: bool,
    case: usize,
}

impl FirstUse {
    /// Runs the cases of [`probe`](super::probe) for the kernels launched by this thread, and compares their results
    /// with the CPU's. Do not use results of these kernels before.
    ///
    /// # Errors
    /// [`ProbeError`] names the first wrong result; the next call checks again.
    pub async fn check(&mut self, device: &Device) -> Result<Vec<Checked>, ProbeError> {
        self.check_altered(device, unaltered).await
    }

    /// `alter` can change the device's results, for tests.
    pub(super) async fn check_altered(
        &mut self,
        device: &Device,
        alter: impl Fn(&str, Vec<f32>) -> Vec<f32>,
    ) -> Result<Vec<Checked>, ProbeError> {
        self.open.extend(wgsl::launched());
        self.open.retain(|kernel| !self.right.contains(kernel));
        let mut all = Vec::new();
        if self.open.is_empty() {
            return Ok(all);
        }
        let tuning = wgsl::tuned_for(device);
        let mut cases = cases();
        cases.retain(|case| tuning.supports(case.tuning));
        let mut tried = BTreeSet::new();
        while !self.open.is_empty() {
            let run = self.choose(&cases, &tried).ok_or_else(|| self.uncovered())?;
            tried.insert(run);
            let case = &mut cases[run.case];
            let tracked = std::mem::replace(&mut case.tracked, run.tracked);
            // A kernel that writes nothing must not find correct values from an earlier run.
            case.seed = 2 * run.case as u64 + u64::from(run.tracked);
            for checked in check(case, device, &alter).await {
                checked.verdict()?;
                all.push(checked);
            }
            // Without gradients, launch code may have selected other kernels than the case names.
            let named: BTreeSet<_> = kernels(case).collect();
            case.tracked = tracked;
            let ran = wgsl::launched();
            self.right.extend(named.intersection(&ran));
            self.open.retain(|kernel| !self.right.contains(kernel));
        }
        Ok(all)
    }

    /// Simulates a launch of a kernel by this thread.
    #[cfg(test)]
    pub(super) fn used(&mut self, kernel: &'static str) {
        self.open.insert(kernel);
    }

    /// The run with the fewest unrequested kernels, because each must be compiled; among equal ones the run that checks
    /// the most kernels.
    fn choose(&self, cases: &[Case], tried: &BTreeSet<Run>) -> Option<Run> {
        let runs = cases.iter().enumerate().flat_map(|(at, case)| {
            let run = move |tracked| (Run { tracked, case: at }, case);
            [Some(run(false)), case.tracked.then(|| run(true))].into_iter().flatten()
        });
        let rated = runs.filter(|(run, _)| !tried.contains(run)).filter_map(|(run, case)| {
            let named: BTreeSet<_> = results(case, run.tracked).collect();
            let wanted = named.intersection(&self.open).count();
            let more = named.iter().filter(|name| !self.right.contains(*name)).count() - wanted;
            (wanted > 0).then_some((more, Reverse(wanted), run))
        });
        rated.min().map(|(.., run)| run)
    }

    fn uncovered(&self) -> ProbeError {
        ProbeError {
            operation: "an operation".to_owned(),
            result: "output".to_owned(),
            kernels: self.open.iter().copied().collect(),
            fault: Fault::Failed("no case of the probe runs these kernels".to_owned()),
        }
    }
}

/// The kernels that a case names; without gradients, only those of the output.
fn results(case: &Case, tracked: bool) -> impl Iterator<Item = &'static str> {
    let count = if tracked { case.results.len() } else { 1 };
    case.results[..count].iter().flat_map(|result| result.kernels.iter().copied())
}

fn kernels(case: &Case) -> impl Iterator<Item = &'static str> {
    results(case, case.tracked)
}
