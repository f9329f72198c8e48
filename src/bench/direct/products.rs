//! Times every variant of the matrix products, by the data that the build generates from the shaders.

use std::cell::RefCell;
use std::collections::HashMap;

use burn::tensor::wgpu::wgpu;

use super::{Bound, Direct, Program, Times};
use crate::base::BertConfig;
use crate::bench::error::BenchError;
use crate::bench::row::Row;
use crate::bench::timing::Clock;
use crate::ops::wgsl::kernel::{ALL, Groups, INTERFACES, Interface, Kernel};

/// The kernels of one tile per workgroup: forward and by the input, without and with a low-rank term.
const ENTRIES: [&str; 4] = ["linear", "linear_backward", "lora_linear", "lora_linear_backward"];

/// Precision whose variants are timed, as the start of what follows the kernel's name.
const PRECISION: &str = "_f32";

/// Marks an output block without a low-rank term.
const NO_SLOT: u32 = u32::MAX;

/// Fraction of a measurement's time for each variant and size.
const SHARE: f64 = 0.02;

/// A linear layer at a number of rows: `blocks` blocks of `width` outputs, each adapted at `rank`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) struct Product {
    pub rows: u32,
    pub inputs: u32,
    pub width: u32,
    pub blocks: u32,
    pub rank: u32,
}

impl Product {
    /// The layers of a base: the projections, the attention's output, and the two of the feed-forward part.
    pub fn of(base: &BertConfig, rows: u32, rank: u32) -> [Self; 4] {
        let (hidden, inner) = (base.hidden_size as u32, base.intermediate_size as u32);
        let layer = |inputs, width, blocks| Self { rows, inputs, width, blocks, rank };
        [
            layer(hidden, hidden, 3),
            layer(hidden, hidden, 1),
            layer(hidden, inner, 1),
            layer(inner, hidden, 1),
        ]
    }

    pub fn outputs(self) -> u32 {
        self.blocks * self.width
    }

    fn stacked_rank(self) -> u32 {
        self.blocks * self.rank
    }

    /// Operations of the product itself, without the low-rank term.
    fn flops(self) -> f64 {
        2.0 * f64::from(self.rows) * f64::from(self.inputs) * f64::from(self.outputs())
    }

    /// A uniform parameter by its name in the shaders.
    fn word(self, name: &str) -> Option<u32> {
        let slot = |block| if block < self.blocks { block } else { NO_SLOT };
        Some(match name {
            "rows" => self.rows,
            "inputs" => self.inputs,
            "outputs" => self.outputs(),
            // Of int8 weights.
            "scales" => 0,
            "width" => self.width,
            "rank" => self.rank,
            "adapted" => self.blocks,
            "slot_0" => slot(0),
            "slot_1" => slot(1),
            "slot_2" => slot(2),
            "scale" => 1f32.to_bits(),
            "stacked_rank" => self.stacked_rank(),
            // A gradient does not go past a GELU.
            "gelu" => 0,
            _ => return None,
        })
    }

    /// Floats of a buffer by its name in the shaders.
    fn elements(self, name: &str) -> Option<u64> {
        let [rows, inputs, outputs, rank] =
            [self.rows, self.inputs, self.outputs(), self.stacked_rank()].map(u64::from);
        Some(match name {
            "x" | "dx" => rows * inputs,
            "y" | "g" => rows * outputs,
            "w" => outputs * inputs,
            "bias" => outputs,
            "factors" => rank * inputs + outputs * u64::from(self.rank),
            "u" | "v" => rows * rank,
            // Not read without GELU.
            "pre" => 4,
            _ => return None,
        })
    }

    /// Whether a variant can compute this: what the launch code checks too.
    fn suits(self, kernel: &Kernel) -> bool {
        let extra = constant(kernel, "EXTRA").unwrap_or(0);
        // A fused low-rank term has at most eight columns per extra one, in whole tiles.
        extra == 0
            || self.rank <= 8 * extra
                && self.width.is_multiple_of(side(kernel, "TILE_COLUMNS").unwrap_or(1))
    }
}

/// The buffers of the products, for several sizes.
pub(in crate::bench) struct Products<'a> {
    direct: &'a Direct,
    /// For x and g.
    rows: wgpu::Buffer,
    /// For everything else that is only read.
    weights: wgpu::Buffer,
    /// For y and dx.
    written: wgpu::Buffer,
    /// For u, which some kernels write.
    low_rank: wgpu::Buffer,
    /// The compiled variants, by name.
    programs: RefCell<HashMap<&'static str, Program>>,
}

impl<'a> Products<'a> {
    /// Random inputs, large enough for all of `products`.
    pub async fn new(direct: &'a Direct, products: &[Product]) -> Result<Self, BenchError> {
        let most = |names: &[&str]| {
            let all =
                products.iter().flat_map(|p| names.iter().filter_map(|name| p.elements(name)));
            all.max().unwrap_or(4)
        };
        Ok(Self {
            direct,
            rows: direct.random(most(&["x", "g"]), -1.0, 1.0).await?,
            weights: direct
                .random(most(&["w", "bias", "factors", "v", "pre"]), -0.05, 0.05)
                .await?,
            written: direct.floats(most(&["y", "dx"])).await?,
            low_rank: direct.random(most(&["u"]), -0.05, 0.05).await?,
            programs: RefCell::default(),
        })
    }

    /// Whether the device can bind the largest tensor of a product.
    pub fn fits(direct: &Direct, product: Product) -> bool {
        let names = ["x", "y", "w", "u"];
        let most = names.iter().filter_map(|name| product.elements(name)).max();
        4 * most.unwrap_or(0) <= direct.largest()
    }

    /// Times every variant at one size, and passes each to `found`. `chosen` are the variants that LoRB uses there.
    pub async fn time(
        &self,
        clock: Clock<'_>,
        seconds: f64,
        product: Product,
        chosen: &dyn Fn(&str) -> bool,
        found: &mut dyn FnMut(Row),
    ) -> Result<(), BenchError> {
        for entry in ENTRIES {
            for kernel in variants(entry).filter(|kernel| product.suits(kernel)) {
                let row = match self.variant(clock, seconds * SHARE, kernel, product).await {
                    Ok(times) => Row::Product {
                        kernel: entry,
                        variant: kernel.name,
                        rows: product.rows,
                        inputs: product.inputs,
                        outputs: product.outputs(),
                        microseconds: 1e6 * times.host.seconds,
                        device_microseconds: times.device.map(|time| 1e6 * time.seconds),
                        gflop_s: product.flops() / times.best().seconds / 1e9,
                        chosen: chosen(kernel.name),
                    },
                    // A variant that a driver refuses must not hide the others.
                    Err(BenchError::Refused { what, error }) => {
                        Row::LeftOut { what: format!("{} ({what})", kernel.name), why: error }
                    }
                    Err(error) => return Err(error),
                };
                found(row);
            }
        }
        Ok(())
    }

    async fn variant(
        &self,
        clock: Clock<'_>,
        seconds: f64,
        kernel: &'static Kernel,
        product: Product,
    ) -> Result<Times, BenchError> {
        let bound = self.bound(kernel, product).await?;
        let times = self.direct.time(clock, seconds, &bound).await?;
        let values = self.direct.read(&self.written, 4)?;
        match values.iter().find(|value| !value.is_finite()) {
            Some(&value) => Err(BenchError::NotFinite { what: kernel.name, value }),
            None => Ok(times),
        }
    }

    async fn bound(&self, kernel: &'static Kernel, product: Product) -> Result<Bound, BenchError> {
        let Interface { buffers, params, .. } = interface(kernel.entry);
        let unknown = |name: &str| BenchError::Refused {
            what: kernel.name.to_owned(),
            error: format!("this benchmark has no value for {name}"),
        };
        let buffers: Vec<_> = buffers
            .iter()
            .map(|&name| match name {
                "x" | "g" => Ok((&self.rows, 0)),
                "w" | "bias" | "factors" | "v" | "pre" => Ok((&self.weights, 0)),
                "y" | "dx" => Ok((&self.written, 0)),
                "u" => Ok((&self.low_rank, 0)),
                other => Err(unknown(other)),
            })
            .collect::<Result<_, _>>()?;
        let words: Vec<u32> = params
            .iter()
            .map(|name| product.word(name).ok_or_else(|| unknown(name)))
            .collect::<Result<_, _>>()?;
        let backward = kernel.entry.ends_with("_backward");
        let columns = if backward { product.inputs } else { product.outputs() };
        let side = |name| side(kernel, name).ok_or_else(|| unknown(name));
        let tiles =
            product.rows.div_ceil(side("TILE_ROWS")?) * columns.div_ceil(side("TILE_COLUMNS")?);
        let Groups(groups) = Groups::linear(tiles);
        let known = self.programs.borrow().get(kernel.name).cloned();
        let program = match known {
            Some(program) => program,
            None => self.direct.program(kernel.entry, &kernel.source()).await?,
        };
        self.programs.borrow_mut().insert(kernel.name, program.clone());
        self.direct.bind(&program, &buffers, &words, groups).await
    }
}

/// The f32 variants of a kernel.
fn variants(entry: &'static str) -> impl Iterator<Item = &'static Kernel> {
    ALL.iter().copied().filter(move |kernel| {
        kernel.entry == entry && kernel.name[entry.len()..].starts_with(PRECISION)
    })
}

fn interface(entry: &str) -> &'static Interface {
    let found = INTERFACES.iter().find(|interface| interface.entry == entry);
    found.expect("the build lists every kernel")
}

fn constant(kernel: &Kernel, name: &str) -> Option<u32> {
    kernel.constants.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// Rows or columns of a tile; square tiles have one constant.
fn side(kernel: &Kernel, name: &str) -> Option<u32> {
    constant(kernel, name).or_else(|| constant(kernel, "TILE"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::direct;
    use super::*;
    use crate::bench::Shape;

    #[test]
    fn every_f32_variant_of_the_products_is_timed_and_has_a_rate() {
        let Some(direct) = direct() else { return };
        let product = Product { rows: 33, inputs: 64, width: 128, blocks: 1, rank: 8 };
        let mut rows = Vec::new();
        let start = std::time::Instant::now();
        let clock = || start.elapsed().as_secs_f64();
        pollster::block_on(async {
            let products = Products::new(&direct, &[product]).await.unwrap();
            let chosen = |name: &str| name.contains("small");
            products.time(&clock, 0.0, product, &chosen, &mut |row| rows.push(row)).await.unwrap();
        });
        let timed: BTreeSet<&str> = rows
            .iter()
            .map(|row| match row {
                Row::Product { variant, gflop_s, .. } => {
                    assert!(*gflop_s > 0.0);
                    *variant
                }
                other => panic!("{other:?}"),
            })
            .collect();
        let known: BTreeSet<&str> =
            ENTRIES.into_iter().flat_map(variants).map(|kernel| kernel.name).collect();
        assert_eq!(timed, known);
        assert!(timed.len() >= 16, "{timed:?}");
    }

    #[test]
    fn a_product_is_computed_at_its_place() {
        let Some(direct) = direct() else { return };
        let product = Product { rows: 5, inputs: 8, width: 12, blocks: 1, rank: 2 };
        pollster::block_on(async {
            let products = Products::new(&direct, &[product]).await.unwrap();
            let kernel = variants("linear").next().unwrap();
            let bound = products.bound(kernel, product).await.unwrap();
            direct.run(&bound, 1, None).await.unwrap();
            let x = direct.read(&products.rows, 60).unwrap();
            let w = direct.read(&products.weights, 96).unwrap();
            let y = direct.read(&products.written, 60).unwrap();
            for (i, value) in y.into_iter().enumerate() {
                let (row, column) = (i / 12, i % 12);
                let terms =
                    (0..8).map(|k| f64::from(x[row * 8 + k]) * f64::from(w[column * 8 + k]));
                // The bias is the start of the weights.
                let expected = terms.sum::<f64>() + f64::from(w[column]);
                assert!((f64::from(value) - expected).abs() < 1e-5, "{i}: {value} {expected}");
            }
        });
    }

    #[test]
    fn layers_are_those_of_the_base() {
        let layers = Product::of(&Shape::MiniLm.config(), 7, 8);
        let sizes = layers.map(|layer| (layer.inputs, layer.outputs()));
        assert_eq!(sizes, [(384, 1152), (384, 384), (384, 1536), (1536, 384)]);
        // A fused low-rank term needs whole tiles and a rank that fits.
        let fused = |rank, width| {
            let product = Product { rows: 1, inputs: 64, width, blocks: 1, rank };
            variants("lora_linear").filter(|kernel| product.suits(kernel)).count()
        };
        assert!(fused(8, 128) > fused(16, 128) && fused(16, 128) > fused(17, 128));
        assert_eq!(fused(17, 128), fused(8, 100));
    }
}
