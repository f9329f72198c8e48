//! What is known of GPUs by vendor, and the tiles of their products: the default table.
//!
//! The table is from published measurements of WebGPU matrix products and from the registers that the tiles need. **No
//! GPU has confirmed it yet.**

use super::kernel::Tile;

/// Who designed a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// NVIDIA.
    Nvidia,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
    /// Apple.
    Apple,
    /// ARM: Mali and Immortalis.
    Arm,
    /// Qualcomm: Adreno.
    Qualcomm,
    /// Any other, or not reported.
    Unknown,
}

/// Where a GPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On a card of its own.
    Discrete,
    /// In the processor.
    Integrated,
    /// Not reported, as in a browser.
    Unknown,
}

/// A vendor's GPUs.
struct Gpus {
    vendor: Vendor,
    /// Part of an adapter's name, or of the vendor's name in a browser, in lower case.
    names: &'static [&'static str],
    /// Identifiers of the vendor: of PCI, or those that its drivers report.
    ids: &'static [u32],
    /// Typical number of compute units (streaming multiprocessors, cores, subslices) of a discrete GPU, of an integrated
    /// one, and of one that may be either. No graphics API reports the number of a given GPU.
    units: [u32; 3],
    tiles: &'static [Preference],
}

/// A tile for large enough outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct Preference {
    pub tile: Tile,
    /// Least number of tiles in an output, per compute unit.
    pub least: u32,
}

const fn from(least: u32, tile: Tile) -> Preference {
    Preference { tile, least }
}

/// Never by default: only a candidate for measurements.
const fn measured(tile: Tile) -> Preference {
    Preference { tile, least: u32::MAX }
}

/// The tile for all outputs that are too small for the others.
pub(in crate::ops) const SMALLEST: Tile = Tile::T32x32;

/// In the order of preference. An operation without a variant of a tile takes the next one that it has.
const GPUS: [Gpus; 7] = [
    Gpus {
        vendor: Vendor::Nvidia,
        names: &["nvidia", "geforce"],
        ids: &[0x10de],
        units: [48, 16, 48],
        tiles: &[
            from(8, Tile::T128x64),
            from(2, Tile::T64x64By256),
            from(3, Tile::T64x64By128),
            measured(Tile::T64x64By64),
        ],
    },
    Gpus {
        vendor: Vendor::Amd,
        names: &["amd", "radeon"],
        ids: &[0x1002, 0x1022],
        units: [48, 12, 24],
        tiles: &[from(3, Tile::T64x64By128), measured(Tile::T64x64By64)],
    },
    // Few registers: 4 by 4 sums for an invocation.
    Gpus {
        vendor: Vendor::Intel,
        names: &["intel"],
        ids: &[0x8086],
        units: [28, 8, 8],
        tiles: &[from(8, Tile::T32x64)],
    },
    Gpus {
        vendor: Vendor::Apple,
        names: &["apple"],
        ids: &[0x106b],
        units: [10, 10, 10],
        tiles: &[from(2, Tile::T64x64By256), from(2, Tile::T32x64), from(3, Tile::T64x64By128)],
    },
    // Few registers, and workgroup memory is ordinary memory.
    Gpus {
        vendor: Vendor::Arm,
        names: &["mali", "immortalis", "arm"],
        ids: &[0x13b5],
        units: [8, 8, 8],
        tiles: &[],
    },
    Gpus {
        vendor: Vendor::Qualcomm,
        names: &["adreno", "qualcomm"],
        ids: &[0x5143, 0x4d4f_4351],
        units: [6, 6, 6],
        tiles: &[],
    },
    // Few registers too, but enough reuse for large GPUs.
    Gpus {
        vendor: Vendor::Unknown,
        names: &[],
        ids: &[],
        units: [48, 12, 16],
        tiles: &[from(4, Tile::T64x64By256), from(4, Tile::T64x64By128)],
    },
];

impl Vendor {
    /// The vendor of an adapter with this identifier, 0 if not reported, and this name. In a browser, the name is the
    /// vendor's.
    #[must_use]
    pub fn of(id: u32, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let by_id = GPUS.iter().find(|gpus| gpus.ids.contains(&id));
        let named = |gpus: &&Gpus| gpus.names.iter().any(|part| name.contains(part));
        by_id.or_else(|| GPUS.iter().find(named)).map_or(Self::Unknown, |gpus| gpus.vendor)
    }

    fn gpus(self) -> &'static Gpus {
        GPUS.iter().find(|gpus| gpus.vendor == self).expect("every vendor is in the table")
    }

    /// Typical number of compute units.
    pub(in crate::ops) fn units(self, placement: Placement) -> u32 {
        let [discrete, integrated, either] = self.gpus().units;
        match placement {
            Placement::Discrete => discrete,
            Placement::Integrated => integrated,
            Placement::Unknown => either,
        }
    }

    /// Tiles in the order of preference, without the one for all other outputs.
    pub(in crate::ops) fn tiles(self) -> &'static [Preference] {
        self.gpus().tiles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_are_recognised_by_identifier_and_by_name() {
        for (id, name, expected) in [
            (0x10de, "NVIDIA GeForce RTX 4060", Vendor::Nvidia),
            (0, "nvidia", Vendor::Nvidia),
            (0x1002, "AMD Radeon RX 7900 XT (RADV NAVI31)", Vendor::Amd),
            (0x8086, "Intel(R) Iris(R) Xe Graphics", Vendor::Intel),
            // Metal reports no identifier.
            (0, "Apple M2", Vendor::Apple),
            (0, "AMD Radeon Pro 5500M", Vendor::Amd),
            (0, "arm", Vendor::Arm),
            (0x5143, "Adreno (TM) 740", Vendor::Qualcomm),
            (0x1_0005, "llvmpipe (LLVM 15.0.6, 256 bits)", Vendor::Unknown),
            (0, "", Vendor::Unknown),
        ] {
            assert_eq!(Vendor::of(id, name), expected, "{id:#x} {name}");
        }
    }

    #[test]
    fn every_vendor_has_units_and_tiles_for_gpus() {
        for gpus in &GPUS {
            assert_eq!(gpus.vendor.gpus().vendor, gpus.vendor);
            assert!(gpus.units.iter().all(|units| *units > 0));
            for Preference { tile, least } in gpus.tiles {
                assert!(*least > 0 && ![Tile::Any, Tile::T128x128].contains(tile), "{tile:?}");
                assert_ne!(*tile, SMALLEST);
            }
        }
    }
}
