//! Students of the tiny base.

use burn::tensor::{Device, Tensor};

use super::*;
use crate::base::{Base, BertTokenizer};
use crate::methods::Full;
use crate::model::{Adapter, Encoder, Method, PackedBatch, TrainableTensors};
use crate::test_gpu;
use crate::train::tests::tiny;
use crate::train::{Batch, Message, Task, TrainConfig, TrainedModel, Trainer};

const TEXTS: [&str; 8] = [
    "turn the light on",
    "",
    "play a song for me today",
    "what is the weather today",
    "send a message home",
    "open the door",
    "turn the lights off",
    "play the song",
];

const WHOLE: Shape =
    Shape { layers: None, vocabulary: None, positions: None, width: None, seed: 4 };

fn texts() -> Vec<String> {
    // Enough that one is kept apart.
    (0..4).flat_map(|_| TEXTS).map(str::to_owned).collect()
}

fn teacher() -> (Base, BaseBytes) {
    let mut files = BaseBytes::default();
    files.push("config.json", tiny::CONFIG.to_vec());
    files.push("tokenizer.json", tiny::TOKENIZER.to_vec());
    (tiny::base(), files)
}

fn student(layers: Option<LayerMap>, vocabulary: Option<usize>) -> Student {
    let (teacher, files) = teacher();
    let shape = Shape { layers, vocabulary: vocabulary.map(Pieces::Pruned), ..WHOLE };
    Student::new(&teacher, &files, &shape, &texts()).unwrap()
}

fn config() -> TrainConfig {
    TrainConfig {
        lr: 3e-3,
        epochs: 6,
        batch_tokens: 60,
        evals_per_epoch: 2,
        ..TrainConfig::default()
    }
}

fn run(student: Student, device: &Device, checkpoint: Option<&[u8]>) -> Distillation {
    let losses = Losses::STATES;
    Distillation::new(teacher().0, student, &texts(), losses, config(), device, checkpoint).unwrap()
}

fn next(trainer: &mut Trainer<Imitation>) -> Option<Message> {
    pollster::block_on(trainer.next()).unwrap()
}

/// `[CLS]` of a text.
fn cls(base: &mut Base, text: &str) -> Vec<f32> {
    let device = Device::flex();
    let encoder = Encoder::new(&base.config, &mut base.weights, &device).unwrap();
    let batch: PackedBatch = [&base.tokenizer.encode(text).unwrap().ids[..]].into_iter().collect();
    let bare = TrainableTensors::bare(&base.config, &device);
    encoder.forward(&batch, &bare, None).unwrap().cls.into_data().try_into_vec().unwrap()
}

fn pieces(tokenizer: &BertTokenizer, text: &str) -> Vec<String> {
    let names = tokenizer.word_pieces().unwrap();
    let name = |id: u32| names.iter().find(|(_, own)| **own == id).unwrap().0.to_string();
    tokenizer.encode(text).unwrap().ids.into_iter().map(name).collect()
}

#[test]
fn layers_are_spread_evenly_up_to_the_last() {
    let of = |map: &str, layers| map.parse::<LayerMap>().unwrap().of(layers);
    assert_eq!(of("3", 6).unwrap(), [1, 3, 5]);
    assert_eq!(of("4", 6).unwrap(), [0, 2, 3, 5]);
    assert_eq!(of("6", 6).unwrap(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(of("1,4", 6).unwrap(), [0, 3]);
    assert_eq!(of("2,", 6).unwrap(), [1]);
    for wrong in ["0", "7", "0,1", "2,2", "3,1", "1,7"] {
        let error = of(wrong, 6).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("layers {wrong}: expected layers of the teacher in ascending order, 1 to 6")
        );
    }
    for wrong in ["", "a", "1,b", "-1"] {
        assert!(wrong.parse::<LayerMap>().is_err(), "{wrong}");
    }
}

#[test]
fn losses_have_names() {
    assert_eq!("cls, hidden".parse::<Losses>().unwrap().to_string(), "hidden,cls");
    assert_eq!(Losses::STATES.to_string().parse::<Losses>().unwrap(), Losses::STATES);
    assert!("".parse::<Losses>().is_err() && "logits".parse::<Losses>().is_err());
    for name in Losses::NAMES {
        assert_eq!(name.parse::<Losses>().unwrap().to_string(), name);
    }
}

#[test]
fn a_student_with_everything_is_the_teacher() {
    let mut teacher = teacher().0;
    let mut same = student(None, None).base;
    assert_ne!(same.hash, teacher.hash, "the file has other bytes");
    let text = "turn the light on";
    assert_eq!(cls(&mut same, text), cls(&mut teacher, text));
}

#[test]
fn a_smaller_vocabulary_gives_the_same_states_for_the_same_pieces() {
    let mut teacher = teacher().0;
    let all = teacher.tokenizer.vocabulary_size();
    let Student { mut base, vocabulary, files, .. } = student(None, Some(150));
    assert_eq!(base.config.vocab_size, 150);
    assert_eq!(base.tokenizer.vocabulary_size(), 150);
    assert_eq!(vocabulary.unwrap().len(), 150);
    assert!(all > 150);
    // All pieces of the texts stay, as they are the most frequent ones.
    for text in TEXTS {
        assert_eq!(pieces(&base.tokenizer, text), pieces(&teacher.tokenizer, text));
    }
    assert_eq!(cls(&mut base, TEXTS[0]), cls(&mut teacher, TEXTS[0]));
    // What does not stay is spelt with what does.
    let spelt = pieces(&base.tokenizer, "weathering storms");
    assert!(!spelt.contains(&"[UNK]".to_owned()), "{spelt:?}");
    let file: serde_json::Value =
        serde_json::from_slice(files.tokenizer_files().json.unwrap()).unwrap();
    assert_eq!(file["model"]["vocab"].as_object().unwrap().len(), 150);
    assert_eq!(file["post_processor"]["special_tokens"]["[SEP]"]["ids"][0], 3);
    assert_eq!(file["added_tokens"].as_array().unwrap().len(), 5);
}

#[test]
fn special_ids_move_with_their_pieces() {
    // The special tokens at the end of the vocabulary, as in some bases.
    let lines: Vec<&str> =
        std::str::from_utf8(include_bytes!("../../../tests/golden/tiny/vocab.txt"))
            .unwrap()
            .lines()
            .collect();
    let turned: Vec<&str> = lines.iter().rev().copied().collect();
    let config = String::from_utf8(tiny::CONFIG.to_vec()).unwrap();
    let pad = turned.iter().position(|piece| *piece == "[PAD]").unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["pad_token_id"] = pad.into();
    let decoder = serde_json::json!({pad.to_string(): {"content": "[PAD]"}, "3": {"content": "x"}});
    let of_tokenizer = serde_json::json!({"added_tokens_decoder": decoder, "pad_token": "[PAD]"});
    let mut files = BaseBytes::default();
    files.push("config.json", config.to_string().into_bytes());
    files.push("vocab.txt", turned.join("\n").into_bytes());
    files.push("tokenizer_config.json", of_tokenizer.to_string().into_bytes());
    files.push("README.md", Vec::new());
    let teacher = Base::from_files(crate::base::BaseFiles {
        config: &files.config,
        tokenizer: files.tokenizer_files(),
        weights: tiny::WEIGHTS.to_vec(),
    });
    let teacher = teacher.unwrap();
    let shape = Shape { vocabulary: Some(Pieces::Pruned(120)), positions: Some(20), ..WHOLE };
    let Student { base, files, .. } = Student::new(&teacher, &files, &shape, &texts()).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&files.config).unwrap();
    assert_eq!(config["pad_token_id"], 119, "the last piece");
    assert_eq!(config["vocab_size"], 120);
    assert_eq!(base.config.max_position_embeddings, 20);
    let read = files.tokenizer_files();
    let vocabulary = std::str::from_utf8(read.vocab.unwrap()).unwrap();
    assert_eq!(vocabulary.lines().last(), Some("[PAD]"));
    let of_tokenizer: serde_json::Value = serde_json::from_slice(read.config.unwrap()).unwrap();
    assert_eq!(of_tokenizer["added_tokens_decoder"]["119"]["content"], "[PAD]");
    assert_eq!(files.tokenizer().len(), 2);
}

#[test]
fn sizes_out_of_range_are_errors() {
    let (teacher, files) = teacher();
    let error =
        |shape: Shape| Student::new(&teacher, &files, &shape, &texts()).unwrap_err().to_string();
    let most = teacher.config.max_position_embeddings;
    let text = error(Shape { positions: Some(most + 1), ..WHOLE });
    assert_eq!(text, format!("{} positions: expected 3 to {most}", most + 1));
    let text = error(Shape { vocabulary: Some(Pieces::Pruned(10)), ..WHOLE });
    assert!(
        text.starts_with("a vocabulary of 10: expected ") && text.ends_with("word pieces"),
        "{text}"
    );
    error(Shape { vocabulary: Some(Pieces::Pruned(1_000_000)), ..WHOLE });
}

/// A student with pieces learnt from texts with words that the teacher spells.
fn retrained(size: usize) -> Student {
    let (teacher, files) = teacher();
    let texts: Vec<String> = (0..40)
        .map(|at| format!("tomorrow weather tomorrow {}", ["rainbow", "snowman"][at % 2]))
        .collect();
    let shape = Shape { vocabulary: Some(Pieces::Retrained(size)), ..WHOLE };
    Student::new(&teacher, &files, &shape, &texts).unwrap()
}

#[test]
fn pieces_are_learnt_from_the_texts() {
    let (teacher, _) = teacher();
    let Student { base, files, vocabulary, .. } = retrained(160);
    let size = base.config.vocab_size;
    assert!((100..=160).contains(&size), "{size}");
    assert_eq!(vocabulary.unwrap().len(), size);
    // A frequent word is one piece, which the teacher spells; it starts with the mean of the teacher's rows.
    let word = "rainbow";
    let spelled = teacher.tokenizer.encode(word).unwrap().ids;
    let own = base.tokenizer.encode(word).unwrap().ids;
    assert!(spelled.len() > 3, "{:?}", pieces(&teacher.tokenizer, word));
    assert_eq!(own.len(), 3, "{:?}", pieces(&base.tokenizer, word));
    let name = "embeddings.word_embeddings.weight";
    let width = base.config.hidden_size;
    let of_teacher = teacher.weights.get(name).unwrap().data;
    let of_student = base.weights.get(name).unwrap().data;
    let spelled = &spelled[1..spelled.len() - 1];
    for column in 0..width {
        let sum: f32 = spelled.iter().map(|id| of_teacher[*id as usize * width + column]).sum();
        let found = of_student[own[1] as usize * width + column];
        assert!((found - sum / spelled.len() as f32).abs() < 1e-6);
    }
    // What the teacher has stays as it is, special tokens too.
    for token in ["[CLS]", "[MASK]", "a"] {
        let id = |tokenizer: &BertTokenizer| tokenizer.word_pieces().unwrap()[token] as usize;
        let (old, new) = (id(&teacher.tokenizer), id(&base.tokenizer));
        assert_eq!(
            of_student[new * width..][..width],
            of_teacher[old * width..][..width],
            "{token}"
        );
    }
    // The same texts give the same pieces.
    assert!(retrained(160).files == files);
    // Words that were not in the texts can still be spelled.
    let rare = base.tokenizer.encode("zebra").unwrap().ids;
    assert!(!rare.contains(&base.tokenizer.word_pieces().unwrap()["[UNK]"]));
}

#[test]
fn words_are_aligned_whatever_the_pieces() {
    let (teacher, _) = teacher();
    let learnt = ("rainbow weather", retrained(160));
    for (rare, Student { base, .. }) in [("tomorrow weather", student(None, Some(120))), learnt] {
        check_alignment(&teacher, &base, rare.to_owned());
    }
}

/// Two words, which both split into other pieces.
fn check_alignment(teacher: &Base, base: &Base, rare: String) {
    let corpus =
        Corpus::new(std::slice::from_ref(&rare), &teacher.tokenizer, Some(&base.tokenizer))
            .unwrap();
    let pair = &corpus.train[0];
    assert_ne!(pair.teacher.len(), pair.student().len(), "{:?}", pieces(&base.tokenizer, &rare));
    let [of_teacher, of_student] = corpus.words(&[pair, pair]).unwrap();
    // [CLS], two words, [SEP], twice.
    assert_eq!((of_teacher.last(), of_student.last()), (Some(&7), Some(&7)));
    assert_eq!(of_teacher.len(), 2 * pair.teacher.len());
    assert!(matches!(
        Corpus::new(&[String::new()], &teacher.tokenizer, None),
        Err(DistillError::NoText)
    ));
    // A text beyond the limit of both is cut to the same words.
    let long = [rare.as_str(); 200].join(" ");
    let corpus = Corpus::new(&[long], &teacher.tokenizer, Some(&base.tokenizer)).unwrap();
    let [of_teacher, of_student] = corpus.words(&[&corpus.train[0]]).unwrap();
    assert_eq!(of_teacher.last(), of_student.last());
    assert_eq!(corpus.truncated, 1);
}

/// Loss and gradient of all texts at `parameters`.
fn pass(run: &Parts, parameters: &[f32]) -> (f32, Vec<f32>) {
    let flat = Tensor::<1>::from_floats(parameters, &run.encoder.device());
    let Parts { encoder, base, task, .. } = run;
    let method = Method::from(Full);
    let model = TrainedModel { encoder, base: &base.config, method: &method, config: &config() };
    let examples: Vec<usize> = (0..task.batches(&config(), 0).concat().len()).collect();
    let batch = Batch { examples: &examples, of: examples.len(), dropout: None, with: None };
    let parts = task.pass(model, &flat, batch).unwrap();
    let host = |tensor: Tensor<1>| -> Vec<f32> { tensor.into_data().try_into_vec().unwrap() };
    (host(parts.ranking)[0], host(parts.gradient))
}

struct Parts {
    encoder: Encoder,
    base: Base,
    start: Adapter,
    task: Imitation,
}

fn parts(student: Student, losses: Losses, device: &Device) -> Parts {
    let Student { mut base, layers, vocabulary, .. } = student;
    let (mut teacher, _) = teacher();
    let own = vocabulary.is_some().then_some(&base.tokenizer);
    let corpus = Corpus::new(&texts()[..8], &teacher.tokenizer, own).unwrap();
    let start = Adapter::init_on(&base.config, &base.weights, Full, 1).unwrap();
    let encoder = Encoder::new(&base.config, &mut base.weights, device).unwrap();
    let of_teacher = Encoder::new(&teacher.config, &mut teacher.weights, device).unwrap();
    let hash = teacher.hash.clone();
    let width = base.config.hidden_size;
    let of_teacher = (of_teacher, &teacher.config, hash);
    let task = Imitation::new(of_teacher, layers, width, losses, corpus);
    Parts { encoder, base, start, task }
}

#[test]
fn the_teacher_has_no_loss_against_itself() {
    let run = parts(student(None, None), Losses::STATES, &Device::flex());
    let (loss, gradient) = pass(&run, &run.start.parameters);
    assert_eq!(loss, 0.0);
    assert!(gradient.iter().all(|g| *g == 0.0));
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let student = || student(Some(LayerMap::Listed(vec![1, 3])), Some(120));
    for losses in Losses::NAMES.map(|name| name.parse::<Losses>().unwrap()) {
        let run = parts(student(), losses, &Device::flex());
        // Not at the start, where the embeddings are the teacher's.
        let shifted = run.start.parameters.iter().zip(0u32..);
        let at: Vec<f32> = shifted.map(|(p, i)| p + (i % 17) as f32 * 2e-3).collect();
        let at = &at;
        let (_, gradient) = pass(&run, at);
        // Along the gradient and two other directions, the slope is their product.
        for salt in 0..3 {
            let direction: Vec<f32> = (0..at.len())
                .map(
                    |i| if salt == 0 { gradient[i] } else { ((i * 7919 * salt) % 13) as f32 - 6.0 },
                )
                .collect();
            let norm = direction.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
            let step = 2e-2 / norm;
            let moved = |sign: f64| {
                let shift = |(p, d): (&f32, &f32)| p + (sign * step * f64::from(*d)) as f32;
                let moved: Vec<f32> = at.iter().zip(&direction).map(shift).collect();
                f64::from(pass(&run, &moved).0)
            };
            let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            let product: f64 =
                gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            let scale = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() * norm;
            assert!((slope - product).abs() < 1e-2 * scale, "{losses}: {slope} {product} {scale}");
        }
    }
}

#[test]
fn kernels_give_the_loss_and_gradient_of_the_cpu_path() {
    let Some(gpu) = test_gpu::software() else { return };
    let student = || student(Some(LayerMap::Listed(vec![1, 3])), Some(120));
    let run = parts(student(), Losses::STATES, &Device::flex());
    let (loss, gradient) = pass(&run, &run.start.parameters);
    let on_gpu = parts(student(), Losses::STATES, &gpu);
    let (found, of_gpu) = pass(&on_gpu, &run.start.parameters);
    assert!((loss - found).abs() < 1e-5 * loss, "{loss} {found}");
    let largest = gradient.iter().fold(0.0f32, |most, g| most.max(g.abs()));
    for (a, b) in gradient.iter().zip(&of_gpu) {
        assert!((a - b).abs() < 1e-4 * largest, "{a} {b} {largest}");
    }
}

#[test]
fn a_student_learns_and_a_resumed_run_is_the_same() {
    let device = Device::flex();
    let new = || student(Some(LayerMap::Count(1)), Some(120));
    let mut straight = run(new(), &device, None);
    let (mut losses, mut checkpoint) = (Vec::new(), Vec::new());
    while let Some(message) = next(&mut straight.trainer) {
        match message {
            Message::Compared { loss, .. } => losses.push(loss),
            Message::Step { step: 5, .. } => {
                checkpoint = pollster::block_on(straight.trainer.checkpoint()).unwrap();
            }
            Message::Finished { best_loss, best_wer, .. } => {
                let lowest = losses.iter().copied().reduce(f64::min);
                assert_eq!((best_loss, best_wer), (lowest, None));
            }
            _ => {}
        }
    }
    assert!(losses.len() == 12 && losses[11] < 0.5 * losses[0], "{losses:?}");
    let (files, weights) = pollster::block_on(straight.best()).unwrap();
    let mut resumed = run(new(), &device, Some(&checkpoint));
    assert_eq!(resumed.trainer.step(), 5);
    while next(&mut resumed.trainer).is_some() {}
    assert_eq!(pollster::block_on(resumed.best()).unwrap().1, weights);
    // What is written is a base.
    let written = Base::from_files(crate::base::BaseFiles {
        config: &files.config,
        tokenizer: files.tokenizer_files(),
        weights,
    });
    assert_eq!(written.unwrap().config.num_hidden_layers, 1);
    // A checkpoint of other texts or another student is refused.
    let other = student(Some(LayerMap::Count(1)), Some(121));
    let error = Distillation::new(
        teacher().0,
        other,
        &texts(),
        Losses::STATES,
        config(),
        &device,
        Some(&checkpoint),
    );
    assert!(matches!(error, Err(DistillError::Train(crate::train::TrainError::Checkpoint(_)))));
}
