//! Host-side descriptions of kernels, generated from the shaders at build time and independent of the launch code.

/// One variant of a kernel in `shaders/`.
#[derive(Debug)]
pub struct Kernel {
    /// Unique name of the variant.
    pub name: &'static str,
    /// Name of the entry point and of the kernel's file.
    pub entry: &'static str,
    /// Invocations of a workgroup along x, y and z.
    pub workgroup: [u32; 3],
    /// For each storage buffer, by binding, whether the kernel writes it.
    pub written: &'static [bool],
    /// Named u32 constants of the shader.
    pub constants: &'static [(&'static str, u32)],
    /// WGSL extensions that a browser must enable for it.
    pub extensions: &'static [&'static str],
    /// The source, in parts that variants share.
    pub parts: &'static [&'static str],
}

impl Kernel {
    /// The complete WGSL source for wgpu's own compiler, naga.
    #[must_use]
    pub fn source(&self) -> String {
        self.parts.concat()
    }

    /// The complete WGSL source for a browser. Browsers require a line that enables subgroup operations; naga refuses
    /// that line and allows them without.
    #[must_use]
    pub fn browser_source(&self) -> String {
        let enable =
            if self.extensions.contains(&"subgroups") { "enable subgroups;\n" } else { "" };
        enable.to_owned() + &self.source()
    }

    /// A constant of the shader, such as the size of a tile.
    ///
    /// # Panics
    /// If the shader has no such constant, because launch code and shader disagree.
    #[must_use]
    pub fn constant(&self, name: &str) -> u32 {
        let found = self.constants.iter().find(|(constant, _)| *constant == name);
        found.unwrap_or_else(|| panic!("{} has no constant {name}", self.name)).1
    }
}

/// What a kernel is given, by name. Only benchmarks use it, so the wasm module does not have it.
#[derive(Debug)]
pub struct Interface {
    /// The kernel.
    pub entry: &'static str,
    /// Its storage buffers in binding order.
    pub buffers: &'static [&'static str],
    /// Its uniform parameters in order.
    pub params: &'static [&'static str],
}

/// The arguments of a launch: buffers and parameters by name.
pub trait Call<'a, T> {
    /// Entry point of the kernel for these arguments.
    const NAME: &'static str;
    /// The storage buffers in binding order.
    fn buffers(&self) -> Vec<&'a T>;
    /// The uniform parameters in order, floats by their bits.
    fn words(&self) -> Vec<u32>;
    /// Floating-point operations of a matrix product. 0 for other kernels, whose work is little.
    fn work(&self) -> f64 {
        0.0
    }
}

/// Maximum workgroups along one dimension of a dispatch, on every WebGPU device.
const MOST_GROUPS: u32 = 65_535;

/// Workgroups of a dispatch along x, y and z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups(pub [u32; 3]);

impl Groups {
    /// `count` workgroups, split into x and y if one dimension is too small. The kernel computes their index with
    /// `linear_group` and ignores those past its work.
    #[must_use]
    pub fn linear(count: u32) -> Self {
        if count <= MOST_GROUPS {
            return Self([count, 1, 1]);
        }
        let rows = count.div_ceil(MOST_GROUPS);
        Self([count.div_ceil(rows), rows, 1])
    }
}

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rows_of_workgroups_are_folded() {
        for count in [0, 1, 65_535, 65_536, 131_071, 10_000_000] {
            let Groups([x, y, z]) = Groups::linear(count);
            assert!(x <= MOST_GROUPS && y <= MOST_GROUPS && z == 1);
            assert!(x * y >= count && x * y - count < y, "{count}: {x} {y}");
        }
    }

    #[test]
    fn names_of_variants_are_unique_and_start_with_their_kernel() {
        let mut names: Vec<&str> = ALL.iter().map(|kernel| kernel.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(ALL.iter().all(|kernel| kernel.name.starts_with(kernel.entry)));
    }

    #[test]
    fn every_kernel_has_an_interface() {
        for kernel in ALL {
            let of = INTERFACES.iter().find(|interface| interface.entry == kernel.entry).unwrap();
            assert_eq!(of.buffers.len(), kernel.written.len(), "{}", kernel.name);
            assert_ne!(of.params.len(), 0, "{}", kernel.name);
        }
    }

    #[test]
    fn products_and_no_others_know_their_work() {
        let t = &();
        let product = linear::Arguments {
            x: t,
            w: t,
            bias: t,
            y: t,
            rows: 70_000,
            inputs: 3,
            outputs: 50_000,
            scales: 0,
        };
        assert_eq!(product.work(), 2.1e10);
        let other =
            lora_down::Arguments { x: t, factors: t, u: t, rows: 5, inputs: 3, stacked_rank: 8 };
        assert_eq!(other.work(), 0.0);
    }

    #[test]
    fn browsers_get_a_line_that_enables_subgroup_operations() {
        let with_line = ALL.iter().filter(|kernel| kernel.extensions.contains(&"subgroups"));
        assert_ne!(with_line.count(), 0);
        for kernel in ALL {
            // Comments are not part of the source.
            let line =
                if kernel.source().contains("subgroup") { "enable subgroups;\n" } else { "" };
            assert_eq!(kernel.browser_source(), line.to_owned() + &kernel.source());
        }
    }

    /// A changed axis in `shaders/variants.json` easily adds or removes more variants than intended.
    #[test]
    fn the_number_of_variants_is_known() {
        let of = |entry| ALL.iter().filter(|kernel| kernel.entry == entry).count();
        let with_axes = ALL.iter().filter(|kernel| of(kernel.entry) > 1);
        assert_eq!(with_axes.count(), 245);
        let some = ["linear", "linear_backward", "lora_linear", "lora_grads", "attention"];
        assert_eq!(some.map(of), [22, 18, 50, 8, 4]);
    }
}
