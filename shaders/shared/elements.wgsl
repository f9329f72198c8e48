#use grid
// Elementwise kernels: a workgroup of 256 processes BLOCK elements, each thread every 256th of them.
const THREADS: u32 = 256u;
const BLOCK: u32 = 4u * THREADS;
