//! Records the operations that a pass runs, with their counted costs.
//!
//! While a [`Recording`] is open, every operation of the model, of its backward pass and of the optimiser is
//! recorded, on every device: the functions that the model calls and the backward steps go through `run`. An
//! operation's cost is computed from its arguments by the `cost.rs` of its folder.
//!
//! **Floating-point operations** are those of products, two for each multiplication with its addition: linear
//! layers, low-rank terms, the products of attention, the score head. A backward step counts the products of its
//! gradients. Recomputation within a kernel, to save memory, is not counted. Sums, exponentials and normalisations
//! are not counted either.
//!
//! **Bytes** are those of every tensor that an operation reads or writes, once: activations, weights, and what is
//! saved for the backward pass. All are f32 except the weights of linear layers, which may be f16, or int8 with
//! an f32 scale for each output. Repeated reads are not counted again, and caches are ignored.
//!
//! With T tokens, S sequences of lengths n, width H, a product `[R, K]` to `[R, O]`, and `b` adapted blocks of
//! `w` columns at rank r:
//!
//! ```text
//!                       floating-point operations        elements
//! linear                2 R K O                          R K + K O + O + R O,  + R O where GELU saves its input
//!   by its input        2 R K O                          R O + K O + R K,      + R K where x is the output of GELU
//!   low-rank term       2 R b r (K + w)                  b r (K + w),          + R b r where x A^T is saved
//!   by x through it     2 R K b r                        R b r + b r K
//!   by its factors      2 R b r (K + 2 w)                2 R b w + R K + 3 R b r + b r (K + 2 w),
//!                                                        + 2 K where x is n gamma + beta
//!   by its weight       2 R K O                          R O + R K + K O
//! attention             4 H sum n^2                      4 T H,                + T heads where saved
//!   backward            8 H sum n^2                      8 T H + T heads
//! attention of [CLS]    4 H T                            2 S H + 2 T H,        + S heads where saved
//!   backward            8 H T                            4 S H + 4 T H + S heads
//! residual, LayerNorm                                    3 R H + 2 H,          + R H + R where saved
//!   backward                                             3 R H + R + H
//! embedding                                              2 T H + min(T, positions) H + 3 H + 2 T
//! GELU, backward                                         2 R I,  3 R I
//! gated GELU, backward                                   3 R I,  5 R I
//! rotation, backward                                     6 T H,  6 T H
//! dropout, backward                                      2 R K,  2 R K
//! gather, scatter                                        2 S H,  S H + T H
//! sum of two gradients                                   3 R H
//! score head            2 S H                            S H + H + 1 + S
//!   backward            4 S H                            2 S H + 2 (H + 1) + S
//! loss, backward                                         4 S + 1,  2 S
//! correlation term      2 S H^2                          2 S H + 2 H + H^2 + 1
//!   backward            2 S H^2                          2 S H + 2 H + H^2 + 1
//! joined vectors                                         2 P
//! AdamW                                                  8 P
//! sum of squares                                         P
//! ```
//!
//! The gradient by the factors reads B twice and A once, and writes both gradients.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use burn::backend::autodiff::NodeId;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{Activations, Kernels};

/// Bytes of an f32.
const ELEMENT: u64 = 4;

/// Whether anything can be recorded. Not in the wasm module, which has no benchmark and must be small.
const AVAILABLE: bool = !cfg!(target_family = "wasm");

/// Counted work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: u64,
    /// Minimum number of bytes that must be moved.
    pub bytes: u64,
}

impl Cost {
    pub(in crate::ops) fn new(flops: usize, elements: usize) -> Self {
        Self { flops: flops as u64, bytes: ELEMENT * elements as u64 }
    }

    pub(in crate::ops) fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes: self.bytes + bytes as u64, ..self }
    }

    /// The cost of doing this `count` times.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        Self { flops: self.flops * count as u64, bytes: self.bytes * count as u64 }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { flops: self.flops + other.flops, bytes: self.bytes + other.bytes }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Self::add)
    }
}

/// An operation at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which operation.
    pub kind: &'static str,
    /// Its sizes, and what it saves.
    pub sizes: String,
    /// Its cost.
    pub cost: Cost,
    /// Whether a device that runs LoRB's kernels can also compose it of burn's own operations.
    pub composable: bool,
}

impl Operation {
    pub(in crate::ops) fn new(kind: &'static str, sizes: String, cost: Cost) -> Self {
        Self { kind, sizes, cost, composable: true }
    }

    /// Marks an operation that has only one implementation on a GPU.
    pub(in crate::ops) fn not_composable(self) -> Self {
        Self { composable: false, ..self }
    }

    /// Marks an operation that saves what its backward step needs.
    pub(in crate::ops) fn saving(mut self, saves: bool) -> Self {
        if saves {
            self.sizes += ", keeps";
        }
        self
    }
}

/// Kind and sizes.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.sizes.is_empty() || self.sizes.starts_with(',') { "" } else { " " };
        write!(f, "{}{gap}{}", self.kind, self.sizes)
    }
}

/// A tensor that is available once an operation has finished; reading it waits for the operation.
pub(crate) trait Sample {
    /// The tensor, as a matrix.
    fn sample(self) -> Tensor<2>;
}

/// One row.
fn row<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let len = tensor.shape().num_elements();
    B::float_reshape(tensor, Shape::new([1, len]))
}

impl Sample for CubeTensor {
    fn sample(self) -> Tensor<2> {
        Tensor::from_primitive::<CubeBackend>(row::<CubeBackend>(self))
    }
}

impl Sample for FlexTensor {
    fn sample(self) -> Tensor<2> {
        Tensor::from_primitive::<Flex>(row::<Flex>(self))
    }
}

impl Sample for Tensor<1> {
    fn sample(self) -> Tensor<2> {
        self.unsqueeze()
    }
}

impl Sample for Tensor<2> {
    fn sample(self) -> Tensor<2> {
        self
    }
}

impl Sample for Activations {
    fn sample(self) -> Tensor<2> {
        self.into_values()
    }
}

/// A backend whose tensors a recording can wait for.
pub(crate) trait Recorded: Backend<FloatTensorPrimitive: Sample> {}
impl<B: Backend<FloatTensorPrimitive: Sample>> Recorded for B {}

/// A recorded operation, and its number of runs.
pub struct Ran {
    /// Which, at which sizes.
    pub operation: Operation,
    /// How often.
    pub count: usize,
    again: Option<Box<dyn Fn() -> Tensor<2>>>,
}

impl Ran {
    /// Runs the operation again on the tensors that it was first run on. Returns a tensor that is available when it
    /// has finished; `None` if the recording did not keep the tensors.
    #[must_use]
    pub fn again(&self) -> Option<Tensor<2>> {
        self.again.as_ref().map(|again| again())
    }
}

#[derive(Default)]
struct State {
    ran: Vec<Ran>,
    /// Operations recorded so far.
    noted: usize,
    keep: bool,
    /// Within [`repeated`].
    paused: bool,
    /// Tensors that have a gradient.
    gradients: HashSet<NodeId>,
}

impl State {
    fn note(&mut self, operation: Operation, again: Option<Box<dyn Fn() -> Tensor<2>>>) {
        self.noted += 1;
        match self.ran.iter_mut().find(|ran| ran.operation == operation) {
            Some(ran) => ran.count += 1,
            None => self.ran.push(Ran { operation, count: 1, again }),
        }
    }
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Records the operations of this thread until it is dropped.
pub struct Recording(());

impl Recording {
    /// Starts recording. With `keep`, it keeps the tensors of the first run of each operation and size, so that
    /// it can be run again; they stay in memory.
    #[must_use]
    pub fn begin(keep: bool) -> Self {
        STATE.set(Some(State { keep, ..State::default() }));
        Self(())
    }

    /// The recorded operations, each size once, in the order of their first runs.
    #[must_use]
    pub fn end(self) -> Vec<Ran> {
        STATE.take().map_or_else(Vec::new, |state| state.ran)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        STATE.set(None);
    }
}

/// Runs `work` without counting it, because gradient checkpointing runs it again and counts it then.
pub fn repeated<T>(work: impl FnOnce() -> T) -> T {
    struct Resume(bool);
    impl Drop for Resume {
        fn drop(&mut self) {
            pause(self.0);
        }
    }
    let _resume = Resume(pause(true));
    work()
}

/// Sets whether recording is paused; returns whether it was.
fn pause(paused: bool) -> bool {
    STATE.with_borrow_mut(|state| {
        state.as_mut().is_some_and(|state| std::mem::replace(&mut state.paused, paused))
    })
}

/// Operations recorded so far and whether tensors are kept, if a recording is open.
fn recording() -> Option<(usize, bool)> {
    STATE.with_borrow(|state| {
        state.as_ref().filter(|state| !state.paused).map(|state| (state.noted, state.keep))
    })
}

/// Runs an operation, and records it if a recording is open. If it consists of other recorded operations, such
/// as the forward pass that a tracked tensor selects, only those are recorded.
pub(in crate::ops) fn run<A: Clone + 'static, R: Sample>(
    arguments: A,
    describe: impl FnOnce(&A) -> Operation,
    operation: impl Fn(A) -> R + 'static,
) -> R {
    if !AVAILABLE {
        return operation(arguments);
    }
    let Some((before, keep)) = recording() else { return operation(arguments) };
    let described = describe(&arguments);
    let kept = keep.then(|| arguments.clone());
    let result = operation(arguments);
    if recording().is_some_and(|(noted, _)| noted == before) {
        let again = kept.map(|arguments| -> Box<dyn Fn() -> Tensor<2>> {
            Box::new(move || operation(arguments.clone()).sample())
        });
        note(described, again);
    }
    result
}

fn note(operation: Operation, again: Option<Box<dyn Fn() -> Tensor<2>>>) {
    STATE.with_borrow_mut(|state| {
        if let Some(state) = state {
            state.note(operation, again);
        }
    });
}

/// Records that a gradient is registered for a tensor: a second one is added to the first.
pub(in crate::ops) fn gradient<B: Kernels>(of: NodeId, gradient: &FloatTensor<B>) {
    if !AVAILABLE {
        return;
    }
    let Some((_, keep)) = recording() else { return };
    let first = STATE
        .with_borrow_mut(|state| state.as_mut().is_none_or(|state| state.gradients.insert(of)));
    if first {
        return;
    }
    let shape = gradient.shape();
    let cost = Cost::new(0, 3 * shape.num_elements());
    let operation =
        Operation::new("sum of gradients", format!("[{}]", shape[0]), cost).not_composable();
    let again = keep.then(|| -> Box<dyn Fn() -> Tensor<2>> {
        let gradient = gradient.clone();
        Box::new(move || B::float_add(gradient.clone(), gradient.clone()).sample())
    });
    note(operation, again);
}
