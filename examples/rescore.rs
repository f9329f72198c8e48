//! Re-ranks N-best lists with a base and an adapter:
//!
//!     cargo run --release --example rescore -- BASE ADAPTER LISTS.jsonl
//!
//! Try it with `tests/golden/tiny tests/golden/tiny/adapter tests/golden/tiny/lists.jsonl`.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use lorb::adapter::{AdapterFiles, CONFIG_FILE, WEIGHTS_FILE};
use lorb::base::{Base, BaseFiles, TokenizerFiles};
use lorb::device::{DeviceChoice, select};
use lorb::nbest::{JsonLines, Utterance};
use lorb::rescorer::{Options, Rescorer};
use lorb::score::Weights;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, adapter, lists] = &arguments[..] else {
        return Err("usage: rescore BASE ADAPTER LISTS.jsonl".into());
    };
    let base = Path::new(base);
    let base = Base::from_files(BaseFiles {
        config: &fs::read(base.join("config.json"))?,
        tokenizer: TokenizerFiles::json(&fs::read(base.join("tokenizer.json"))?),
        weights: fs::read(base.join("model.safetensors"))?,
    })?;
    let adapter = Path::new(adapter);
    let files = AdapterFiles {
        config: fs::read(adapter.join(CONFIG_FILE))?,
        weights: fs::read(adapter.join(WEIGHTS_FILE))?,
    };

    let selected = select(DeviceChoice::Auto)?;
    let mut rescorer = Rescorer::new(base, &selected.device)?;
    rescorer.read_adapter("mine", &files)?;
    // A single adapter is faster if it is merged into the base's weights.
    let rescorer = rescorer.merged("mine")?;

    let reader = BufReader::new(File::open(lists)?);
    let utterances: Vec<Utterance> = JsonLines::new(reader, lists).collect::<Result<_, _>>()?;
    let untuned = Weights::new(1.0, 0.0);
    let mut options = Options::adapter("mine");
    if rescorer.adapter("mine")?.meta.weights.is_none() {
        options = options.weights(&untuned);
    }
    for list in rescorer.rescore(&utterances, options)? {
        println!("{}", list.id);
        for hypothesis in list.hypotheses {
            println!("  {:>9.3}  {}", hypothesis.total, hypothesis.text);
        }
    }
    println!("{}", rescorer.evaluate(&utterances, options, 0)?.report);
    Ok(())
}
