#use product
#use linear_io
// The product x W^T of the forward kernels. Uses `x`, `w`, `bias`, `y` and `p` as declared by the kernel.
const LEFT_ACROSS: bool = true;
const RIGHT_ACROSS: bool = true;

fn left_quad(row: u32, k: u32, low: bool) -> vec4<f32> {
    if (low) {
        return low_left_quad(row, k);
    }
    return x_quad(row, k);
}

fn right_quad(column: u32, k: u32, low: bool) -> vec4<f32> {
    if (low) {
        return low_right_quad(column, k);
    }
    return weight_quad(column, k);
}
