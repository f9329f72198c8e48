//! Checks a line of a study's results, which may be damaged or from elsewhere: the report relies on what is checked here.

use super::StudyError;
use super::record::{
    DevPoint, DomainResult, Measured, Outcome, Perturbed, Record, Seconds, Trained,
};
use crate::bounds::{MAX_RESULT_PARTS, MAX_UTTERANCE_COUNT};

impl Record {
    /// Checks that numbers are finite and within their ranges, and that lists with an entry for every utterance have
    /// equal lengths.
    ///
    /// # Errors
    /// [`StudyError::Value`] names the first invalid value.
    pub fn check(&self) -> Result<(), StudyError> {
        match &self.outcome {
            Outcome::Done(measured) => measured.check(),
            Outcome::Failed { seconds, .. } => at_least_0("seconds", *seconds),
        }
    }
}

impl Measured {
    fn check(&self) -> Result<(), StudyError> {
        let Seconds { preparing, training, evaluating, testing, total } = self.seconds;
        let times = [preparing, training, evaluating, testing, total];
        times.into_iter().try_for_each(|time| at_least_0("seconds", time))?;
        finite("beta", self.beta)?;
        finite("gamma", self.gamma)?;
        if let Some(isotropy) = self.isotropy {
            at_least_0("isotropy", isotropy)?;
        }
        if let Some(trained) = &self.trained {
            trained.check()?;
        }
        few("domains", self.domains.len())?;
        self.domains.iter().try_for_each(|domain| domain.check("domains"))?;
        few("perturbed", self.perturbed.len())?;
        for Perturbed { rate, replaced, of_words, domain, .. } in &self.perturbed {
            if !(0.0..=1.0).contains(rate) {
                return Err(StudyError::value("perturbed.rate", rate, "0 to 1"));
            }
            if replaced > of_words {
                let expected = format!("at most of_words, {of_words}");
                return Err(StudyError::value("perturbed.replaced", replaced, expected));
            }
            domain.check("perturbed.domain")?;
        }
        Ok(())
    }
}

impl Trained {
    fn check(&self) -> Result<(), StudyError> {
        at_least_0("trained.best_seconds", self.best_seconds)?;
        at_least_0("trained.step_seconds", self.step_seconds)?;
        at_least_0("trained.dev_first", self.dev_first)?;
        at_least_0("trained.dev_oracle", self.dev_oracle)?;
        few("trained.dev", self.dev.len())?;
        for DevPoint { seconds, wer, .. } in &self.dev {
            at_least_0("trained.dev.seconds", *seconds)?;
            at_least_0("trained.dev.wer", *wer)?;
        }
        Ok(())
    }
}

impl DomainResult {
    fn check(&self, key: &str) -> Result<(), StudyError> {
        let Self { words, hypotheses, first, rescored, oracle, .. } = self;
        let lists = [
            ("words", words),
            ("hypotheses", hypotheses),
            ("first", first),
            ("rescored", rescored),
            ("oracle", oracle),
        ];
        for (name, list) in lists {
            if list.len() != words.len() {
                let (found, expected) = (list.len(), words.len());
                return Err(StudyError::value(
                    format!("{key}.{name}"),
                    format!("a list of {found}"),
                    format!("{expected} entries, as in `{key}.words`"),
                ));
            }
            if let Some(large) = list.iter().find(|value| **value > MAX_UTTERANCE_COUNT) {
                let expected = format!("at most {MAX_UTTERANCE_COUNT}");
                return Err(StudyError::value(format!("{key}.{name}"), large, expected));
            }
        }
        few(&format!("{key}.cuts"), self.cuts.len())?;
        let limit = words.len() as u64 * u64::from(MAX_UTTERANCE_COUNT);
        for cut in &self.cuts {
            for (name, value) in [("rescored", cut.rescored), ("oracle", cut.oracle)] {
                if value > limit {
                    let expected = format!("at most {limit}");
                    return Err(StudyError::value(format!("{key}.cuts.{name}"), value, expected));
                }
            }
        }
        Ok(())
    }
}

fn finite(key: &str, value: f64) -> Result<(), StudyError> {
    if value.is_finite() { Ok(()) } else { Err(StudyError::value(key, value, "a finite number")) }
}

fn at_least_0(key: &str, value: f64) -> Result<(), StudyError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(StudyError::value(key, value, "a finite number of at least 0"))
}

fn few(key: &str, count: usize) -> Result<(), StudyError> {
    if count <= MAX_RESULT_PARTS {
        return Ok(());
    }
    let expected = format!("at most {MAX_RESULT_PARTS} entries");
    Err(StudyError::value(key, format!("a list of {count}"), expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::plan;
    use crate::study::tests::{config, done, inputs};

    fn changed(change: impl FnOnce(&mut Measured)) -> Result<(), StudyError> {
        let cells = plan(&config(), &inputs(), 100).unwrap().cells;
        let mut record = done("a", &cells[0].cell);
        let Outcome::Done(measured) = &mut record.outcome else { unreachable!() };
        change(measured);
        record.check()
    }

    #[test]
    fn lists_of_different_lengths_are_named() {
        changed(|_| ()).unwrap();
        let list = |name: &str, change: fn(&mut DomainResult)| {
            let error = changed(|m| change(&mut m.domains[0])).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`domains.{name}` is a list of ")), "{error}");
            let error = changed(|m| {
                let mut domain = m.domains[0].clone();
                change(&mut domain);
                let scope = crate::study::Scope::All;
                m.perturbed.push(Perturbed { scope, rate: 0.5, replaced: 1, of_words: 2, domain });
            });
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with(&format!("`perturbed.domain.{name}` is a list")), "{error}");
        };
        list("hypotheses", |domain| domain.words.push(1));
        list("hypotheses", |domain| domain.hypotheses.push(1));
        list("first", |domain| domain.first.truncate(1));
        list("rescored", |domain| domain.rescored.clear());
        list("oracle", |domain| domain.oracle.push(0));
    }

    #[test]
    fn numbers_outside_their_ranges_are_named() {
        type Change = fn(&mut Measured);
        let cases: [(&str, Change); 9] = [
            ("beta", |m| m.beta = f64::NAN),
            ("gamma", |m| m.gamma = f64::INFINITY),
            ("seconds", |m| m.seconds.total = -1.0),
            ("isotropy", |m| m.isotropy = Some(f64::NAN)),
            ("domains.first", |m| m.domains[0].first[0] = u32::MAX),
            ("trained.dev.wer", |m| {
                let dev = vec![DevPoint { step: 1, seconds: 1.0, wer: f64::INFINITY }];
                m.trained = Some(Trained { dev, ..Trained::default() });
            }),
            ("trained.step_seconds", |m| {
                m.trained = Some(Trained { step_seconds: -1.0, ..Trained::default() });
            }),
            ("domains.cuts.oracle", |m| {
                let cut = crate::study::TruncatedErrors { n: 1, rescored: 0, oracle: u64::MAX };
                m.domains[0].cuts.push(cut);
            }),
            ("perturbed.rate", |m| {
                let (scope, domain) = (crate::study::Scope::All, m.domains[0].clone());
                m.perturbed.push(Perturbed { scope, rate: 2.0, replaced: 1, of_words: 2, domain });
            }),
        ];
        for (key, change) in cases {
            let error = changed(change).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{key}` is ")), "{key}: {error}");
        }
    }
}
