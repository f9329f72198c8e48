//! A small base with everything that belongs to it: valid inputs for the readers.

use std::collections::BTreeMap;
use std::io::Write;

use burn::tensor::Device;
use flate2::Compression;
use flate2::write::GzEncoder;
use lorb::adapter::{self, AdapterMeta};
use lorb::base::{
    Base, BaseFiles, BertConfig, Export, LinearFormat, TokenizerFiles, expected_tensors, write_f32,
};
use lorb::methods::{LoraConfig, METHODS, Settings};
use lorb::model::Adapter;
use lorb::nbest::{JsonLines, Utterance, WRITTEN_FORMATS, WrittenFormat};
use lorb::packed::Format;
use lorb::rescorer::Rescorer;
use lorb::score::Weights;
use lorb::study::{
    DevPoint, DomainResult, Inputs, Measured, Outcome, Perturbed, Record, Scope, StudyConfig,
    Trained, TruncatedErrors, plan,
};
use lorb::train::TrainConfig;

pub const CONFIG: &str = r#"{"model_type":"bert","vocab_size":40,"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":16,"max_position_embeddings":32,"type_vocab_size":2,"hidden_act":"gelu","layer_norm_eps":1e-12}"#;

const WORDS: &str = "[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e ##a ##b ##c two too to play some music ##s ##ing now , ! big";

const LISTS: &str = r#"{"id":"u1","ref":"play some music","nbest":[{"text":"play sum music","score":-1.5},{"text":"play some music","score":-2}]}
{"id":"ü 2","ref":"two","meta":{"k":[1,-2.5e3,true,null]},"nbest":[{"text":"too","score":-0.25,"am":-3,"x":{}},{"text":"to","score":-1},{"text":"","score":-4}]}
"#;

pub const STUDY: &str = include_str!("../shared/study.toml");

/// Valid inputs of a target.
pub type Seeds = Vec<Vec<u8>>;

pub fn config() -> BertConfig {
    BertConfig::from_json(CONFIG.as_bytes()).unwrap()
}

pub fn vocabulary() -> String {
    WORDS.replace(' ', "\n")
}

fn tokenizer() -> String {
    let pieces = WORDS.split(' ').enumerate().map(|(id, piece)| format!("\"{piece}\":{id}"));
    let added = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].iter().enumerate().map(|(id, token)| {
        format!(
            r#"{{"id":{id},"content":"{token}","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}"#
        )
    });
    let (pieces, added): (Vec<_>, Vec<_>) = (pieces.collect(), added.collect());
    format!(
        r###"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{}],"normalizer":{{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}},"pre_tokenizer":{{"type":"BertPreTokenizer"}},"post_processor":{{"type":"TemplateProcessing","single":[{{"SpecialToken":{{"id":"[CLS]","type_id":0}}}},{{"Sequence":{{"id":"A","type_id":0}}}},{{"SpecialToken":{{"id":"[SEP]","type_id":0}}}}],"pair":[],"special_tokens":{{"[CLS]":{{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]}},"[SEP]":{{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}}}}},"decoder":null,"model":{{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{{{}}}}}}}"###,
        added.join(","),
        pieces.join(",")
    )
}

fn weights() -> Vec<u8> {
    let tensors: Vec<(String, Vec<usize>, Vec<f32>)> = expected_tensors(&config())
        .into_iter()
        .map(|(name, shape)| {
            let size: usize = shape.iter().product();
            let values = (0..size).map(|at| ((at * 37 + size) % 19) as f32 / 19.0 - 0.5).collect();
            (name, shape, values)
        })
        .collect();
    let named = tensors.iter().map(|(name, shape, values)| (name.clone(), &shape[..], &values[..]));
    write_f32(&BTreeMap::from([("format".into(), "pt".into())]), named).unwrap()
}

fn base() -> Base {
    let (tokenizer, weights) = (tokenizer(), weights());
    let tokenizer = TokenizerFiles::json(tokenizer.as_bytes());
    Base::from_files(BaseFiles { config: CONFIG.as_bytes(), tokenizer, weights }).unwrap()
}

pub fn rescorer() -> Rescorer {
    Rescorer::new(base(), &Device::flex()).unwrap()
}

pub fn lists() -> Vec<Utterance> {
    JsonLines::new(LISTS.as_bytes(), "lists").map(Result::unwrap).collect()
}

pub fn training() -> TrainConfig {
    TrainConfig { batch_tokens: 20, epochs: 2, ..TrainConfig::default() }
}

pub fn inputs() -> Inputs {
    Inputs {
        target: ["t".into(), "d".into(), "e".into()],
        non_target: vec![("other".into(), "o".into())],
        bases: vec![("base".into(), "b".into())],
        dictionary: Some("x".into()),
    }
}

pub fn list_files() -> Seeds {
    vec![LISTS.into(), LISTS.lines().next().unwrap().into()]
}

pub fn packed_lists() -> Seeds {
    let pack = |plain: &[u8]| {
        let mut out = GzEncoder::new(Vec::new(), Compression::best());
        out.write_all(plain).unwrap();
        out.finish().unwrap()
    };
    let two = [pack(&LISTS.as_bytes()[..50]), pack(&LISTS.as_bytes()[50..])].concat();
    vec![pack(LISTS.as_bytes()), two]
}

/// Text and score of the first rank, text and score of the second, references.
pub fn espnet() -> Seeds {
    let parts = [
        "u1 a b c\nu2\n",
        "u1 tensor(-4.25)\nu2 -1.2e+01\n",
        "u2 x y\n",
        "u2 -13\n",
        "u1 A b\nu3 z\n",
    ];
    vec![parts.join("\0").into()]
}

/// The examples of the formats that are JSON.
pub fn json_formats() -> Seeds {
    examples(true)
}

/// The examples of the others.
pub fn text_formats() -> Seeds {
    examples(false)
}

fn examples(json: bool) -> Seeds {
    let is_json = |format: &&dyn WrittenFormat| format.example()[0].1.starts_with(['{', '[']);
    let chosen = (b'a'..).zip(WRITTEN_FORMATS).filter(|(_, format)| is_json(format) == json);
    let seed = |(letter, format): (u8, &&dyn WrittenFormat)| {
        let files: Vec<&str> = format.example().iter().map(|(_, text)| *text).collect();
        [&[letter, 0], files.join("\0").as_bytes()].concat()
    };
    chosen.map(seed).collect()
}

pub fn configs() -> Seeds {
    let distil = r#"{"model_type":"distilbert","vocab_size":40,"dim":8,"n_layers":1,"n_heads":2,"hidden_dim":16,"max_position_embeddings":32,"activation":"gelu","sinusoidal_pos_embds":false}"#;
    vec![CONFIG.into(), distil.into()]
}

pub fn tokenizers() -> Seeds {
    let bert = tokenizer();
    let model = bert.find(r#""model":"#).unwrap();
    // The other models that the `tokenizers` crate knows.
    let others = [
        r#"{"type":"Unigram","unk_id":1,"byte_fallback":false,"vocab":[["[PAD]",0.0],["[UNK]",0.0],["[CLS]",0.0],["[SEP]",0.0],["[MASK]",0.0],["▁a",-1.0],["b",-2.5]]}"#,
        r###"{"type":"BPE","dropout":null,"unk_token":"[UNK]","continuing_subword_prefix":"##","end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"[MASK]":4,"a":5,"##b":6,"ab":7},"merges":["a ##b"]}"###,
        r#"{"type":"WordLevel","unk_token":"[UNK]","vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"[MASK]":4,"to":5}}"#,
    ];
    let others = others.map(|other| format!("{}\"model\":{other}}}", &bert[..model]).into());
    [vec![bert.clone().into()], others.into()].concat()
}

pub fn vocabularies() -> Seeds {
    vec![format!("a{}", vocabulary()).into(), format!("b{}\n", vocabulary()).into()]
}

/// A vocabulary in JSON, and merges.
pub fn merges() -> Seeds {
    let vocabulary = r#"{"[CLS]":0,"[PAD]":1,"[SEP]":2,"[UNK]":3,"t":4,"o":5,"w":6,"Ġ":7,"to":8,"two":9,"Ġt":10,"[MASK]":11}"#;
    let merges = "#version: 0.2\nt o\nĠ t\n";
    vec![[vocabulary, merges].join("\0").into()]
}

/// SentencePiece models, after a byte that selects the class.
pub fn sentence_pieces() -> Seeds {
    let piece = |text: &str, score: f32, kind: u8| {
        let length = text.len() as u8;
        let inner =
            [&[10, length][..], text.as_bytes(), &[0x15], &score.to_le_bytes(), &[0x18, kind]];
        let inner = inner.concat();
        [&[10, inner.len() as u8][..], &inner].concat()
    };
    let pieces = [
        ("<unk>", 0.0, 2),
        ("<s>", 0.0, 3),
        ("</s>", 0.0, 3),
        ("▁to", -1.5, 1),
        ("o", -2.0, 1),
        ("now", 0.0, 4),
    ];
    let pieces: Vec<_> =
        pieces.into_iter().map(|(text, score, kind)| piece(text, score, kind)).collect();
    // The kind of the model, and an unknown field.
    let rest = vec![0x12, 2, 0x18, 1, 0xa2, 0x06, 1, b'x'];
    [0, 1].map(|class| [vec![class], pieces.concat(), rest.clone()].concat()).into()
}

/// Settings of a tokenizer, with special tokens by name, as objects and by id.
pub fn tokenizer_settings() -> Seeds {
    let plain = r#"{"do_lower_case":false,"strip_accents":true,"tokenize_chinese_chars":true,"model_max_length":16,"tokenizer_class":"BertTokenizer","mask_token":{"__type":"AddedToken","content":"[MASK]","lstrip":true,"normalized":false},"additional_special_tokens":["big"],"never_split":null}"#;
    let ids = r#"{"added_tokens_decoder":{"4":{"content":"[MASK]","lstrip":false,"normalized":false,"rstrip":false,"single_word":false,"special":true},"24":{"content":"two","special":false}},"unk_token":"[UNK]"}"#;
    let special = r#"{"cls_token":"[CLS]","sep_token":{"content":"[SEP]","lstrip":false,"normalized":false,"rstrip":false,"single_word":false},"additional_special_tokens":["now"]}"#;
    [plain, ids, "{}"].map(|config| [config, special].join("\0").into()).into()
}

/// The golden files of `torch.save`, whose base is another one, and whose pickles are damaged without their checksums.
pub fn torch_files() -> Seeds {
    let layouts = include_bytes!("../golden/torch/layouts.bin");
    let adapter = include_bytes!("../golden/torch/adapter_model.bin");
    vec![layouts.into(), adapter.into()]
}

pub fn base_weights() -> Seeds {
    let exported = [(LinearFormat::Int8, Format::F16), (LinearFormat::Int4, Format::Int8)];
    let exported = exported.map(|(linear, words)| {
        let hash = "ab".repeat(32);
        let export = Export { linear, words, base_sha256: &hash, shard_bytes: None };
        base().weights.write(&config(), &export).unwrap().remove(0).1
    });
    let all = [[weights()].as_slice(), &exported].concat();
    let with_format = |file: &Vec<u8>| [1, 86, 200].map(|first| [&[first, 0], &file[..]].concat());
    all.iter().flat_map(with_format).collect()
}

pub fn tensor_files() -> Seeds {
    let one = write_f32(&BTreeMap::new(), [("x".to_owned(), &[2, 3][..], &[0.5; 6][..])]).unwrap();
    vec![one, weights()]
}

/// An adapter of each method.
pub fn adapters() -> Seeds {
    let (rescorer, base) = (rescorer(), base());
    let mut seeds = Vec::new();
    for info in METHODS {
        let settings = Settings::new();
        let settings = info.size.map_or(settings.clone(), |size| settings.with(size, 2));
        let method = (info.build)(&settings).unwrap();
        let adapter = Adapter::init_on(&base.config, &base.weights, method, 0).unwrap();
        let weights = Some(Weights::new(0.5, 0.25).with_part("am", -0.125));
        let meta = AdapterMeta { weights, ..rescorer.new_meta() };
        // Some methods are written as the method that they end as.
        if let Ok(files) = adapter::write(&adapter, &meta) {
            seeds.push([&files.config, &[0][..], &files.weights].concat());
        }
    }
    assert!(seeds.len() > 5, "only {} methods", seeds.len());
    seeds
}

/// Checkpoints from the beginning and from the middle of an epoch.
pub fn checkpoints() -> Seeds {
    let rescorer = rescorer();
    let adapter = rescorer.new_adapter(LoraConfig::default(), 0).unwrap();
    let mut run = rescorer.run(adapter, &lists(), &lists(), training(), None).unwrap();
    let mut seeds = Vec::new();
    while let Some(_message) = pollster::block_on(run.trainer.next()).unwrap() {
        seeds.push(pollster::block_on(run.trainer.checkpoint()).unwrap());
    }
    seeds.dedup();
    seeds.truncate(4);
    seeds
}

pub fn studies() -> Seeds {
    vec![STUDY.into()]
}

/// A record for each cell of [`STUDY`].
pub fn results() -> Seeds {
    let config: StudyConfig = toml::from_str(STUDY).unwrap();
    let plan = plan(&config, &inputs(), 100).unwrap();
    let domain = |name: &str| DomainResult {
        name: name.into(),
        words: vec![5, 3, 8],
        hypotheses: vec![2, 3, 1],
        first: vec![2, 1, 0],
        rescored: vec![1, 1, 0],
        oracle: vec![1, 0, 0],
        cuts: vec![TruncatedErrors { n: 1, rescored: 3, oracle: 3 }],
    };
    let mut lines = String::new();
    for planned in &plan.cells {
        let trained = planned.cell.lr.map(|_| Trained {
            trainable: 800,
            steps: 4,
            best_step: 2,
            step_seconds: 0.1,
            dev: (1..=2).map(|step| DevPoint { step, seconds: 0.5, wer: 0.25 }).collect(),
            dev_first: 0.3,
            dev_oracle: 0.1,
            ..Trained::default()
        });
        let one = |scope| Perturbed {
            scope,
            rate: 0.5,
            replaced: 2,
            of_words: 9,
            domain: domain("home"),
        };
        let perturbed = if planned.cell.perturbed {
            vec![one(Scope::OneBest), one(Scope::All)]
        } else {
            vec![]
        };
        let measured = Measured {
            device: "CPU".into(),
            base_parameters: 1000,
            base_shape: (8, 1),
            trained,
            domains: vec![domain("home"), domain("other")],
            perturbed,
            ..Measured::default()
        };
        let outcome = Outcome::Done(Box::new(measured));
        let record = Record { id: planned.id.clone(), cell: planned.cell.clone(), outcome };
        lines += &(serde_json::to_string(&record).unwrap() + "\n");
    }
    let failed = lines.lines().last().unwrap();
    let cell: Record = serde_json::from_str(failed).unwrap();
    let outcome = Outcome::Failed { error: "out of memory".into(), seconds: 1.0 };
    let failed = serde_json::to_string(&Record { outcome, ..cell }).unwrap() + "\n";
    vec![lines.clone().into(), (lines + &failed).into()]
}

pub fn dictionaries() -> Seeds {
    vec![
        ";;; a comment\nto T UW\nTO(2) T AH\ntwo T UW1\ntoo T UW\nwait W EY T\nweight W EY T\n"
            .into(),
    ]
}
