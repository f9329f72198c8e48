// Objective of each list of hypotheses, and its derivative with respect to each hypothesis's score. With
// s_i = first_i + beta * scores[rows_i], P = softmax(s) and t the second half of `terms`:
//   mwer      loss =   sum_i t_i P_i               t = errors - mean(errors)
//   mwed      loss = - sum_i t_i log Q_i           Q = softmax(-s / T), T = - sum s / sum errors
//   listwise  loss = - sum_i t_i log P_i
//   md        loss =   mean (d - mean d)^2         d = s - t
// |T| is clamped to at least 1e-3 with its sign; where clamped it is a constant, else it depends on the scores.
//
// scores [texts]; rows [hypotheses]: the text of each; terms [hypotheses]: first pass minus the maximum
// of its list, and t; sums [lists]: sum of the unshifted first pass, and of the errors; offsets
// [lists + 1]: first hypothesis of each list, and the end; losses [lists]; slopes [hypotheses]
//
// Dispatch: one workgroup of 64 threads per list; `lists` of them.
//
// OBJECTIVE: variant. Numerics: f32; all exponents are at most 0.
#use grid
#use row_sum

struct Params { lists: u32, beta: f32 }

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> terms: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> offsets: array<u32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;
@group(0) @binding(6) var<storage, read_write> slopes: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

alias Sum = vec2<f32>;
const MWER: u32 = 0u;
const MWED: u32 = 1u;
const MD: u32 = 3u;
const THREADS: u32 = 64u;
const LANES: u32 = 64u;
const SIDE: u32 = 8u;
const MIN_TEMPERATURE: f32 = 1e-3;

var<workgroup> highest: array<f32, THREADS>;

fn group_max(value: f32, thread: u32) -> f32 {
    highest[thread] = value;
    workgroupBarrier();
    var most = value;
    for (var i = 0u; i < THREADS; i++) { most = max(most, highest[i]); }
    return most;
}

// s of a hypothesis; `sharp` is 1, or -1 / T for mwed.
fn logit(i: u32, sharp: f32) -> f32 {
    return sharp * fma(p.beta, scores[rows[i]], terms[i].x);
}

// The variance of s - t, and its derivative.
fn squared(list: u32, start: u32, end: u32, thread: u32) {
    var sum = vec2<f32>(0.0);
    for (var i = start; i < end; i += THREADS) { sum += vec2<f32>(logit(i, 1.0) - terms[i].y, 1.0); }
    sum = row_sum(sum, thread);
    let mean = sum.x / sum.y;
    var squares = vec2<f32>(0.0);
    for (var i = start; i < end; i += THREADS) {
        let off = logit(i, 1.0) - terms[i].y - mean;
        squares.x += off * off;
        slopes[i] = 2.0 * p.beta * off / sum.y;
    }
    squares = row_sum(squares, thread);
    if (thread == 0u) { losses[list] = squares.x / sum.y; }
}

@compute @workgroup_size(THREADS)
fn list_loss(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) thread: u32) {
    let list = linear_group(group, groups);
    if (list >= p.lists) { return; }
    let start = offsets[list] + thread;
    let end = offsets[list + 1u];
    if (OBJECTIVE == MD) {
        squared(list, start, end, thread);
        return;
    }
    var sharp = 1.0;
    var held = true;
    if (OBJECTIVE == MWED) {
        var lm = 0.0;
        for (var i = start; i < end; i += THREADS) { lm += scores[rows[i]]; }
        lm = row_sum(vec2<f32>(lm, 0.0), thread).x;
        let temperature = -fma(p.beta, lm, sums[list].x) / sums[list].y;
        held = abs(temperature) < MIN_TEMPERATURE;
        let least = select(MIN_TEMPERATURE, -MIN_TEMPERATURE, temperature < 0.0);
        sharp = -1.0 / select(temperature, least, held);
    }
    var most = -3.4e38;
    for (var i = start; i < end; i += THREADS) { most = max(most, logit(i, sharp)); }
    most = group_max(most, thread);
    // Sum of the exponentials, and the objective's sum over t: t times exponential, or t.
    var sum = vec2<f32>(0.0);
    for (var i = start; i < end; i += THREADS) {
        let power = exp(logit(i, sharp) - most);
        sum += vec2<f32>(power, terms[i].y * select(1.0, power, OBJECTIVE == MWER));
    }
    sum = row_sum(sum, thread);
    let average = sum.y / sum.x;
    let log_sum = log(sum.x);
    // The loss, and T times the derivative with respect to 1 / T, up to sign.
    var out = vec2<f32>(0.0);
    for (var i = start; i < end; i += THREADS) {
        let z = logit(i, sharp) - most;
        let slope = fma(exp(z) / sum.x, sum.y, -terms[i].y);
        out += vec2<f32>(-terms[i].y * (z - log_sum), slope * z);
    }
    out = row_sum(out, thread);
    let moved = select(out.y / sums[list].y, 0.0, held);
    for (var i = start; i < end; i += THREADS) {
        let power = exp(logit(i, sharp) - most) / sum.x;
        var slope = sharp * (fma(power, sum.y, -terms[i].y) - moved);
        if (OBJECTIVE == MWER) { slope = power * (terms[i].y - average); }
        slopes[i] = p.beta * slope;
    }
    if (thread == 0u) { losses[list] = select(out.x, average, OBJECTIVE == MWER); }
}
