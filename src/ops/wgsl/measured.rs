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
use crate::ops::record::repeated;

/// Another tile must be this much faster than the table's.
const LEAST_GAIN: f64 = 1.05;

/// Most seconds of measurement for a class, without compilation.
const MOST_SECONDS: f64 = 0.03;

/// Seconds of measurement for a tile: enough launches that waiting for them is a small part.
const ENOUGH_SECONDS: f64 = 0.003;

/// Least and most launches that are timed together.
const LAUNCHES: [usize; 2] = [5, 64];

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

/// Choices, with the device that they were measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTiles {
    /// Name, driver and graphics API of the adapter.
    pub adapter: String,
    /// Its choices.
    pub tiles: Tiles,
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
    adapter: String,
    tiles: Tiles,
    /// Absent if nothing is measured.
    clock: Option<Seconds>,
    /// Kernels whose results were compared with the CPU's, and whether they are right.
    checked: BTreeMap<&'static str, bool>,
}

static STATES: RwLock<Vec<State>> = RwLock::new(Vec::new());

/// Changes the state of a device whose adapter has a name. Uses no device: it may be lost.
fn change<T>(device: &Device, of: impl FnOnce(&mut State) -> T) -> Option<T> {
    let device = device.clone().inner();
    let mut all = STATES.write().unwrap_or_else(PoisonError::into_inner);
    all.iter_mut().find(|state| state.device == device).map(of)
}

/// Names the adapter of a device, so that choices are not used on another one. Nothing on the CPU path.
pub fn name_adapter(device: &Device, adapter: &str) {
    let Some(cube) = cube_device(device) else { return };
    let (device, adapter) = (device.clone().inner(), adapter.to_owned());
    let (tiles, checked) = (Tiles::default(), BTreeMap::new());
    let mut all = STATES.write().unwrap_or_else(PoisonError::into_inner);
    all.retain(|state| state.cube != cube);
    all.push(State { cube, device, adapter, tiles, clock: None, checked });
}

/// From now on, the first launch of a class of products on this GPU measures its tiles, and the result is used for the
/// class. Not on software adapters, whose tiles were measured once.
pub fn measure_tiles(device: &Device, clock: Seconds) {
    if tuned_for(device).processor == Processor::Gpu {
        change(device, |state| state.clock = Some(clock));
    }
}

/// Uses choices that were measured before; the table has the other classes. Returns false if they are of another adapter
/// and are not used.
pub fn use_tiles(device: &Device, choices: DeviceTiles) -> bool {
    let DeviceTiles { adapter, tiles } = choices;
    let used = change(device, |state| {
        let same = state.adapter == adapter;
        if same {
            state.tiles.0.extend(tiles.0);
        }
        same
    });
    used == Some(true)
}

/// The choices of a device whose adapter has a name.
#[must_use]
pub fn tiles_of(device: &Device) -> Option<DeviceTiles> {
    change(device, |state| DeviceTiles {
        adapter: state.adapter.clone(),
        tiles: state.tiles.clone(),
    })
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
    let right = |tile| {
        let Some(kernel) = of(tile) else { return false };
        let known = change(&device, |state| state.checked.get(kernel.name).copied()).flatten();
        known.unwrap_or_else(|| {
            let right = repeated(|| passes(&device, kernel.name));
            change(&device, |state| state.checked.insert(kernel.name, right));
            right
        })
    };
    let most = (MOST_SECONDS / (candidates.len() + 1) as f64).min(ENOUGH_SECONDS);
    let time = |tile| {
        seconds_of(like, clock, most, || {
            launch(of(tile)?);
            Some(())
        })
    };
    let best = fastest(table, candidates, time, right);
    change(&device, |state| state.tiles.0.insert(class, best));
    best
}

/// Seconds of a launch, measured for about `most` seconds. `None` if it cannot be launched, or if the device fails.
fn seconds_of(
    like: &CubeTensor,
    clock: Seconds,
    most: f64,
    launch: impl Fn() -> Option<()>,
) -> Option<f64> {
    let run = |count: usize| {
        let start = clock();
        (0..count).try_for_each(|_| launch())?;
        let waited = read_sync(like.client.sync());
        waited.ok().map(|()| clock() - start)
    };
    // The first launch compiles the kernel.
    run(1)?;
    let each = run(1)?;
    if each > most {
        return Some(each);
    }
    let [least, largest] = LAUNCHES;
    let count = ((most / each.max(1e-9)) as usize).clamp(least, largest);
    Some(run(count)? / count as f64)
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
    use std::cell::Cell;

    use burn::tensor::Tensor;
    use burn_cubecl::CubeBackend;

    use super::*;
    use crate::ops::tests::device::gpu;

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

    #[test]
    fn choices_of_another_adapter_are_not_used() {
        let Some(device) = gpu() else { return };
        name_adapter(&device, "one");
        let choices = |adapter: &str, product| {
            let tiles = Tiles(BTreeMap::from([(class(product), Tile::T128x64)]));
            DeviceTiles { adapter: adapter.to_owned(), tiles }
        };
        // Of products that no test launches.
        assert!(use_tiles(&device, choices("one", "a")));
        assert!(!use_tiles(&device, choices("another", "b")));
        let of = tiles_of(&device).expect("it has a name");
        assert_eq!(of, choices("one", "a"));
        assert_eq!(tiles_of(&device.clone().autodiff()).as_ref(), Some(&of));
        name_adapter(&Device::flex(), "one");
        assert!(tiles_of(&Device::flex()).is_none() && !use_tiles(&Device::flex(), of));
        name_adapter(&device, "two");
        assert!(tiles_of(&device).is_some_and(|of| of.tiles.is_empty()));
    }

    #[test]
    fn launches_are_timed_together() {
        let Some(device) = gpu() else { return };
        let x = Tensor::<2>::zeros([4, 4], &device);
        let Ok(like) = x.try_into_primitive::<CubeBackend>() else {
            panic!("a tensor of another backend")
        };
        thread_local! {
            static NOW: Cell<f64> = const { Cell::new(0.0) };
        }
        let timed = |each: f64| {
            let count = Cell::new(0);
            let launch = || {
                count.set(count.get() + 1);
                NOW.set(NOW.get() + each);
                Some(())
            };
            let seconds = seconds_of(&like, || NOW.get(), 0.003, launch).expect("a working device");
            assert!((seconds - each).abs() < 1e-6, "{seconds} {each}");
            count.get()
        };
        // One to compile, one to estimate, and as many as fit.
        assert_eq!(timed(0.004), 2);
        assert_eq!(timed(0.001), 2 + LAUNCHES[0]);
        assert!([31, 32].contains(&timed(0.0001)));
        assert_eq!(timed(0.000_001), 2 + LAUNCHES[1]);
        assert_eq!(seconds_of(&like, || NOW.get(), 0.003, || None), None);
    }

    #[test]
    fn kernels_are_checked_by_the_probe() {
        let Some(device) = gpu() else { return };
        assert!(passes(&device, "linear_f32_128x64") && !passes(&device, "no kernel"));
    }
}
