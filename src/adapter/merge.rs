//! Merges an adapter into its base.

use super::AdapterMeta;
use super::meta::settings_hash;
use crate::base::Base;
use crate::digest::sha256;
use crate::methods::Head;
use crate::model::{Adapter, ModelError, SCORE_HEAD, merge_into_base};

/// Merges an adapter into its base, in f32 on the host, and returns what a base has no place for: the score head, as an
/// adapter of the method [`Head`] with the same weights of the combination. Scores change only by rounding.
///
/// The base has another hash from then on, which depends on both: an adapter of the original would score differently on
/// it, so it must not fit.
///
/// # Errors
/// [`ModelError::NotMergeable`] for a method that does more than change the base's weights, such as a prefix; the base is
/// then not usable any more. [`ModelError::Base`] if a tensor was taken before.
pub fn merge(
    base: &mut Base,
    adapter: &Adapter,
    meta: &AdapterMeta,
) -> Result<(Adapter, AdapterMeta), ModelError> {
    merge_into_base(&base.config, &mut base.weights, adapter)?;
    let parameters: Vec<u8> = adapter.parameters.iter().flat_map(|v| v.to_le_bytes()).collect();
    let merged = format!("{} {}", settings_hash(adapter), sha256(parameters));
    base.hash = sha256(format!("{}, merged with {merged}", base.hash));
    let head = adapter.layout.slots().iter().filter(|slot| slot.module == SCORE_HEAD);
    let head = head.flat_map(|slot| adapter.values(slot).to_vec()).collect();
    let head = Adapter::from_parameters(&base.config, Head, head)?;
    let meta = AdapterMeta { base_hash: Some(base.hash.clone()), base_name: None, ..meta.clone() };
    Ok((head, meta))
}
