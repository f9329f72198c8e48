// Sums over rows of LANES = SIDE^2 neighbouring threads; a workgroup has THREADS / LANES rows.
// The kernel defines `alias Sum`, THREADS, LANES and SIDE.
var<workgroup> of_threads: array<Sum, THREADS>;
var<workgroup> of_sides: array<Sum, THREADS / SIDE>;

// Sum of `value` over the threads of the caller's row; all threads of the workgroup take part. Two
// levels of SIDE terms each, so two barriers; two arrays, so that calls may follow one another.
fn row_sum(value: Sum, thread: u32) -> Sum {
    let lane = thread % LANES;
    let row = thread / LANES;
    of_threads[thread] = value;
    workgroupBarrier();
    if (lane < SIDE) {
        var sum = Sum();
        for (var i = 0u; i < SIDE; i++) { sum += of_threads[row * LANES + i * SIDE + lane]; }
        of_sides[row * SIDE + lane] = sum;
    }
    workgroupBarrier();
    var sum = Sum();
    for (var i = 0u; i < SIDE; i++) { sum += of_sides[row * SIDE + i]; }
    return sum;
}
