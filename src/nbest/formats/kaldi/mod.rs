//! Kaldi's N-best lists.
//!
//! `lattice-to-nbest` names the hypotheses of an utterance `utt-1`, `utt-2`, and so on. `nbest-to-linear` (`src/latbin`)
//! splits them into archives, which the scripts keep as text, one line for each hypothesis with its name and a value.
//! `steps/rnnlmrescore.sh` and `scripts/rnnlm/lmrescore_nbest.sh` write them to `archives.<job>` of a decoding folder:
//!
//! | file | value | part |
//! |---|---|---|
//! | `words_text` | words, from `utils/int2sym.pl` | |
//! | `acwt` | acoustic cost, without the acoustic scale | `am` |
//! | `lmwt.withlm` | graph cost: language model, pronunciations and transitions | `lm` |
//! | `lmwt.nolm`, `lmwt.lmonly` | its two parts: graph without language model, and language model | `graph`, `lm` |
//! | `lmwt.rnn`, `lmwt.nn` | cost of the recurrent or other neural language model that rescored the lists | `rnnlm`, `nn` |
//!
//! Scripts of users call the files `text`, `ac_cost` or `acscore`, and `lm_cost` or `lmscore`. In all of them, values are
//! costs: negative natural log-probabilities, lower is better. LoRB negates them into parts of the score.
//!
//! Kaldi combines the parts as `acoustic scale * acoustic cost + graph cost`, with a scale that it selects by scoring, so
//! the folder does not say it. The reader uses the one that the caller gives, or else [`ACOUSTIC_SCALE`], and a note
//! states which one it used.
//!
//! Archives list the hypotheses in one order, so the files are read together, with one list in memory at a time.
//! References are in a separate file.
//!
//! The writer adds `first_cost` for a first-pass score that does not follow from the parts, and, after rescoring,
//! `lmwt.lorb` with the cost of the rescoring model and `total_cost`, also as costs, and `references`.

mod read;
mod write;

use super::{Glimpse, ListReader, ListWriter, NbestFormat, OpenOptions, Source, WrittenFormat};
use crate::nbest::references::REFERENCES;
use crate::nbest::{Hypothesis, NbestError};

/// The acoustic scale if the caller gives none: the default of `scripts/rnnlm/lmrescore_nbest.sh`.
const ACOUSTIC_SCALE: f64 = 0.1;

/// Names of the file of words; the first is the one that is written.
const TEXTS: [&str; 2] = ["words_text", "text"];

/// The file with numbers in place of words.
const WORD_NUMBERS: &str = "words";

/// The graph cost without the language model, which counts only next to [`LM_ONLY`].
const NO_LM: &str = "lmwt.nolm";
const LM_ONLY: &str = "lmwt.lmonly";
/// The graph cost with the language model.
const WHOLE_LM: &str = "lmwt.withlm";

/// What a cost is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning<'a> {
    Part(&'a str),
    First,
    Lm,
    Total,
}

/// Files of costs, in the order of precedence where several give the same value.
static COSTS: [(&str, Meaning<'static>); 13] = [
    ("acwt", Meaning::Part("am")),
    ("ac_cost", Meaning::Part("am")),
    ("acscore", Meaning::Part("am")),
    (NO_LM, Meaning::Part("graph")),
    (LM_ONLY, Meaning::Part("lm")),
    (WHOLE_LM, Meaning::Part("lm")),
    ("lm_cost", Meaning::Part("lm")),
    ("lmscore", Meaning::Part("lm")),
    ("lmwt.rnn", Meaning::Part("rnnlm")),
    ("lmwt.nn", Meaning::Part("nn")),
    ("first_cost", Meaning::First),
    ("lmwt.lorb", Meaning::Lm),
    ("total_cost", Meaning::Total),
];

/// A cost as a score, or a score as a cost. Zero has no sign.
fn negated(value: f64) -> f64 {
    0.0 - value
}

/// The score that follows from the parts: the scaled acoustic score and the graph score. With only one of them, it is that
/// one. Other parts do not count.
fn combined(hypothesis: &Hypothesis, acoustic_scale: f64) -> Option<f64> {
    let part = |name| hypothesis.parts.get(name);
    let graph = part("lm").map(|lm| lm + part("graph").unwrap_or(0.0));
    match (part("am"), graph) {
        (Some(am), Some(graph)) => Some(acoustic_scale * am + graph),
        (Some(am), None) => Some(am),
        (None, graph) => graph,
    }
}

/// The format.
pub(super) struct Kaldi;

impl NbestFormat for Kaldi {
    fn name(&self) -> &'static str {
        "kaldi"
    }

    fn doc(&self) -> &'static str {
        "Kaldi's archives of N-best lists: words_text, acwt and lmwt.* of nbest-to-linear"
    }

    fn layout(&self) -> Option<&'static str> {
        Some("archives.1/words_text and acwt (kaldi)")
    }

    fn opens(&self, name: &str) -> bool {
        COSTS.iter().any(|(file, _)| *file == name)
            || TEXTS.contains(&name)
            || [WORD_NUMBERS, REFERENCES].contains(&name)
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        let Glimpse::Folder(folder) = glimpse else { return false };
        read::archives(*folder, true).is_ok_and(|archives| !archives.is_empty())
    }

    fn open(
        &self,
        source: Source,
        options: OpenOptions,
    ) -> Result<Box<dyn ListReader>, NbestError> {
        let folder = source.into_folder(self.name())?;
        Ok(Box::new(read::Reader::new(folder, options)?))
    }
}

impl WrittenFormat for Kaldi {
    fn writer(&self) -> Box<dyn ListWriter> {
        Box::new(write::Writer::default())
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("archives.1/words_text", "u-1-1 TURN ON \nu-1-2 TURN IT ON \nu-2-1 \n"),
            ("archives.1/acwt", "u-1-1 4215.25 \nu-1-2 4216 \nu-2-1 105.5 \n"),
            ("archives.1/lmwt.nolm", "u-1-1 1.5 \nu-1-2 1.625 \nu-2-1 0.25 \n"),
            ("archives.1/lmwt.lmonly", "u-1-1 20.5\nu-1-2 24.75\nu-2-1 3\n"),
            ("archives.1/lmwt.withlm", "u-1-1 22 \nu-1-2 26.375 \nu-2-1 3.25 \n"),
            ("archives.2/words_text", "u-3-1 STOP \n"),
            ("archives.2/acwt", "u-3-1 811.75 \n"),
            ("archives.2/lmwt.nolm", "u-3-1 0.5 \n"),
            ("archives.2/lmwt.lmonly", "u-3-1 6\n"),
            ("references", "u-1 TURN IT ON\nu-3 STOP\n"),
        ]
    }
}
