//! Launches `rotate.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{Rotary, Turn, composed_rotate};
use crate::ops::places::Places;
use crate::ops::probe::Case;
use crate::ops::wgsl::kernel::rotate as shader;
use crate::ops::wgsl::kernel_or_composed;
use crate::ops::wgsl::launch::{by_block, count, dims, launch, same_shape};

impl Rotary for CubeBackend {
    fn rotate(qkv: FloatTensor<Self>, angles: FloatTensor<Self>, turn: Turn) -> FloatTensor<Self> {
        kernel_or_composed(
            (qkv, angles),
            |(qkv, angles)| run(&qkv, &angles, &turn),
            |(qkv, angles)| composed_rotate::<Self>(qkv, angles, &turn),
        )
    }
}

fn run(qkv: &CubeTensor, angles: &CubeTensor, turn: &Turn) -> CubeTensor {
    let ((_, columns), (positions, head)) = (dims(qkv), dims(angles));
    let (y, places) = (same_shape(qkv), turn.places.on(qkv));
    let call = shader::Arguments {
        qkv,
        angles,
        places: &places,
        y: &y,
        count: count(qkv),
        columns,
        positions,
        head,
        sign: if turn.back { -1.0 } else { 1.0 },
    };
    launch(shader::variant(), &call, by_block(shader::variant(), count(qkv)));
    y
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let (heads, head, rows) = (3, 6, 37);
    let places = Places::new((0..rows as u32).map(|row| row * 7 % 40));
    let qkv = ("queries, keys and values", [rows, 3 * heads * head], &["rotate"][..]);
    let name = format!("rotation, {rows} rows, {heads} heads of {head}");
    vec![Case::new(name, &["rotate"], &[qkv], move |source, i| {
        let angles = super::angles(40, head, 10_000.0, &source.device);
        super::rotate(i[0].clone(), &angles, &places, heads)
    })]
}
