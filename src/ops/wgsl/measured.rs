//! Tiles of products chosen by measurement; not in browsers.
//!
//! The table of [`vendor`](super::vendor) is a guess. On request, the first launch of a class of products times the
//! tiles of the vendor with the arguments of that launch, which every launch overwrites with the same result. A tile that
//! is not the table's is used only if it is clearly faster and its kernel passes the probe. The choices are a value that
//! the caller can store: with the same choices, a run uses the same kernels.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use burn::tensor::{Device, read_sync};
use burn_cubecl::CubeDevice;
use burn_cubecl::tensor::CubeTensor;
use serde::{Deserialize, Serialize};

use super::emptied;
use super::kernel::{Kernel, Tile};
use super::tuning::{Processor, cube_device, tuned_for};
use crate::ops::probe::passes;

/// Another tile must be this much faster than the table's.
const LEAST_GAIN: f64 = 1.05;

/// Most seconds of measurement for a class, without compilation.
const MOST_SECONDS: f64 = 0.03;

/// Most seconds for a tile: enough launches that waiting for them is a small part.
const ENOUGH_SECONDS: f64 = 0.003;

/// Launches that are timed together.
const LAUNCHES: [f64; 2] = [5.0, 64.0];

/// Products that share a choice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProductClass {
    /// The kernel with its variant, but for the tile.
    pub product: Cow<'static, str>,
    /// Rows of the output, rounded up to a power of two.
    pub rows: u32,
    /// Terms of every sum; rounded up like the rows if they are the rows of a batch.
    pub inner: u32,
    /// Columns of the output.
    pub columns: u32,
}

/// Choices of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Choice>", into = "Vec<Choice>")]
pub struct Tiles(BTreeMap<ProductClass, Tile>);

/// One of them, as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct Choice {
    #[serde(flatten)]
    class: ProductClass,
    tile: String,
}

/// A stored choice is not one of this version's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no tile is called {0:?}")]
pub struct UnknownTile(String);

impl TryFrom<Vec<Choice>> for Tiles {
    type Error = UnknownTile;

    fn try_from(choices: Vec<Choice>) -> Result<Self, UnknownTile> {
        let tile = |name: String| {
            let found = Tile::ALL.into_iter().find(|tile| tile.to_string() == name);
            found.ok_or(UnknownTile(name))
        };
        let pairs = choices.into_iter().map(|choice| Ok((choice.class, tile(choice.tile)?)));
        pairs.collect::<Result<_, _>>().map(Self)
    }
}

impl From<Tiles> for Vec<Choice> {
    fn from(tiles: Tiles) -> Self {
        let choice = |(class, tile): (_, Tile)| Choice { class, tile: tile.to_string() };
        tiles.0.into_iter().map(choice).collect()
    }
}

impl Tiles {
    /// Whether there are no choices.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of choices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Seconds since any fixed moment.
pub type Seconds = fn() -> f64;

/// What is known of a device.
struct State {
    cube: CubeDevice,
    device: Device,
    tiles: Tiles,
    /// Absent if nothing is measured.
    clock: Option<Seconds>,
    /// Kernels whose results were compared with the CPU's, and whether they are right.
    checked: BTreeMap<&'static str, bool>,
}

static STATES: RwLock<Vec<State>> = RwLock::new(Vec::new());

/// Changes the state of a device. Nothing on the CPU path.
fn change<T>(device: &Device, of: impl FnOnce(&mut State) -> T) -> Option<T> {
    let cube = cube_device(device)?;
    let mut all = STATES.write().unwrap_or_else(PoisonError::into_inner);
    let at = all.iter().position(|state| state.cube == cube).unwrap_or_else(|| {
        let (device, tiles, checked) = (device.clone().inner(), Tiles::default(), BTreeMap::new());
        all.push(State { cube, device, tiles, clock: None, checked });
        all.len() - 1
    });
    Some(of(&mut all[at]))
}

/// From now on, the first launch of a class of products on this GPU measures its tiles, and the result is used for the
/// class. Not on software adapters, whose tiles were measured once.
pub fn measure_tiles(device: &Device, clock: Seconds) {
    if tuned_for(device).processor == Processor::Gpu {
        change(device, |state| state.clock = Some(clock));
    }
}

/// Replaces a device's choices. The table has the other classes.
pub fn set_tiles(device: &Device, tiles: Tiles) {
    change(device, |state| state.tiles = tiles);
}

/// A device's choices.
#[must_use]
pub fn tiles_of(device: &Device) -> Tiles {
    change(device, |state| state.tiles.clone()).unwrap_or_default()
}

/// The tile for a class, or the measurement to do first.
enum Known {
    Tile(Tile),
    Nothing,
    Measure(Device, Seconds),
}

fn known(cube: &CubeDevice, class: &ProductClass) -> Known {
    let all = STATES.read().unwrap_or_else(PoisonError::into_inner);
    let Some(state) = all.iter().find(|state| state.cube == *cube) else { return Known::Nothing };
    match (state.tiles.0.get(class), state.clock) {
        (Some(tile), _) => Known::Tile(*tile),
        (None, Some(clock)) => Known::Measure(state.device.clone(), clock),
        (None, None) => Known::Nothing,
    }
}

/// The tile of a product on the device of `like`. `table` is the default's, `candidates` are those worth a measurement,
/// and `launch` launches the product with a tile.
pub(super) fn tile(
    like: &CubeTensor,
    class: ProductClass,
    table: Tile,
    candidates: &[Tile],
    of: impl Fn(Tile) -> Option<&'static Kernel>,
    launch: impl Fn(&'static Kernel),
) -> Tile {
    let (device, clock) = match known(&like.device, &class) {
        Known::Tile(tile) => return if of(tile).is_some() { tile } else { table },
        Known::Measure(device, clock) if !emptied() => (device, clock),
        Known::Nothing | Known::Measure(..) => return table,
    };
    let wait = || read_sync(like.client.sync()).is_ok();
    let time = |tile| {
        let kernel = of(tile)?;
        let run = |count: u32| {
            let start = clock();
            (0..count).for_each(|_| launch(kernel));
            wait().then(|| clock() - start)
        };
        // The first launch compiles the kernel.
        run(1)?;
        let each = run(1)?;
        let most = (MOST_SECONDS / (candidates.len() + 1) as f64).min(ENOUGH_SECONDS);
        let count = (most / each.max(1e-9)).clamp(LAUNCHES[0], LAUNCHES[1]);
        if count * each > MOST_SECONDS {
            Some(each)
        } else {
            Some(run(count as u32)? / count.floor())
        }
    };
    let right = |tile| {
        let Some(kernel) = of(tile) else { return false };
        let known = change(&device, |state| state.checked.get(kernel.name).copied()).flatten();
        known.unwrap_or_else(|| {
            let right = passes(&device, kernel.name);
            change(&device, |state| state.checked.insert(kernel.name, right));
            right
        })
    };
    let best = fastest(table, candidates, time, right);
    change(&device, |state| state.tiles.0.insert(class, best));
    best
}

/// The fastest of the candidates that are right, if it is clearly faster than the table's.
fn fastest(
    table: Tile,
    candidates: &[Tile],
    mut time: impl FnMut(Tile) -> Option<f64>,
    right: impl Fn(Tile) -> bool,
) -> Tile {
    let Some(least) = time(table) else { return table };
    let mut faster: Vec<(f64, Tile)> = candidates
        .iter()
        .filter(|tile| **tile != table)
        .filter_map(|tile| Some((time(*tile)?, *tile)))
        .filter(|(seconds, _)| seconds * LEAST_GAIN < least)
        .collect();
    faster.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    faster.into_iter().map(|(_, tile)| tile).find(|tile| right(*tile)).unwrap_or(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANDIDATES: [Tile; 3] = [Tile::T64x64By256, Tile::T128x64, Tile::T32x32];

    fn class(product: &'static str) -> ProductClass {
        ProductClass { product: product.into(), rows: 4096, inner: 384, columns: 1536 }
    }

    #[test]
    fn a_clearly_faster_tile_that_is_right_wins() {
        let pick = |seconds: [f64; 3], right: &dyn Fn(Tile) -> bool| {
            let time = |tile| {
                let at = CANDIDATES.iter().position(|known| *known == tile)?;
                Some(seconds[at])
            };
            fastest(Tile::T64x64By256, &CANDIDATES, time, right)
        };
        let all: &dyn Fn(Tile) -> bool = &|_| true;
        assert_eq!(pick([1.0, 0.9, 0.8], all), Tile::T32x32);
        assert_eq!(pick([1.0, 0.8, 0.9], all), Tile::T128x64);
        // By less than 5 %.
        assert_eq!(pick([1.0, 0.96, 0.97], all), Tile::T64x64By256);
        // The fastest is wrong, so the next one.
        assert_eq!(pick([1.0, 0.9, 0.8], &|tile| tile != Tile::T32x32), Tile::T128x64);
        assert_eq!(pick([1.0, 0.9, 0.8], &|_| false), Tile::T64x64By256);
        // The device failed.
        assert_eq!(fastest(Tile::T128x64, &CANDIDATES, |_| None, all), Tile::T128x64);
    }

    #[test]
    fn choices_survive_a_file_and_unknown_tiles_are_refused() {
        let mut tiles = Tiles::default();
        tiles.0.insert(class("linear_f32"), Tile::T128x64);
        tiles.0.insert(class("lora_linear_f32_fused8"), Tile::T64x64By128);
        let text = serde_json::to_string(&tiles).expect("serialisable");
        assert!(text.contains(r#""product":"linear_f32","rows":4096"#), "{text}");
        assert!(text.contains(r#""tile":"128x64/256""#), "{text}");
        assert_eq!(serde_json::from_str::<Tiles>(&text).expect("the same"), tiles);
        let unknown = serde_json::from_str::<Tiles>(&text.replace("128x64", "999x64"));
        let error = unknown.expect_err("unknown").to_string();
        assert!(error.contains(r#"no tile is called "999x64/256""#), "{error}");
    }
}
