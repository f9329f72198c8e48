// Sums over columns: a workgroup of 256 has COLUMNS columns with SLICES threads each, which sum every
// SLICES-th row. Neighbouring threads have neighbouring columns.
const THREADS: u32 = 256u;
const COLUMNS: u32 = 16u;
const SLICES: u32 = 16u;

var<workgroup> of_slices: array<f32, THREADS>;

// Sum of `value` over the threads of the caller's column; all threads of the workgroup take part.
fn column_sum(value: f32, thread: u32) -> f32 {
    of_slices[thread] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < SLICES; i++) { sum += of_slices[i * COLUMNS + thread % COLUMNS]; }
    workgroupBarrier();
    return sum;
}
