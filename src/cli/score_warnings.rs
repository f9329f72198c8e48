//! Warnings about first-pass scores, with the flags that help.

use lorb::nbest::{NbestFormat, ScoreKind, ScoreReading};
use lorb::score::ScoreWarning;

use super::terminal::say;

/// Prints warnings. `place` names the lists, `--dev: `, or is empty. `format` is the format of the lists.
pub fn print(
    place: &str,
    warnings: &[ScoreWarning],
    scores: &ScoreReading,
    format: Option<&dyn NbestFormat>,
) {
    let free = format.is_none_or(NbestFormat::accepts_score_reading);
    for warning in warnings {
        let kind = if warning.is_note() { "note" } else { "warning" };
        say!("{kind}: {place}{warning}{}", advice(warning, scores, free));
    }
}

/// What to do, after a semicolon. `free`: whether the format lets the user say what its scores are.
fn advice(warning: &ScoreWarning, scores: &ScoreReading, free: bool) -> &'static str {
    match warning {
        ScoreWarning::LikeCosts { .. } if scores.kind == ScoreKind::Cost => {
            "; costs are negated on reading, so do not read these as costs if higher is better"
        }
        ScoreWarning::LikeCosts { .. } if free => "; use --costs if lower is better",
        ScoreWarning::LikeProbabilities { .. } if free => "; use --score-kind prob if they are",
        ScoreWarning::LikeCosts { .. } | ScoreWarning::LikeProbabilities { .. } => {
            "; check how they were written"
        }
        ScoreWarning::Constant { .. } if free => {
            "; omit such scores, or use --score-key if another key has the score"
        }
        ScoreWarning::OtherKey { .. } if free => {
            "; use --score-key, and --costs or --score-kind if it is not a log-probability"
        }
        ScoreWarning::UnknownPart { .. } => "; the weight has no effect",
        _ => "",
    }
}
