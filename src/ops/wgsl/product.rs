//! Shared by the launch code of matrix products: tiles and variants.

use burn_cubecl::tensor::CubeTensor;

use super::kernel::{Groups, Kernel, Tile};
use super::launch::{aligned, empty};
use super::tuning::{Processor, tuning};

/// Below this number of 64 by 64 tiles, smaller tiles occupy more of a GPU.
const FEW_TILES: u32 = 64;

/// Cost of a 128 by 128 tile on a software adapter, in tiles of 64 by 64: 2.3, measured on llvmpipe. It replaces four
/// of the small ones, unless it is partly outside the output.
const WIDE_TILE_COST: f32 = 2.3;

impl Tile {
    /// The tile for an output of these sizes. `quads`: whether everything is divisible by four and starts at quads.
    pub fn choose(processor: Processor, quads: bool, rows: u32, columns: u32) -> Self {
        let tiles = |size| rows.div_ceil(size) * columns.div_ceil(size);
        match processor {
            _ if !quads => Self::Any,
            Processor::Gpu if tiles(64) < FEW_TILES => Self::Small,
            Processor::Gpu => Self::Large,
            Processor::Software if tiles(128) as f32 * WIDE_TILE_COST < tiles(64) as f32 => {
                Self::Wide
            }
            Processor::Software => Self::Large,
        }
    }
}

/// The tile of a product without low-rank term, for an output on the device of `like`.
pub(in crate::ops) fn tile(quads: bool, [rows, columns]: [u32; 2], like: &CubeTensor) -> Tile {
    Tile::choose(tuning(like).processor, quads, rows, columns)
}

/// One workgroup per tile of the output.
pub(in crate::ops) fn tiles(kernel: &Kernel, rows: u32, columns: u32) -> Groups {
    let tile = kernel.constant("TILE");
    Groups::linear(rows.div_ceil(tile) * columns.div_ceil(tile))
}

/// Whether sizes are divisible by four and the tensors start at quads.
pub(in crate::ops) fn in_quads(sizes: &[u32], tensors: &[&CubeTensor]) -> bool {
    sizes.iter().all(|size| size.is_multiple_of(4)) && tensors.iter().all(|tensor| aligned(tensor))
}

/// Saved activations of a layer with an activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) enum Keep {
    /// None: only the output is needed.
    Nothing,
    /// The input of the activation.
    Before,
}

impl Keep {
    /// Memory for saved activations; the minimum bindable size if there are none.
    pub fn memory(self, rows: u32, outputs: u32, like: &CubeTensor) -> CubeTensor {
        match self {
            Self::Nothing => empty([1, 4], like),
            Self::Before => empty([rows as usize, outputs as usize], like),
        }
    }

    pub fn flag(self) -> u32 {
        u32::from(self == Self::Before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_depend_on_device_and_output() {
        let choose = |processor, rows, columns| Tile::choose(processor, true, rows, columns);
        assert_eq!(choose(Processor::Gpu, 30, 1536), Tile::Small);
        assert_eq!(choose(Processor::Gpu, 4096, 384), Tile::Large);
        assert_eq!(choose(Processor::Software, 30, 1536), Tile::Large);
        assert_eq!(choose(Processor::Software, 100, 384), Tile::Wide);
        assert_eq!(choose(Processor::Software, 600, 1536), Tile::Wide);
        for processor in [Processor::Gpu, Processor::Software] {
            assert_eq!(Tile::choose(processor, false, 4096, 4096), Tile::Any);
        }
    }
}
