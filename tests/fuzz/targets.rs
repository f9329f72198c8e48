//! What the fuzzers call: each function gives bytes to one reader of the core, and uses what it accepts.
//!
//! A reader may refuse the bytes. It must not panic, and what it accepts must hold what its documentation promises. The
//! tests of `tests/fuzz` and the targets of `fuzz/` share this file.

use std::io::Cursor;
use std::sync::OnceLock;

use lorb::adapter::{self, AdapterFiles};
use lorb::base::{
    Base, BaseError, BertConfig, BertTokenizer, TensorFile, TokenizerFiles, TorchFile, WeightStream,
};
use lorb::methods::LoraConfig;
use lorb::nbest::{
    Hypothesis, MemoryFiles, MemoryFolder, OpenOptions, References, Source, Stream, Utterance,
    WRITTEN_FORMATS, format_by_name, open, write_jsonl,
};
use lorb::packed::Format;
use lorb::rescorer::Rescorer;
use lorb::score::{Evaluation, compared};
use lorb::study::{Homophones, Record, StudyConfig, plan, report};
use lorb::text::{Conventions, Normalize, Unit};

use super::mutate::Form;
use super::seeds::{self, Seeds};

/// A reader that is fuzzed.
pub struct Target {
    /// The name of the function, and of the binary in `fuzz/`.
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Valid inputs to start from.
    pub seeds: fn() -> Seeds,
    /// How they are damaged.
    pub form: Form,
}

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Seeds, form: Form) -> Target {
    Target { name, run, seeds, form }
}

pub const TARGETS: &[Target] = &[
    target("lists", lists, seeds::list_files, Form::JsonLines),
    target("lists_gzip", lists, seeds::packed_lists, Form::Gzip(&Form::JsonLines)),
    target("espnet", espnet, seeds::espnet, Form::Text),
    target("formats_json", formats, seeds::json_formats, Form::Second(&Form::JsonLines)),
    target("formats_text", formats, seeds::text_formats, Form::Second(&Form::Text)),
    target("config_json", config_json, seeds::configs, Form::Json),
    target("tokenizer_json", tokenizer_json, seeds::tokenizers, Form::Json),
    target("vocab_txt", vocab_txt, seeds::vocabularies, Form::Text),
    target("vocab_merges", vocab_merges, seeds::merges, Form::First(&Form::Json)),
    target("sentence_piece", sentence_piece, seeds::sentence_pieces, Form::Bytes),
    target(
        "tokenizer_settings",
        tokenizer_settings,
        seeds::tokenizer_settings,
        Form::First(&Form::Json),
    ),
    target("torch_file", torch_file, seeds::torch_files, Form::Archive),
    target("base_weights", base_weights, seeds::base_weights, Form::Second(&Form::Tensors)),
    target("adapter_config", adapter, seeds::adapters, Form::First(&Form::Json)),
    target("adapter_weights", adapter, seeds::adapters, Form::Second(&Form::Tensors)),
    target("tensor_file", tensor_file, seeds::tensor_files, Form::Tensors),
    target("checkpoint", checkpoint, seeds::checkpoints, Form::Tensors),
    target("study_toml", study_toml, seeds::studies, Form::Text),
    target("study_results", study_results, seeds::results, Form::JsonLines),
    target("dictionary", dictionary, seeds::dictionaries, Form::Text),
];

/// Texts that every accepted tokenizer must encode.
const TEXTS: &[&str] = &[
    "",
    "two too to",
    "play some MUSIC, now!",
    "Größe 語言 ﷺ e\u{301}",
    "[CLS] [SEP] [MASK] ##s",
    "\u{0}\u{1b}\u{202e}\u{feff}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Lists as a stream of detected format, plain or gzip.
pub fn lists(data: &[u8]) {
    let source = Source::stream("lists", Cursor::new(data.to_vec()));
    let Ok(opened) = open(source, None, OpenOptions::default()) else { return };
    for list in opened.lists.take(1000) {
        match list {
            Ok(list) => check_list(&list, true),
            Err(error) => check_message(&error.to_string()),
        }
    }
}

/// A folder in ESPnet's layout: two ranks and references, separated by zeros.
pub fn espnet(data: &[u8]) {
    let mut parts = data.split(|&byte| byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let mut folder = MemoryFolder::new("in");
    for path in ["output.1/1best_recog", "output.1/2best_recog"] {
        folder = folder.with(format!("{path}/text"), part()).with(format!("{path}/score"), part());
    }
    let references = Stream::new("references", Cursor::new(part().to_vec()));
    let references = match References::read(references) {
        Ok(references) => Some(references),
        Err(error) => return check_message(&error.to_string()),
    };
    let options = OpenOptions { references, ..OpenOptions::default() };
    let opened = open(Source::folder(folder), format_by_name("espnet"), options);
    let Ok(mut opened) = opened else { return };
    for list in opened.lists.by_ref().take(1000) {
        match list {
            Ok(list) => check_list(&list, false),
            Err(error) => check_message(&error.to_string()),
        }
    }
    opened.lists.take_notes();
}

/// Any format: a letter for the format, and the files of its example, separated by zeros. Lists that are accepted are
/// written in every format.
pub fn formats(data: &[u8]) {
    let [first, 0, rest @ ..] = data else { return };
    let Some(format) = WRITTEN_FORMATS.get(usize::from(first.wrapping_sub(b'a'))) else { return };
    let mut parts = rest.split(|&byte| byte == 0).map(<[u8]>::to_vec);
    let source = if format.example()[0].0.is_empty() {
        Source::stream("lists", Cursor::new(parts.next().unwrap_or_default()))
    } else {
        let files = format.example().iter().zip(parts);
        let folder = MemoryFolder::new("in");
        Source::folder(files.fold(folder, |folder, ((path, _), part)| folder.with(*path, part)))
    };
    let opened = match open(source, Some(*format), OpenOptions::default()) {
        Ok(opened) => opened,
        Err(error) => return check_message(&error.to_string()),
    };
    let mut lists = opened.lists;
    let mut writers: Vec<_> = WRITTEN_FORMATS.iter().map(|format| format.writer()).collect();
    let mut files = vec![MemoryFiles::default(); writers.len()];
    for list in lists.by_ref().take(1000) {
        match list {
            Ok(list) => {
                check_list(&list, false);
                for (writer, files) in writers.iter_mut().zip(&mut files) {
                    if let Err(error) = writer.write(&list, files) {
                        check_message(&error.to_string());
                    }
                }
            }
            Err(error) => check_message(&error.to_string()),
        }
    }
    lists.take_notes().iter().for_each(|note| check_message(&note.to_string()));
    for (writer, files) in writers.iter_mut().zip(&mut files) {
        writer.finish(files).unwrap();
    }
}

fn check_list(list: &Utterance, lines: bool) {
    assert!(!list.id.trim().is_empty() && !list.hypotheses.is_empty());
    for hypothesis in &list.hypotheses {
        let Hypothesis { score, lm, total, parts, .. } = hypothesis;
        let scores = [score, lm, total].into_iter().flatten().copied();
        assert!(scores.chain(parts.iter().map(|(_, value)| value)).all(f64::is_finite));
    }
    for normalize in Normalize::ALL {
        let conventions = Conventions { normalize, unit: Unit::Mixed, join: true };
        let view = compared(list, &conventions);
        assert_eq!(view.hypotheses.len(), list.hypotheses.len());
        let mut evaluation = Evaluation::with(conventions);
        evaluation.add(list, None);
        assert!(!evaluation.report(1, 0).to_string().is_empty());
    }
    let mut written = Vec::new();
    write_jsonl(&mut written, list).unwrap();
    if lines {
        let source = Source::stream("again", Cursor::new(written));
        let mut again = open(source, format_by_name("jsonl"), OpenOptions::default()).unwrap();
        assert_eq!(&again.lists.next().unwrap().unwrap(), list);
    }
}

/// An error says something. The command line escapes what is not printable.
fn check_message(message: &str) {
    assert!(!message.is_empty());
}

/// `config.json`.
pub fn config_json(data: &[u8]) {
    match BertConfig::from_json(data) {
        Ok(config) => {
            config.check().unwrap();
            assert!(config.max_tokens() >= 2);
        }
        Err(error) => check_message(&error.to_string()),
    }
}

/// `tokenizer.json`, for a base of 40 embeddings.
pub fn tokenizer_json(data: &[u8]) {
    tokenizer(TokenizerFiles::json(data));
}

/// `vocab.txt`; the first byte decides whether text is lower-cased.
pub fn vocab_txt(data: &[u8]) {
    if let Some((first, rest)) = data.split_first() {
        let config = (first % 2 > 0).then_some(&b"{\"do_lower_case\":false}"[..]);
        tokenizer(TokenizerFiles { vocab: Some(rest), config, ..TokenizerFiles::default() });
    }
}

/// `vocab.json`, a zero, and `merges.txt`.
pub fn vocab_merges(data: &[u8]) {
    let parts = data.iter().position(|&byte| byte == 0).map(|end| (&data[..end], &data[end + 1..]));
    let Some((vocabulary, merges)) = parts else { return };
    tokenizer(TokenizerFiles {
        vocab_json: Some(vocabulary),
        merges: Some(merges),
        config: Some(b"{\"tokenizer_class\":\"RobertaTokenizer\"}"),
        ..TokenizerFiles::default()
    });
}

/// `sentencepiece.bpe.model`; the first byte selects the class.
pub fn sentence_piece(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let classes = [
        &b"{\"tokenizer_class\":\"XLMRobertaTokenizer\"}"[..],
        b"{\"tokenizer_class\":\"CamembertTokenizer\"}",
    ];
    tokenizer(TokenizerFiles {
        sentence_piece: Some(rest),
        config: Some(classes[usize::from(first % 2)]),
        ..TokenizerFiles::default()
    });
}

/// `tokenizer_config.json`, a zero, and `special_tokens_map.json`, with a good vocabulary.
pub fn tokenizer_settings(data: &[u8]) {
    let vocabulary = seeds::vocabulary();
    let parts = data.iter().position(|&byte| byte == 0).map(|end| (&data[..end], &data[end + 1..]));
    let Some((config, special)) = parts else { return };
    tokenizer(TokenizerFiles {
        vocab: Some(vocabulary.as_bytes()),
        config: Some(config),
        special_tokens: Some(special),
        ..TokenizerFiles::default()
    });
}

/// `pytorch_model.bin`, or `adapter_model.bin`.
pub fn torch_file(data: &[u8]) {
    let open = |_: &str| Ok::<_, BaseError>((Cursor::new(data), data.len() as u64));
    let vocabulary = seeds::vocabulary();
    let files = TokenizerFiles::vocab(vocabulary.as_bytes());
    let config = seeds::CONFIG.as_bytes();
    if let Err(error) = Base::from_torch(config, files, Format::F32, None, open) {
        check_message(&error.to_string());
    }
    let converted = TorchFile::open(Cursor::new(data), data.len() as u64);
    match converted.and_then(TorchFile::into_safetensors) {
        Ok(file) => drop(TensorFile::open(file).unwrap()),
        Err(fault) => check_message(&fault.to_string()),
    }
}

fn tokenizer(file: TokenizerFiles<'_>) {
    let config = seeds::config();
    let tokenizer = match BertTokenizer::from_files(file, &config) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return check_message(&error.to_string()),
    };
    for text in TEXTS {
        let Ok(encoded) = tokenizer.encode(text) else { continue };
        assert!((2..=config.max_tokens()).contains(&encoded.ids.len()));
        assert!(encoded.ids.iter().all(|&id| (id as usize) < config.vocab_size), "{encoded:?}");
        assert_eq!(tokenizer.encode(text).unwrap(), encoded, "not the same twice");
    }
    if let Ok(mask) = tokenizer.mask() {
        assert!((mask as usize) < config.vocab_size);
    }
}

/// `model.safetensors`, in pieces. The first byte chooses their size and the format; a zero follows.
pub fn base_weights(data: &[u8]) {
    let [first, 0, rest @ ..] = data else { return };
    let first = *first;
    let format = [Format::F32, Format::F16, Format::Int8][usize::from(first) % 3];
    let length = (first < 128).then_some(rest.len() as u64);
    let mut stream = WeightStream::new(&seeds::config(), format, length);
    for piece in rest.chunks(1 + usize::from(first) * 7) {
        if let Err(error) = stream.push(piece) {
            return check_message(&error.to_string());
        }
    }
    match stream.finish() {
        Ok(weights) => drop(weights),
        Err(error) => check_message(&error.to_string()),
    }
}

/// Both files of an adapter, separated by a zero.
pub fn adapter(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    let weights = data.get(end + 1..).unwrap_or_default();
    let files = AdapterFiles { config: data[..end].to_vec(), weights: weights.to_vec() };
    match adapter::read(&files, &seeds::config()) {
        Ok((adapter, meta)) => {
            // What is accepted can be written, and read again.
            let written = adapter::write(&adapter, &meta).unwrap();
            adapter::read(&written, &seeds::config()).unwrap();
        }
        Err(error) => check_message(&error.to_string()),
    }
}

/// A checkpoint of a training.
pub fn checkpoint(data: &[u8]) {
    thread_local! {
        static RESCORER: Rescorer = seeds::rescorer();
    }
    RESCORER.with(|rescorer| {
        let adapter = rescorer.new_adapter(LoraConfig::default(), 0).unwrap();
        let (lists, config) = (seeds::lists(), seeds::training());
        match rescorer.run(adapter, &lists, &lists, config, Some(data)) {
            Ok(mut run) => {
                assert!(run.trainer.step() <= run.trainer.steps());
                // A message or an error, such as a loss that is not finite.
                let _ = pollster::block_on(run.trainer.next());
                let _ = pollster::block_on(run.trainer.checkpoint());
            }
            Err(error) => check_message(&error.to_string()),
        }
    });
}

/// Any safetensors file.
pub fn tensor_file(data: &[u8]) {
    match TensorFile::open(data) {
        Ok(file) => {
            for name in file.entries().keys() {
                if let Err(error) = file.read(name) {
                    check_message(&error.to_string());
                }
            }
        }
        Err(error) => check_message(&error.to_string()),
    }
}

/// The configuration of a study.
pub fn study_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(config) = toml::from_str::<StudyConfig>(text) else { return };
    let validated = config.validate();
    let planned = validated.and_then(|()| plan(&config, &seeds::inputs(), 100));
    if let Err(error) = planned {
        check_message(&error.to_string());
    }
}

/// The results of a study.
pub fn study_results(data: &[u8]) {
    static STUDY: OnceLock<(StudyConfig, lorb::study::Plan)> = OnceLock::new();
    let (config, plan) = STUDY.get_or_init(|| {
        let config: StudyConfig = toml::from_str(seeds::STUDY).unwrap();
        let plan = plan(&config, &seeds::inputs(), 100).unwrap();
        (config, plan)
    });
    let lines = data.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let records: Result<Vec<Record>, _> = lines.map(serde_json::from_slice).collect();
    let Ok(records) = records else { return };
    if let Some(error) = records.iter().find_map(|record| record.check().err()) {
        return check_message(&error.to_string());
    }
    let document = report::document(config, plan, &records);
    assert!(!document.html().is_empty() && !document.markdown().is_empty());
    let _ = (document.summary(), document.figures());
}

/// A pronouncing dictionary.
pub fn dictionary(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(homophones) = Homophones::read(text, "words") {
        for word in text.split_whitespace() {
            assert!(homophones.of(word).len() <= homophones.len());
        }
    }
}
