//! The fuzz targets of LoRB, shared with `tests/fuzz`, for libFuzzer.

#[path = "../tests/mutate/mod.rs"]
pub mod mutate;
#[path = "../tests/fuzz/seeds.rs"]
pub mod seeds;
#[path = "../tests/fuzz/targets.rs"]
pub mod targets;

pub use libfuzzer_sys;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use targets::{TARGETS, Target};

/// The target of that name.
///
/// # Panics
/// If there is none.
pub fn find(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of that name")
}

/// Damages the first `size` bytes of `data`, knowing their format. Returns the new size, at most `max_size`.
///
/// Half of the changes are libFuzzer's own, which follow the coverage.
pub fn mutate(target: &Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    if seed.is_multiple_of(2) {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed.into());
    let damaged = mutate::damage(&mut random, target.form, &data[..size]);
    let size = damaged.len().min(max_size).min(data.len());
    data[..size].copy_from_slice(&damaged[..size]);
    size
}

/// The functions that libFuzzer calls, for the target of that name.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        use $crate::libfuzzer_sys;

        libfuzzer_sys::fuzz_target!(|data: &[u8]| ($crate::find($name).run)(data));

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate($crate::find($name), data, size, max_size, seed)
        });
    };
}
