//! The cases: sizes, and the kernels that each of them reaches.
//!
//! Launch code picks a variant by the sizes. For every variant there is a case here that makes it
//! pick that one; a test holds the list to the shaders.

use burn::tensor::{Int, Tensor, TensorData};

use super::compare::{RELATIVE, RELATIVE_F16};
use super::inputs::{Source, segments};
use super::training::training;
use crate::ops::wgsl::kernel::ALL;
use crate::ops::wgsl::{Extensions, Tuning};
use crate::ops::{self, Activation, LoraPlan, Precision, Rows, Segments, Storage, Weights};

const EPSILON: f32 = 1e-12;
const ACTIVATIONS: [Activation; 2] = [Activation::Identity, Activation::Gelu];

/// What a case gives to compare.
pub(super) struct CaseResult {
    pub name: String,
    pub kernels: Vec<&'static str>,
}

/// One operation at one size.
pub(super) struct Case {
    pub name: String,
    /// Whether it runs whenever a GPU is opened.
    pub quick: bool,
    /// Whether the inputs' gradients are computed.
    pub tracked: bool,
    /// What the kernels that it names are made for. It runs only where such are.
    pub tuning: Tuning,
    /// Of all numbers that are drawn.
    pub seed: u64,
    /// Shapes of the inputs.
    pub inputs: Vec<[usize; 2]>,
    /// Inputs are drawn from between this and its negative.
    pub spread: f32,
    /// The output, then the gradients of the inputs if they are tracked.
    pub results: Vec<CaseResult>,
    pub operation: Operation,
}

/// Draws what is frozen and computes the output.
type Operation = Box<dyn Fn(&mut Source, &[Tensor<2>]) -> Tensor<2>>;

type Kernels<'a> = &'a [&'static str];

impl Case {
    /// Inputs by name, shape, and the kernels of their gradients.
    pub fn new(
        name: String,
        output: Kernels<'_>,
        inputs: &[(&str, [usize; 2], Kernels<'_>)],
        operation: impl Fn(&mut Source, &[Tensor<2>]) -> Tensor<2> + 'static,
    ) -> Self {
        let result =
            |name: String, kernels: Kernels<'_>| CaseResult { name, kernels: kernels.to_vec() };
        let gradients = inputs
            .iter()
            .map(|(input, _, kernels)| result(format!("gradient by {input}"), kernels));
        let output = result("output".to_owned(), output);
        Self {
            name,
            quick: false,
            tracked: !inputs.is_empty(),
            tuning: Tuning::GPU,
            seed: 0,
            inputs: inputs.iter().map(|(_, shape, _)| *shape).collect(),
            spread: 1.0,
            results: std::iter::once(output).chain(gradients).collect(),
            operation: Box::new(operation),
        }
    }

    /// Only the output, as rescoring computes it, which may take another kernel.
    fn without_gradients(mut self) -> Self {
        self.tracked = false;
        self.results.truncate(1);
        self
    }

    /// The case with the kernels of software rasterisers.
    fn software(mut self) -> Self {
        self.tuning = Tuning::SOFTWARE;
        self.renamed("wide")
    }

    /// How far from the CPU's its results may be, relative to the largest element.
    pub fn relative(&self) -> f64 {
        if self.tuning.extensions.cooperative_matrices { RELATIVE_F16 } else { RELATIVE }
    }

    fn renamed(mut self, more: &str) -> Self {
        self.name = format!("{}, {more}", self.name);
        self
    }

    /// The case with the kernels of a GPU that has these extensions.
    fn extended(mut self, extensions: Extensions, name: &str) -> Self {
        self.tuning = Tuning { extensions, ..Tuning::GPU };
        self.renamed(name)
    }

    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    let mut all = vec![
        embed([31, 32], "embed_layer_norm_wide"),
        embed([513, 33], "embed_layer_norm").quick(),
    ];
    all.extend(linears());
    all.extend(low_rank());
    for (rows, few) in [(33, "_few"), (133, "")] {
        all.extend(computed_again([rows, 31, 17], "", few));
        all.extend(computed_again([rows, 36, 20], "_vec4_small", &format!("_vec4{few}")));
    }
    all.extend(attentions());
    all.extend(rows());
    all.extend(subgroups());
    all.extend(training());
    all
}

fn embed([rows, width]: [usize; 2], kernel: &'static str) -> Case {
    let name = format!("embed_layer_norm, {rows} tokens of {width}");
    Case::new(name, &[kernel], &[], move |source, _| {
        let tables = [[19, width], [7, width], [2, width]].map(|shape| source.tensor(shape));
        let (gamma, beta) = (source.tensor([width]), source.tensor([width]));
        let ids: Vec<i32> =
            [19, 7].iter().flat_map(|m| (0..rows as i32).map(move |i| i * 5 % m)).collect();
        let ids = TensorData::new(ids, [2 * rows]);
        let ids = Tensor::<1, Int>::from_data(ids, &source.device);
        ops::embed_layer_norm(tables.each_ref(), &gamma, &beta, ids, EPSILON)
    })
}

/// How the frozen weights of a linear layer may be stored.
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Int8];

/// The variant of this name.
fn kernel(name: &str) -> &'static str {
    let found = ALL.iter().find(|kernel| kernel.name == name);
    found.unwrap_or_else(|| panic!("the cases name {name}, which is no kernel")).name
}

/// A linear layer's kernel, by activation, storage of the weight, and tile.
fn tiled(entry: &str, activation: Activation, precision: Precision, tile: &str) -> &'static str {
    let gelu = if activation == Activation::Gelu { "_gelu" } else { "" };
    kernel(&format!("{entry}{gelu}_{precision}{tile}"))
}

/// `forward` and `backward` are the endings of the variants' names.
fn linear(
    [rows, inputs, outputs]: [usize; 3],
    activation: Activation,
    precision: Precision,
    [forward, backward]: [&str; 2],
) -> Case {
    let forward = tiled("linear", activation, precision, forward);
    let mut of_x = vec![tiled("linear_backward", Activation::Identity, precision, backward)];
    if activation == Activation::Gelu {
        of_x.insert(0, "gelu_backward");
    }
    let name = format!("linear {activation:?} {precision}, {rows} by {inputs} to {outputs}");
    Case::new(name, &[forward], &[("x", [rows, inputs], &of_x)], move |source, i| {
        let w = source.weights([outputs, inputs], precision);
        let bias = source.tensor([outputs]);
        ops::linear(i[0].clone(), &w, &bias, activation).into_values()
    })
}

/// A linear layer whose weight and bias are trained too.
fn trained([rows, inputs, outputs]: [usize; 3], [tile, grad]: [&str; 2]) -> Case {
    let f32 = Precision::F32;
    let forward = tiled("linear", Activation::Gelu, f32, tile);
    let of_x = ["gelu_backward", tiled("linear_backward", Activation::Identity, f32, tile)];
    let of_w = ["gelu_backward", kernel(grad)];
    let name = format!("linear that is trained, {rows} by {inputs} to {outputs}");
    let tracked: [(&str, [usize; 2], Kernels<'_>); 3] = [
        ("x", [rows, inputs], &of_x),
        ("the weight", [1, outputs * inputs], &of_w),
        ("the bias", [1, outputs], &of_w[..1]),
    ];
    Case::new(name, &[forward], &tracked, move |_, i| {
        let w = Weights {
            words: i[1].clone().flatten(0, 1),
            storage: Storage { outputs, inputs, precision: f32 },
        };
        let bias = i[2].clone().flatten(0, 1);
        ops::linear(i[0].clone(), &w, &bias, Activation::Gelu).into_values()
    })
}

/// Any sizes; sizes that divide by four, with few tiles; the same with many tiles in the output, and
/// in output and gradient; and the tiles of software. Last, without what the gradient needs.
fn linears() -> Vec<Case> {
    let mut all = Vec::new();
    for f in ACTIVATIONS {
        for p in PRECISIONS {
            all.push(linear([17, 31, 33], f, p, [""; 2]));
            all.push(linear([65, 68, 132], f, p, ["_vec4_small"; 2]));
            let many = linear([4096, 128, 128], f, p, ["_vec4"; 2]);
            let default = f == Activation::Gelu && p == Precision::F32;
            all.push(if default { many.quick() } else { many });
            let wide = linear([196, 260, 196], f, p, ["_vec4_wide"; 2]).software();
            all.push(if default { wide.quick() } else { wide });
        }
    }
    all.push(trained([17, 31, 33], ["", "linear_weight_grad"]));
    all.push(trained([9, 68, 132], ["_vec4_small", "linear_weight_grad_vec4_small"]));
    all.push(trained([5, 516, 520], ["_vec4_small", "linear_weight_grad_vec4"]));
    let extensions = Extensions { cooperative_matrices: true, ..Extensions::NONE };
    for f in ACTIVATIONS {
        for p in PRECISIONS {
            let mut case = linear([67, 100, 132], f, p, ["_vec4_small"; 2]).without_gradients();
            case.results[0].kernels = vec![tiled("linear_cooperative", f, p, "")];
            let case = case.extended(extensions, "cooperative");
            let default = f == Activation::Gelu && p == Precision::F32;
            all.push(if default { case.quick() } else { case });
        }
    }
    let alone = linear([19, 32, 36], Activation::Gelu, Precision::F32, ["_vec4_small"; 2]);
    all.push(alone.without_gradients());
    all
}

/// `forward`, `backward` and `grads` are the endings of the variants' names, of output, gradient by x
/// and gradient by the factors. The product `x A^T` is a kernel of its own where it is not fused.
struct LowRank {
    rows: usize,
    inputs: usize,
    blocks: usize,
    plan: LoraPlan,
    forward: &'static str,
    backward: &'static str,
    grads: &'static str,
}

impl LowRank {
    fn case(&self, activation: Activation, precision: Precision) -> Case {
        let &Self { rows, inputs, blocks, ref plan, forward, backward, grads } = self;
        let mut output = vec![tiled("lora_linear", activation, precision, forward)];
        if !forward.contains("fused") {
            output.insert(0, "lora_down");
        }
        let mut of_factors = vec!["lora_up_backward"];
        if activation == Activation::Gelu {
            of_factors.insert(0, "gelu_backward");
        }
        let mut of_x = of_factors.clone();
        of_x.push(tiled("lora_linear_backward", Activation::Identity, precision, backward));
        of_factors.push(kernel(&format!("lora_grads{grads}")));
        let outputs = blocks * plan.width;
        let factors = plan.stacked_rank() * inputs + plan.up_len();
        let name = format!(
            "lora_linear {activation:?} {precision}, {rows} by {inputs} to {blocks} blocks of {}, rank {} on {:?}",
            plan.width, plan.rank, plan.adapted
        );
        let tracked: [(&str, [usize; 2], Kernels<'_>); 2] =
            [("x", [rows, inputs], &of_x), ("the factors", [1, factors], &of_factors)];
        let plan = plan.clone();
        Case::new(name, &output, &tracked, move |source, i| {
            let w = source.weights([outputs, inputs], precision);
            let bias = source.tensor([outputs]);
            let factors = i[1].clone().flatten(0, 1);
            ops::lora_linear(i[0].clone(), &w, &bias, &factors, &plan, activation).into_values()
        })
    }
}

fn low_rank() -> Vec<Case> {
    let plan = |adapted: &[usize], width, rank| LoraPlan {
        adapted: adapted.to_vec(),
        width,
        rank,
        scale: 0.5,
    };
    // Any sizes; then sizes that divide by four, and of those widths of whole tiles with a rank that
    // fits a tile, where `x A^T` is fused. Last the many tiles, in the output and in the gradient.
    let any = LowRank {
        rows: 33,
        inputs: 31,
        blocks: 3,
        plan: plan(&[0, 2], 17, 3),
        forward: "",
        backward: "",
        grads: "_few",
    };
    let any_rows = LowRank { rows: 133, plan: plan(&[0, 2], 17, 3), grads: "", ..any };
    let quads = LowRank {
        rows: 66,
        inputs: 36,
        plan: plan(&[1], 20, 4),
        forward: "_vec4_small",
        backward: "_vec4_small",
        grads: "_vec4_few",
        ..any
    };
    let fused8 =
        LowRank { rows: 70, plan: plan(&[0, 1, 2], 64, 8), forward: "_fused8_vec4_small", ..quads };
    let fused16 = LowRank { plan: plan(&[0, 2], 64, 16), forward: "_fused16_vec4_small", ..fused8 };
    let many = LowRank {
        rows: 512,
        inputs: 24,
        blocks: 1,
        plan: plan(&[0], 1028, 8),
        forward: "_vec4",
        grads: "_vec4",
        ..quads
    };
    let many16 = LowRank { plan: plan(&[0], 1024, 16), forward: "_fused16_vec4", ..many };
    let many8 = LowRank {
        rows: 4096,
        inputs: 128,
        plan: plan(&[0], 128, 8),
        forward: "_fused8_vec4",
        backward: "_vec4",
        ..many16
    };
    let wide = LowRank {
        rows: 130,
        inputs: 260,
        blocks: 3,
        plan: plan(&[0, 2], 68, 5),
        forward: "_vec4_wide",
        backward: "_vec4_wide",
        ..many
    };
    let wide8 = LowRank { plan: plan(&[0, 2], 128, 8), forward: "_fused8_vec4_wide", ..wide };
    let wide16 = LowRank { plan: plan(&[1], 128, 11), forward: "_fused16_vec4_wide", ..wide };
    let mut all = Vec::new();
    for f in ACTIVATIONS {
        for p in PRECISIONS {
            let sizes = [&any, &any_rows, &quads, &fused8, &fused16, &many, &many16];
            all.extend(sizes.map(|size| size.case(f, p)));
            let most = many8.case(f, p);
            let default = f == Activation::Identity && p == Precision::F32;
            all.push(if default { most.quick() } else { most });
            all.extend([&wide, &wide8, &wide16].map(|size| size.case(f, p).software()));
        }
    }
    let alone = LowRank { rows: 19, ..fused8 };
    all.push(alone.case(Activation::Gelu, Precision::F32).without_gradients());
    all
}

/// An adapted layer behind one with GELU, and one behind a normalisation: neither keeps its input, so
/// the gradient by the factors computes it again. `tile` and `grads` are endings of the variants' names.
fn computed_again([rows, inputs, outputs]: [usize; 3], tile: &str, grads: &str) -> [Case; 2] {
    let f32 = Precision::F32;
    let plain = |entry| tiled(entry, Activation::Identity, f32, tile);
    let plan = LoraPlan { adapted: vec![0], width: outputs, rank: 4, scale: 0.5 };
    let factors = [1, plan.rank * (inputs + outputs)];
    let name = |of: &str| format!("lora_linear of {of}, {rows} by {inputs} to {outputs}");
    let second = move |source: &mut Source, x: Rows, factors: &Tensor<2>| {
        let (w, bias) = (source.weights([outputs, inputs], f32), source.tensor([outputs]));
        let factors = factors.clone().flatten(0, 1);
        ops::lora_linear(x, &w, &bias, &factors, &plan, Activation::Identity).into_values()
    };
    let adapted = ["lora_down", plain("lora_linear")];
    let by_factors = |entry: &str| ["lora_up_backward", kernel(&format!("{entry}{grads}"))];
    let by_input = ["lora_up_backward", plain("lora_linear_backward")];

    let of_x = [&by_input[..], &["gelu_backward", plain("linear_backward")]].concat();
    let output = [&[tiled("linear", Activation::Gelu, f32, tile)][..], &adapted].concat();
    let tracked: [(&str, [usize; 2], Kernels<'_>); 2] =
        [("x", [rows, inputs], &of_x), ("the factors", factors, &by_factors("lora_grads_gelu"))];
    let next = second.clone();
    let of_gelu = Case::new(name("a GELU"), &output, &tracked, move |source, i| {
        let (w, bias) = (source.weights([inputs, inputs], f32), source.tensor([inputs]));
        let x = ops::linear(i[0].clone(), &w, &bias, Activation::Gelu);
        next(source, x, &i[1])
    });

    let of_x = [&by_input[..], &["add_layer_norm_backward_wide"]].concat();
    let output = [&["add_layer_norm_wide"][..], &adapted].concat();
    let tracked: [(&str, [usize; 2], Kernels<'_>); 3] = [
        ("x", [rows, inputs], &of_x),
        ("the factors", factors, &by_factors("lora_grads_scaled")),
        ("the residual", [rows, inputs], &of_x),
    ];
    let of_norm = Case::new(name("a normalisation"), &output, &tracked, move |source, i| {
        let (gamma, beta) = (source.tensor([inputs]), source.tensor([inputs]));
        let x = ops::add_layer_norm(i[0].clone(), i[2].clone(), &gamma, &beta, EPSILON);
        second(source, x, &i[1])
    });
    [of_gelu, of_norm]
}

/// Heads, their width, and the kernels that it takes: two forward and two backward, of all rows and
/// of `[CLS]` alone.
struct Attention {
    heads: usize,
    head: usize,
    kernels: [&'static str; 4],
}

impl Attention {
    fn whole(&self, segments: &Segments) -> Case {
        let &Self { heads, head, kernels: [forward, backward, ..] } = self;
        let (segments, rows) = (segments.clone(), segments.rows());
        let name = format!("attention, {heads} heads of {head} over {rows} tokens");
        let qkv =
            ("queries, keys and values", [rows, 3 * heads * head], &[backward] as Kernels<'_>);
        Case::new(name, &[forward], &[qkv], move |_, i| {
            ops::attention(i[0].clone(), &segments, heads)
        })
    }

    fn cls(&self, segments: &Segments) -> Case {
        let &Self { heads, head, kernels: [.., forward, backward] } = self;
        let (segments, rows, width) = (segments.clone(), segments.rows(), heads * head);
        let name = format!("attention_cls, {heads} heads of {head} over {rows} tokens");
        let backward: Kernels<'_> = &[backward];
        let inputs = [
            ("queries", [segments.len(), width], backward),
            ("keys and values", [rows, 2 * width], backward),
        ];
        Case::new(name, &[forward], &inputs, move |_, i| {
            ops::attention_cls(i[0].clone(), i[1].clone(), &segments, heads)
        })
    }
}

/// The four kernels of one suffix.
macro_rules! by_head {
    ($heads:literal, $head:literal, $suffix:literal) => {
        Attention {
            heads: $heads,
            head: $head,
            kernels: [
                concat!("attention_", $suffix),
                concat!("attention_backward_", $suffix),
                concat!("attention_cls_", $suffix),
                concat!("attention_cls_backward_", $suffix),
            ],
        }
    };
}

fn attentions() -> Vec<Case> {
    // A sequence longer than the keys that any variant holds at once, and one of a single token.
    let segments = segments(&[101, 1, 34]);
    let sizes = [
        by_head!(3, 9, "16"),
        by_head!(2, 16, "16_exact"),
        by_head!(2, 31, "32"),
        by_head!(2, 32, "32_exact"),
        by_head!(1, 48, "64"),
        by_head!(2, 64, "64_exact"),
        by_head!(1, 100, "128"),
        by_head!(1, 128, "128_exact"),
    ];
    let mut all = Vec::new();
    for size in &sizes {
        for mut case in [size.whole(&segments), size.cls(&segments)] {
            // Scores that differ, so that the softmax is not the mean of all values.
            case.spread = 3.0;
            // Wider heads take drivers seconds to compile, which would delay every start.
            all.push(if size.head == 32 { case.quick() } else { case });
        }
    }
    all
}

fn add_layer_norm(
    [rows, width]: [usize; 2],
    forward: &'static str,
    backward: &'static str,
) -> Case {
    let name = format!("add_layer_norm, {rows} rows of {width}");
    let backward: Kernels<'_> = &[backward];
    let inputs = [("x", [rows, width], backward), ("the residual", [rows, width], backward)];
    Case::new(name, &[forward], &inputs, move |source, i| {
        let (gamma, beta) = (source.tensor([width]), source.tensor([width]));
        ops::add_layer_norm(i[0].clone(), i[1].clone(), &gamma, &beta, EPSILON).into_values()
    })
}

/// Those of LayerNorm on a GPU with subgroups.
fn subgroups() -> Vec<Case> {
    let size = [513, 67];
    let scoring = add_layer_norm(size, "add_layer_norm_infer_subgroup", "").without_gradients();
    let both = ["add_layer_norm_subgroup", "add_layer_norm_backward_subgroup"];
    let extensions = Extensions { subgroups: true, ..Extensions::NONE };
    [
        embed(size, "embed_layer_norm_subgroup"),
        add_layer_norm(size, both[0], both[1]).quick(),
        scoring.renamed("without gradients"),
    ]
    .map(|case| case.extended(extensions, "subgroups"))
    .into()
}

fn rows() -> Vec<Case> {
    let (narrow, wide) = ([513, 33], [17, 32]);
    let mut scoring_narrow = add_layer_norm(narrow, "add_layer_norm_infer", "").without_gradients();
    let mut scoring_wide =
        add_layer_norm(wide, "add_layer_norm_infer_wide", "").without_gradients();
    for case in [&mut scoring_narrow, &mut scoring_wide] {
        case.name.push_str(", without gradients");
    }
    let packed = segments(&[33, 1, 17]);
    let tokens = packed.rows();
    vec![
        add_layer_norm(narrow, "add_layer_norm", "add_layer_norm_backward").quick(),
        add_layer_norm(wide, "add_layer_norm_wide", "add_layer_norm_backward_wide"),
        add_layer_norm([3, 1030], "add_layer_norm_wide", "add_layer_norm_backward_wide"),
        scoring_narrow.quick(),
        scoring_wide,
        Case::new(
            "gelu, 17 rows of 31".to_owned(),
            &["gelu_forward"],
            &[("x", [17, 31], &["gelu_backward"])],
            |_, i| ops::gelu(i[0].clone()),
        ),
        Case::new(
            format!("gather_cls, 3 of {tokens} rows of 17"),
            &["gather_cls"],
            &[("x", [tokens, 17], &["scatter_cls"])],
            move |_, i| ops::gather_cls(i[0].clone(), &packed),
        ),
        Case::new("cut, 65 of 99 from 3".to_owned(), &["cut"], &[], |source, _| {
            ops::cut(&source.tensor([99]), 3, 65).reshape([1, 65])
        }),
        Case::new(
            "score_head, 31 rows of 17".to_owned(),
            &["score_head"],
            &[
                ("[CLS]", [31, 17], &["score_head_backward"]),
                ("the head", [1, 18], &["score_head_backward"]),
            ],
            |_, i| ops::score_head(i[0].clone(), &i[1].clone().flatten(0, 1)).reshape([31, 1]),
        )
        .quick(),
    ]
}
