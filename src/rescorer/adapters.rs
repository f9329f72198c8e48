//! Adapters by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::adapter::{self, AdapterFiles, AdapterMeta, ReadOptions};
use crate::model::{Adapter, Method, TrainableTensors};
use crate::score::Weights;
use crate::text::Conventions;

use super::{Rescorer, RescorerError};

/// An adapter on the device of its [`Rescorer`].
#[derive(Clone, Debug)]
pub struct LoadedAdapter {
    /// Method, layout and parameters.
    pub adapter: Adapter,
    /// Weights of the score combination and other metadata.
    pub meta: AdapterMeta,
    pub(super) trainable: TrainableTensors,
}

impl Rescorer {
    /// Reads the two files of an adapter under a name, replacing one with the same name.
    ///
    /// # Errors
    /// [`RescorerError::Adapter`] for invalid files and for an adapter of another base; those of
    /// [`Rescorer::add_adapter`].
    pub fn read_adapter(&mut self, name: &str, files: &AdapterFiles) -> Result<(), RescorerError> {
        self.can_serve()?;
        let (adapter, meta) = adapter::read_with(files, self.base(), ReadOptions::default())?;
        meta.check_base(self.hash())?;
        self.add_adapter(name, adapter, meta)
    }

    /// Adds an adapter for this base, replacing one with the same name.
    ///
    /// # Errors
    /// [`RescorerError::Merged`]; [`RescorerError::Model`] if the device cannot store its parameters.
    pub fn add_adapter(
        &mut self,
        name: &str,
        adapter: Adapter,
        meta: AdapterMeta,
    ) -> Result<(), RescorerError> {
        self.can_serve()?;
        TrainableTensors::check(&adapter, &self.device())?;
        let trainable = TrainableTensors::new(self.base(), &adapter, &self.device());
        let loaded = LoadedAdapter { adapter, meta, trainable };
        self.adapters.insert(name.to_owned(), Arc::new(loaded));
        Ok(())
    }

    /// An untrained adapter for this base, to start training from. Methods that train tensors of the base
    /// start with [`Adapter::init_on`] instead, before the base is moved to a device.
    ///
    /// # Errors
    /// [`RescorerError::Model`] names the setting that does not fit the base.
    pub fn new_adapter(
        &self,
        method: impl Into<Method>,
        seed: u64,
    ) -> Result<Adapter, RescorerError> {
        Ok(Adapter::init(self.base(), method, seed)?)
    }

    /// Metadata of an adapter for this base.
    #[must_use]
    pub fn new_meta(&self) -> AdapterMeta {
        AdapterMeta {
            base_hash: Some(self.hash().to_owned()),
            base_name: self.name.clone(),
            ..AdapterMeta::default()
        }
    }

    /// Removes an adapter; `false` if there is none with this name.
    pub fn remove_adapter(&mut self, name: &str) -> bool {
        self.adapters.remove(name).is_some()
    }

    /// Removes all adapters.
    pub fn remove_adapters(&mut self) {
        self.adapters.clear();
    }

    /// The adapter with this name.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`] lists the loaded ones.
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

    /// Stores weights of the score combination in an adapter.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`].
    pub fn set_weights(&mut self, name: &str, weights: Weights) -> Result<(), RescorerError> {
        let mut loaded = self.adapter(name)?.clone();
        loaded.meta.weights = Some(weights);
        self.adapters.insert(name.to_owned(), Arc::new(loaded));
        Ok(())
    }

    /// Stores in an adapter how texts are compared.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`].
    pub fn set_conventions(
        &mut self,
        name: &str,
        conventions: Conventions,
    ) -> Result<(), RescorerError> {
        let mut loaded = self.adapter(name)?.clone();
        loaded.meta.conventions = conventions;
        self.adapters.insert(name.to_owned(), Arc::new(loaded));
        Ok(())
    }

    /// The two files of an adapter.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`], [`RescorerError::Adapter`] if a value is not finite.
    pub fn write_adapter(&self, name: &str) -> Result<AdapterFiles, RescorerError> {
        let loaded = self.adapter(name)?;
        Ok(adapter::write(&loaded.adapter, &loaded.meta)?)
    }

    /// Merges one adapter's low-rank terms into the base's weights, and drops the other adapters. Scoring is then as
    /// fast as without an adapter. Scores change only by rounding. Weights in f16 or int8 are not changed and keep
    /// separate terms.
    ///
    /// Consumes the rescorer, so that a device need not hold both versions; a clone would keep the original.
    ///
    /// # Errors
    /// [`RescorerError::UnknownAdapter`], and [`RescorerError::Merged`] if another one is already merged.
    pub fn merged(mut self, name: &str) -> Result<Self, RescorerError> {
        self.can_serve()?;
        let LoadedAdapter { adapter, meta, trainable } = self.adapter(name)?.clone();
        self.adapters.clear();
        let (encoder, trainable) = self.encoder.merged(trainable);
        let loaded = Arc::new(LoadedAdapter { adapter, meta, trainable });
        let adapters = BTreeMap::from([(name.to_owned(), loaded)]);
        Ok(Self { encoder, adapters, merged: true, ..self })
    }

    /// Rejects another adapter in addition to a merged one.
    pub(super) fn can_serve(&self) -> Result<(), RescorerError> {
        if self.merged { Err(RescorerError::Merged) } else { Ok(()) }
    }
}
