// Sum of three embeddings, normalised as in `add_layer_norm`:
//   v = words[token] + positions[place] + types[0]
//   y = (v - mean v) / sqrt(mean (v - mean v)^2 + epsilon) gamma + beta
//
// words [vocabulary, width], positions [places, width], types [1 or more, width], gamma, beta [width]
// ids [2 rows]: the tokens of all rows, then their places; y [rows, width]
//
// Dispatch: LANES threads per row, ROWS = THREADS / LANES rows per workgroup;
// ceil(rows / ROWS) workgroups.
//
// THREADS, LANES, SIDE: variant. An id outside its table reads the last row. Numerics: f32.
#use layer_norm

struct Params { rows: u32, width: u32, vocabulary: u32, places: u32, epsilon: f32 }

@group(0) @binding(0) var<storage, read> words: array<f32>;
@group(0) @binding(1) var<storage, read> positions: array<f32>;
@group(0) @binding(2) var<storage, read> types: array<f32>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read> beta: array<f32>;
@group(0) @binding(5) var<storage, read> ids: array<i32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

// Start of the word and the position embedding of the caller's row.
var<private> word: u32;
var<private> position: u32;

fn element(row: u32, column: u32) -> f32 {
    return words[word + column] + positions[position + column] + types[column];
}

fn store(row: u32, column: u32, n: f32) {
    y[row * p.width + column] = fma(n, gamma[column], beta[column]);
}

@compute @workgroup_size(THREADS)
fn embed_layer_norm(@builtin(workgroup_id) group: vec3<u32>,
                    @builtin(num_workgroups) groups: vec3<u32>,
                    @builtin(local_invocation_index) thread: u32) {
    let row = linear_group(group, groups) * ROWS + thread / LANES;
    // A row past the end reads nothing else. A negative id becomes a large unsigned one.
    let known = min(row, p.rows - 1u);
    word = min(u32(ids[known]), p.vocabulary - 1u) * p.width;
    position = min(u32(ids[p.rows + known]), p.places - 1u) * p.width;
    normalise(row, thread);
}
