//! Shared by the launch code of matrix products: tiles and variants.

use std::fmt;

use burn_cubecl::tensor::CubeTensor;

use super::kernel::{Call, Groups, Kernel, Tile};
use super::launch::{aligned, empty, launch};
#[cfg(not(target_family = "wasm"))]
use super::measured::{self, ProductClass};
#[cfg(not(target_family = "wasm"))]
use super::tuning::pinned;
use super::tuning::{Processor, Tuning, tuning};
use super::vendor::SMALLEST;

/// Cost of a 128 by 128 tile on a software adapter, in tiles of 64 by 64: 2.3, measured on llvmpipe. It replaces four
/// of the small ones, unless it is partly outside the output.
const WIDE_TILE_COST: f32 = 2.3;

/// Rows, columns and threads.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("of any sizes"),
            tile => write!(f, "{}x{}/{}", tile.rows(), tile.columns(), tile.threads()),
        }
    }
}

impl Tile {
    /// Number of tiles of an output of this many rows and columns.
    #[must_use]
    pub fn count(self, [rows, columns]: [u32; 2]) -> u32 {
        rows.div_ceil(self.rows()) * columns.div_ceil(self.columns())
    }

    /// The tile for an output of this many rows and columns, one of those that `exist` if any does. `quads`: whether
    /// everything is divisible by four and starts at quads.
    pub(in crate::ops) fn choose(
        tuning: Tuning,
        quads: bool,
        output: [u32; 2],
        exists: impl Fn(Self) -> bool,
    ) -> Option<Self> {
        let first = |mut all: Vec<Self>| {
            all.retain(|tile| exists(*tile));
            all.first().copied()
        };
        if !quads {
            return first(vec![Self::Any]);
        }
        if let Some(tile) = tuning.tile.filter(|tile| exists(*tile)) {
            return Some(tile);
        }
        let (wide, small) = (Self::T128x128, Self::T64x64By64);
        first(match tuning.processor {
            // The last two are for products that have no others.
            Processor::Software
                if wide.count(output) as f32 * WIDE_TILE_COST < small.count(output) as f32 =>
            {
                vec![wide, small, Self::T64x64By128, SMALLEST]
            }
            Processor::Software => vec![small, Self::T64x64By128, SMALLEST],
            Processor::Gpu => {
                let units = tuning.vendor.units(tuning.placement);
                let fills = |least: u32, tile: Self| {
                    u64::from(tile.count(output)) >= u64::from(least) * u64::from(units)
                };
                let large = tuning.vendor.tiles().iter();
                let large = large.filter(|large| fills(large.least, large.tile));
                large.map(|large| large.tile).chain([SMALLEST]).collect()
            }
        })
    }
}

/// A product to launch.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Product {
    /// Whether everything is divisible by four and starts at quads.
    pub quads: bool,
    /// Rows of the output.
    pub rows: u32,
    /// Terms of every sum.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "tiles are measured natively"))]
    pub inner: u32,
    /// Columns of the output.
    pub columns: u32,
    /// Whether the sums are over the rows of a batch, whose number varies.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "tiles are measured natively"))]
    pub over_rows: bool,
}

impl Product {
    /// Launches the variant with the tile for the arguments' device; `of` gives the variant with a tile, if there is one.
    pub fn launch<'a, C: Call<'a, CubeTensor>>(
        self,
        of: impl Fn(Tile) -> Option<&'static Kernel>,
        call: &C,
    ) {
        let Self { quads, rows, columns, .. } = self;
        let like = call.buffers()[0];
        let tuning = tuning(like);
        let exists = |tile| of(tile).is_some();
        let tile = Tile::choose(tuning, quads, [rows, columns], exists);
        let tile = tile.expect("every product has variants for any sizes and for quads");
        let run = |kernel: &'static Kernel| launch(kernel, call, tiles(kernel, rows, columns));
        #[cfg(not(target_family = "wasm"))]
        let tile = match of(SMALLEST) {
            Some(smallest) if quads && !pinned() => {
                let preferred = tuning.vendor.tiles().iter().map(|known| known.tile);
                let all: Vec<Tile> =
                    preferred.chain([SMALLEST]).filter(|tile| exists(*tile)).collect();
                measured::tile(like, self.class(smallest), tile, &all, &of, run)
            }
            _ => tile,
        };
        run(of(tile).expect("a tile is chosen only if the variant exists"));
    }

    /// The products with which this one shares its choice of tile; `smallest` is its variant with that tile.
    #[cfg(not(target_family = "wasm"))]
    fn class(self, smallest: &Kernel) -> ProductClass {
        let Self { rows, inner, columns, over_rows, .. } = self;
        let product = smallest.name.trim_end_matches("_32x32").into();
        let inner = if over_rows { inner.next_power_of_two() } else { inner };
        let rows = if over_rows { rows } else { rows.next_power_of_two() };
        ProductClass { product, rows, inner, columns }
    }
}

/// One workgroup per tile of the output.
pub(in crate::ops) fn tiles(kernel: &Kernel, rows: u32, columns: u32) -> Groups {
    let [of_rows, of_columns] = ["TILE_ROWS", "TILE_COLUMNS"].map(|name| kernel.constant(name));
    Groups::linear(rows.div_ceil(of_rows) * columns.div_ceil(of_columns))
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
    use super::super::vendor::{Placement, Vendor};
    use super::*;

    /// The tile of a product that has all variants.
    fn choose(tuning: Tuning, rows: u32, columns: u32) -> Tile {
        Tile::choose(tuning, true, [rows, columns], |_| true).expect("all exist")
    }

    #[test]
    fn tiles_depend_on_device_and_output() {
        assert_eq!(choose(Tuning::GPU, 30, 1536), Tile::T32x32);
        assert_eq!(choose(Tuning::GPU, 4096, 384), Tile::T64x64By256);
        assert_eq!(choose(Tuning::SOFTWARE, 30, 1536), Tile::T64x64By64);
        assert_eq!(choose(Tuning::SOFTWARE, 100, 384), Tile::T128x128);
        assert_eq!(choose(Tuning::SOFTWARE, 600, 1536), Tile::T128x128);
        let of = |vendor| Tuning { vendor, placement: Placement::Unknown, ..Tuning::GPU };
        assert_eq!(choose(of(Vendor::Nvidia), 4096, 384), Tile::T64x64By256);
        assert_eq!(choose(of(Vendor::Nvidia), 4096, 1536), Tile::T128x64);
        assert_eq!(choose(of(Vendor::Amd), 4096, 384), Tile::T64x64By128);
        assert_eq!(choose(of(Vendor::Intel), 4096, 384), Tile::T32x64);
        assert_eq!(choose(of(Vendor::Arm), 4096, 4096), Tile::T32x32);
        // An output that fills a small GPU does not fill a large one.
        let apple = Tuning { placement: Placement::Integrated, ..of(Vendor::Apple) };
        assert_eq!(choose(apple, 256, 384), Tile::T64x64By256);
        assert_eq!(choose(of(Vendor::Nvidia), 256, 384), Tile::T32x32);
    }

    #[test]
    fn tiles_exist_or_there_is_none() {
        for processor in [Processor::Gpu, Processor::Software] {
            for tile in [None, Some(Tile::T32x64)] {
                let tuning = Tuning { processor, tile, ..Tuning::GPU };
                let of = |quads, exists: &dyn Fn(Tile) -> bool| {
                    Tile::choose(tuning, quads, [4096, 4096], exists)
                };
                assert_eq!(of(false, &|_| true), Some(Tile::Any));
                assert_eq!(of(false, &|tile| tile != Tile::Any), None);
                assert_eq!(of(true, &|_| false), None);
                assert_eq!(of(true, &|_| true), tile.or(of(true, &|other| Some(other) != tile)));
            }
        }
        // The next one that exists.
        let reduced = |tile: Tile| [Tile::T64x64By128, Tile::T32x32].contains(&tile);
        let amount = |rows| Tile::choose(Tuning::GPU, true, [rows, 384], reduced);
        assert_eq!(amount(4096), Some(Tile::T64x64By128));
        assert_eq!(amount(64), Some(Tile::T32x32));
    }
}
