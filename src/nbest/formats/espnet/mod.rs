//! ESPnet's N-best directory.
//!
//! ESPnet2's decoder (`espnet2/bin/asr_inference.py`) writes `logdir/output.<shard>/<rank>best_recog/{text,score}`, and
//! `token` and `token_int`, which LoRB does not read. Each file has one line per utterance, in Kaldi's form: the id,
//! white space, the value. `text` has the words, possibly none; `score` the total score of the beam search, a weighted
//! sum of natural log-probabilities, higher is better, printed as `tensor(-4.0636)`. Words are not changed: normalise
//! letter case when you prepare the data.
//!
//! The decoder's hypotheses also have `scores`, a dictionary of unweighted log-probabilities by scorer (`decoder`,
//! `ctc`, `lm`, `ngram`, `length_bonus`), which ESPnet does not write. A decoder that is changed to write
//! `str(hyp.scores)` gives a file `scores`, with lines such as `u1 {'decoder': tensor(-3.2), 'ctc': tensor(-1.5)}`. LoRB
//! reads it as the parts of the score.
//!
//! The references are in a Kaldi `text` file elsewhere. LoRB reads them from `references` or `text` in the folder.
//! ESPnet's summary of the best hypotheses is also called `text`, so a `text` that repeats them is not used.
//!
//! An utterance need not appear at every rank; its list is then shorter. A text without a score is a
//! hypothesis without a score. An utterance without a reference has none. The hypotheses of an
//! utterance are spread over all files, so all lists are kept in memory, up to
//! [`MAX_LISTS_BYTES`](crate::bounds::MAX_LISTS_BYTES). Files are opened one at a time.
//!
//! After rescoring, the writer adds files `rescored_lm` and `rescored_total`.

mod read;
mod write;

use super::{Glimpse, ListReader, ListWriter, NbestFormat, OpenOptions, Source, WrittenFormat};
use crate::nbest::references::REFERENCES;
use crate::nbest::{Hypothesis, NbestError};
use read::{Reader, rank_folders};

/// A file of a rank folder with a number for each utterance.
struct Number {
    file: &'static str,
    get: fn(&Hypothesis) -> Option<f64>,
    set: fn(&mut Hypothesis, f64),
}

/// The first is ESPnet's; LoRB writes the others after rescoring.
static NUMBERS: [Number; 3] = [
    Number { file: "score", get: |h| h.score, set: |h, value| h.score = Some(value) },
    Number { file: "rescored_lm", get: |h| h.lm, set: |h, value| h.lm = Some(value) },
    Number { file: "rescored_total", get: |h| h.total, set: |h, value| h.total = Some(value) },
];

/// The file of a rank folder with the words.
const TEXT: &str = "text";

/// The file of a rank folder with the score by part.
const PARTS: &str = "scores";

/// The format.
pub(super) struct Espnet;

impl NbestFormat for Espnet {
    fn name(&self) -> &'static str {
        "espnet"
    }

    fn doc(&self) -> &'static str {
        "ESPnet's decoding folder: logdir/output.*/*best_recog"
    }

    fn layout(&self) -> Option<&'static str> {
        Some("logdir/output.1/1best_recog/text (espnet)")
    }

    fn opens(&self, name: &str) -> bool {
        NUMBERS.iter().any(|number| number.file == name)
            || [TEXT, PARTS, REFERENCES].contains(&name)
    }

    fn sniff(&self, glimpse: &Glimpse<'_>) -> bool {
        let Glimpse::Folder(folder) = glimpse else { return false };
        rank_folders(*folder).is_ok_and(|ranks| !ranks.is_empty())
    }

    fn open(
        &self,
        source: Source,
        options: OpenOptions,
    ) -> Result<Box<dyn ListReader>, NbestError> {
        let folder = source.into_folder(self.name())?;
        Ok(Box::new(Reader::new(folder, options.references.is_none())?))
    }
}

impl WrittenFormat for Espnet {
    fn writer(&self) -> Box<dyn ListWriter> {
        Box::new(write::Writer::default())
    }

    fn example(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("logdir/output.1/1best_recog/text", "u1 TURN ON\nu2\n"),
            ("logdir/output.1/1best_recog/score", "u1 tensor(-4.0636)\nu2 tensor(-1.5)\n"),
            ("logdir/output.1/2best_recog/text", "u1 TURN IT ON\n"),
            ("logdir/output.1/2best_recog/score", "u1 tensor(-5.25)\n"),
            ("logdir/output.2/1best_recog/text", "u3 STOP\n"),
            ("logdir/output.2/1best_recog/score", "u3 tensor(-0.125)\n"),
            (
                "logdir/output.1/2best_recog/scores",
                "u1 {'ctc': tensor(-3.5), 'decoder': tensor(-1.75)}\n",
            ),
            ("text", "u1 TURN IT ON\nu2\nu3 STOP\n"),
        ]
    }
}
