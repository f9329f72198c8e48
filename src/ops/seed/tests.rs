//! Compares the seeded backward pass with that of a sum.

use burn::tensor::{DType, Device, Gradients, Tensor};

use super::backward_from;
use crate::ops::tests::device::gpu;
use crate::ops::tests::support::Source;

#[test]
fn gradients_are_those_of_the_sum() {
    for device in [Some(Device::flex()), gpu()].into_iter().flatten() {
        let mut source = Source::new(90);
        let [x, g] = [[3, 5], [3, 5]].map(|shape| source.data(shape, DType::F32));
        let g = Tensor::<2>::from_data(g, &device);
        let gradient = |square: bool, differentiate: fn(Tensor<2>, Tensor<2>) -> Gradients| {
            let x = Tensor::<2>::from_data(x.clone(), &device.clone().autodiff()).require_grad();
            let y = if square { x.clone() * x.clone() + x.clone() } else { x.clone() };
            x.grad(&differentiate(y, g.clone())).unwrap().into_data()
        };
        let of_sum = |y: Tensor<2>, g: Tensor<2>| (y * g).sum().backward();
        assert_eq!(gradient(true, of_sum), gradient(true, backward_from));
        // The gradient of the tensor itself is the given one.
        assert_eq!(gradient(false, backward_from), g.to_data());
    }
}
