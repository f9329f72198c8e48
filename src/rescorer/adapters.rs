//! Adapters by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::adapter::{self, AdapterFiles, AdapterMeta, ReadOptions};
use crate::model::{Adapter, Method, TrainableTensors};
use crate::score::Weights;

use super::{Rescorer, RescorerError};

/// An adapter on the device of its [`Rescorer`].
#[derive(Clone, Debug)]
pub struct LoadedAdapter {
    /// Method, layout and parameters.
    pub adapter: Adapter,
    /// Weights of the combination and what else travels with it.
    pub meta: AdapterMeta,
    pub(super) trainable: TrainableTensors,
}

impl Rescorer {
    /// Reads the two files of an adapter under a name, in place of one of the same name.
    ///
    /// # Errors
    /// [`RescorerError::Adapter`] for unsound files and for an adapter of another base,
    /// [`RescorerError::Merged`].
    pub fn read_adapter(&mut self, name: &str, files: &AdapterFiles) -> Result<(), RescorerError> {
        self.can_serve()?;
        let (adapter, meta) = adapter::read_with(files, self.base(), ReadOptions::default())?;
        meta.check_base(self.hash())?;
        self.add_adapter(name, adapter, meta)
    }

    /// Adds an adapter that was made for this base, in place of one of the same name.
    ///
    /// # Errors
    /// [`RescorerError::Merged`].
    pub fn add_adapter(
        &mut self,
        name: &str,
        adapter: Adapter,
        meta: AdapterMeta,
    ) -> Result<(), RescorerError> {
        self.can_serve()?;
        let trainable = TrainableTensors::new(self.base(), &adapter, &self.device());
        let loaded = LoadedAdapter { adapter, meta, trainable };
        self.adapters.insert(name.to_owned(), Arc::new(loaded));
        Ok(())
    }

    /// An untrained adapter for this base, to start training from. Methods that train tensors of the base
    /// start with [`Adapter::init_on`] instead, before the base is moved to a device.
    ///
    /// # Errors
    /// [`RescorerError::Model`] names the setting that does not suit the base.
    pub fn new_adapter(
        &self,
        method: impl Into<Method>,
        seed: u64,
    ) -> Result<Adapter, RescorerError> {
        Ok(Adapter::init(self.base(), method, seed)?)
    }

    /// What an adapter made for this base states of it.
    #[must_use]
    pub fn new_meta(&self) -> AdapterMeta {
        AdapterMeta {
            base_hash: Some(self.hash().to_owned()),
            base_name: self.name.clone(),
            ..AdapterMeta::default()
        }
    }

    /// Forgets an adapter; `false` where none has the name.
    pub fn remove_adapter(&mut self, name: &str) -> bool {
        self.adapters.remove(name).is_some()
    }

    /// Forgets all adapters.
    pub fn remove_adapters(&mut self) {
        self.adapters.clear();
    }

    /// The adapter of this name.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`] lists those that are loaded.
    pub fn adapter(&self, name: &str) -> Result<&LoadedAdapter, RescorerError> {
        self.adapters.get(name).map(Arc::as_ref).ok_or_else(|| RescorerError::UnknownAdapter {
            name: name.to_owned(),
            loaded: self.adapters.keys().cloned().collect(),
        })
    }

    /// All adapters by name, in order.
    pub fn adapters(&self) -> impl Iterator<Item = (&str, &LoadedAdapter)> {
        self.adapters.iter().map(|(name, loaded)| (name.as_str(), loaded.as_ref()))
    }

    /// Stores weights of the combination with an adapter.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`].
    pub fn set_weights(&mut self, name: &str, weights: Weights) -> Result<(), RescorerError> {
        let mut loaded = self.adapter(name)?.clone();
        loaded.meta.weights = Some(weights);
        self.adapters.insert(name.to_owned(), Arc::new(loaded));
        Ok(())
    }

    /// The two files of an adapter.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`], [`RescorerError::Adapter`] when a value is not finite.
    pub fn write_adapter(&self, name: &str) -> Result<AdapterFiles, RescorerError> {
        let loaded = self.adapter(name)?;
        Ok(adapter::write(&loaded.adapter, &loaded.meta)?)
    }

    /// Adds one adapter's low-rank terms to the base's weights, and drops the others: scoring then takes no
    /// longer than with the bare base. Scores change by rounding only. Weights in fewer bits stay as they
    /// are, with the terms beside them.
    ///
    /// The rescorer is taken, so that a device need not hold both; a clone of it still would.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`], and [`RescorerError::Merged`] where another one is merged already.
    pub fn merged(mut self, name: &str) -> Result<Self, RescorerError> {
        self.can_serve()?;
        let LoadedAdapter { adapter, meta, trainable } = self.adapter(name)?.clone();
        self.adapters.clear();
        let (encoder, trainable) = self.encoder.merged(trainable);
        let loaded = Arc::new(LoadedAdapter { adapter, meta, trainable });
        let adapters = BTreeMap::from([(name.to_owned(), loaded)]);
        Ok(Self { encoder, adapters, merged: true, ..self })
    }

    /// Refuses another adapter beside a merged one.
    pub(super) fn can_serve(&self) -> Result<(), RescorerError> {
        if self.merged { Err(RescorerError::Merged) } else { Ok(()) }
    }
}
