//! A distillation from a teacher to the files of its student.

use burn::tensor::Device;

use super::corpus::Corpus;
use super::error::DistillError;
use super::imitation::Imitation;
use super::losses::Losses;
use super::student::{BaseBytes, Student, write_tensors};
use crate::base::{Base, HostTensor};
use crate::methods::Full;
use crate::model::{Adapter, Encoder, SCORE_HEAD, TrainableTensors};
use crate::train::{Prepared, TrainConfig, Trainer};

/// A run that trains a student.
#[derive(Debug)]
pub struct Distillation {
    /// The run, which advances message by message.
    pub trainer: Trainer<Imitation>,
    start: Adapter,
    files: BaseBytes,
}

impl Distillation {
    /// Prepares a run on texts. `checkpoint` is the state of an interrupted one.
    ///
    /// # Errors
    /// [`DistillError::Train`] names the invalid setting or part of the checkpoint, [`DistillError::NoText`],
    /// [`DistillError::Text`] and [`DistillError::Words`] the texts.
    pub fn new(
        teacher: Base,
        student: Student,
        texts: &[String],
        losses: Losses,
        config: TrainConfig,
        device: &Device,
        checkpoint: Option<&[u8]>,
    ) -> Result<Self, DistillError> {
        config.validate()?;
        let widths = [&student.base, &teacher].map(|base| base.config.hidden_size);
        if losses.of_states() && widths[0] != widths[1] {
            return Err(DistillError::Losses { losses, student: widths[0], teacher: widths[1] });
        }
        let Student { mut base, files, layers, vocabulary, .. } = student;
        let own = vocabulary.as_ref().map(|_| &base.tokenizer);
        // Fewer positions cut long texts earlier.
        let shorter = base.config.max_tokens() < teacher.config.max_tokens();
        let own = own.or_else(|| shorter.then_some(&base.tokenizer));
        let corpus = Corpus::new(texts, &teacher.tokenizer, own)?;
        let start = Adapter::init_on(&base.config, &base.weights, Full, config.seed)?;
        TrainableTensors::check(&start, device)?;
        let encoder = Encoder::new(&base.config, &mut base.weights, device)?;
        let Base { config: of_teacher, mut weights, hash, .. } = teacher;
        let teacher = Encoder::new(&of_teacher, &mut weights, device)?;
        let of_teacher = (teacher, &of_teacher, hash);
        let task = Imitation::new(of_teacher, layers, widths[0], losses, corpus);
        let inputs = Prepared {
            encoder,
            base: &base.config,
            base_hash: &base.hash,
            adapter: start.clone(),
            task,
        };
        let mut trainer = Trainer::prepared(inputs, config);
        if let Some(bytes) = checkpoint {
            trainer = trainer.continued(bytes)?;
        }
        Ok(Self { trainer, start, files })
    }

    /// The student's small files and its weights: the best so far, by the texts that are kept apart.
    ///
    /// # Errors
    /// [`DistillError::Train`] if the device fails before the first evaluation.
    pub async fn best(&self) -> Result<(&BaseBytes, Vec<u8>), DistillError> {
        let parameters = self.trainer.best_parameters().await?;
        let adapter = Adapter { parameters, ..self.start.clone() };
        let of_base = adapter.layout.slots().iter().filter(|slot| slot.module != SCORE_HEAD);
        let tensors: Vec<(String, HostTensor)> = of_base
            .map(|slot| {
                let tensor =
                    HostTensor { shape: slot.shape.clone(), data: adapter.values(slot).to_vec() };
                (format!("{}.{}", slot.module, slot.kind.0), tensor)
            })
            .collect();
        Ok((&self.files, write_tensors(&tensors)?))
    }
}
