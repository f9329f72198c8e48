//! A report as text.

use std::fmt;

use super::{Interval, MatchedPairs, Report, SystemReport};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.system(f, "first pass", &self.first_pass)?;
        if let Some(rescored) = &self.rescored {
            self.system(f, "rescored", rescored)?;
        }
        self.system(f, "oracle", &self.oracle)?;
        if self.rescored.is_some() {
            match self.relative_gain {
                Some(gain) => write!(f, "relative gain {:.2} %", 100.0 * gain)?,
                None => f.write_str("relative gain n/a: the first pass makes no error")?,
            }
            if let Some(interval) = &self.relative_gain_interval {
                write!(f, ", {}", Percent(interval))?;
            }
            f.write_str("\n")?;
        }
        if let Some(test) = &self.matched_pairs {
            write!(f, "{}", Test(test))?;
        }
        write!(f, "{} utterances scored", self.utterances)?;
        if self.missing > 0 {
            write!(f, ", {} of them without a list counted as deletions", self.missing)?;
        }
        match self.without_reference {
            0 => writeln!(f)?,
            count => writeln!(f, ", {count} without a reference skipped")?,
        }
        writeln!(f, "texts compared with {}", self.conventions)
    }
}

impl Report {
    fn system(&self, f: &mut fmt::Formatter<'_>, name: &str, system: &SystemReport) -> fmt::Result {
        write!(f, "{name:<10}  {}", system.counts.in_unit(self.conventions.unit))?;
        if let Some(interval) = &system.wer_interval {
            write!(f, "  {}", Percent(interval))?;
        }
        if self.utterances > 0 {
            let (wrong, all) = (system.wrong_utterances, self.utterances);
            write!(f, "  %SER {:.2} [ {wrong} / {all} ]", 100.0 * wrong as f64 / all as f64)?;
        }
        f.write_str("\n")
    }
}

struct Percent<'a>(&'a Interval);

impl fmt::Display for Percent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "95 % interval {:.2} to {:.2}", 100.0 * self.0.low, 100.0 * self.0.high)
    }
}

struct Test<'a>(&'a MatchedPairs);

impl fmt::Display for Test<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let test = self.0;
        f.write_str("matched pairs ")?;
        if let Some(z) = test.z {
            write!(f, "z = {z:.2}, ")?;
        }
        write!(f, "{}", Chance(test.p))?;
        if let Some(p) = test.p_permutation {
            write!(f, "; sign-flip permutation {}", Chance(p))?;
        }
        writeln!(f, "; {} of {} utterances differ", test.differing, test.utterances)
    }
}

/// A p-value with a useful number of digits.
struct Chance(f64);

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // Below this, doubles lose precision and underflow; printing zero would be wrong.
            p if p < 1e-300 => f.write_str("p < 1e-300"),
            p if p < 1e-3 => write!(f, "p = {p:.1e}"),
            p => write!(f, "p = {p:.3}"),
        }
    }
}
