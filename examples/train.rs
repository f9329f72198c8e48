//! Trains a LoRA adapter on N-best lists with references, and writes it as a PEFT directory:
//!
//!     cargo run --release --example train -- BASE TRAIN.jsonl DEV.jsonl OUTPUT
//!
//! Try it with `tests/golden/tiny`, and `tests/golden/tiny/lists.jsonl` twice.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::Path;

use lorb::adapter::{CONFIG_FILE, WEIGHTS_FILE};
use lorb::base::{Base, BaseFiles, TokenizerFiles};
use lorb::device::{DeviceChoice, select};
use lorb::methods::LoraConfig;
use lorb::nbest::{JsonLines, NbestError, Utterance};
use lorb::rescorer::Rescorer;
use lorb::train::{Message, TrainConfig};

fn lists(path: &str) -> Result<Vec<Utterance>, Box<dyn Error>> {
    let reader = BufReader::new(File::open(path)?);
    Ok(JsonLines::new(reader, path).collect::<Result<Vec<Utterance>, NbestError>>()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, train, dev, output] = &arguments[..] else {
        return Err("usage: train BASE TRAIN.jsonl DEV.jsonl OUTPUT".into());
    };
    let folder = Path::new(base);
    let tokenizer = fs::read(folder.join("tokenizer.json"))?;
    let files = BaseFiles {
        config: &fs::read(folder.join("config.json"))?,
        tokenizer: TokenizerFiles::json(&tokenizer),
        weights: fs::read(folder.join("model.safetensors"))?,
    };
    let selected = select(DeviceChoice::Auto)?;
    let mut rescorer = Rescorer::new(Base::from_files(files)?, &selected.device)?;
    rescorer.set_name(Some(base.clone()));

    let config = TrainConfig { epochs: 3, ..TrainConfig::default() };
    let start = rescorer.new_adapter(LoraConfig::default(), config.seed)?;
    let trained = rescorer.train(start, &lists(train)?, &lists(dev)?, config, |message| {
        match message {
            Message::Step { step, steps, loss, .. } => {
                println!("step {step}/{steps}: loss {loss:.4}");
            }
            Message::Evaluated { step, wer, .. } => {
                println!("step {step}: dev WER {:.2} %", 100.0 * wer);
            }
            _ => {}
        }
        // Break would stop the run.
        ControlFlow::Continue(())
    })?;

    rescorer.add_adapter("mine", trained.adapter, trained.meta)?;
    let files = rescorer.write_adapter("mine")?;
    fs::create_dir_all(output)?;
    fs::write(Path::new(output).join(CONFIG_FILE), files.config)?;
    fs::write(Path::new(output).join(WEIGHTS_FILE), files.weights)?;
    println!("adapter with LM weight {:.4} in {output}", trained.weights.beta);
    Ok(())
}
