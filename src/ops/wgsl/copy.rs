//! Copies of tensors to the host.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use burn::tensor::{Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous_aligned;
use burn_cubecl::tensor::CubeTensor;
use cubecl::future::{channel, spawn_detached};
use cubecl::server::CopyDescriptor;

/// Queues a copy of a float tensor to the host, behind the work that was launched before.
///
/// burn's own read-backs start natively when their data is first looked at, which is behind all work that was launched
/// until then.
///
/// # Errors
/// The runtime's message if the device failed.
pub(crate) fn start_copy(
    tensor: Tensor<1>,
) -> impl Future<Output = Result<Vec<f32>, String>> + 'static {
    let copy = match tensor.clone().try_into_primitive::<CubeBackend>() {
        Ok(tensor) => Ok(queue(tensor)),
        Err(_) => Err(tensor),
    };
    async move {
        let data = match copy {
            Ok(copy) => copy.await?,
            Err(tensor) => tensor.into_data_async().await.map_err(|error| error.to_string())?,
        };
        data.try_into_vec::<f32>().map_err(|error| error.to_string())
    }
}

fn queue(tensor: CubeTensor) -> impl Future<Output = Result<TensorData, String>> + 'static {
    let CubeTensor { client, meta, handle, dtype, .. } = into_contiguous_aligned(tensor);
    let (shape, strides) = (meta.shape().clone(), meta.strides().clone());
    let descriptor = CopyDescriptor::new(handle.binding(), shape.clone(), strides, dtype.size());
    // The future borrows its client.
    let mut copy = Box::pin(async move { client.read_one_tensor_async(descriptor).await });
    let (sender, receiver) = channel::bounded(1);
    // The first poll queues the copy.
    match copy.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(bytes) => drop(sender.try_send(bytes)),
        // It must end, also if nobody waits for it any more: the runtime reuses the memory of an unfinished copy whose
        // future is dropped, and the next copy fails. Natively, it also polls the device until then.
        Poll::Pending => spawn_detached(async move { drop(sender.try_send(copy.await)) }),
    }
    async move {
        let bytes = receiver.recv().await.map_err(|_| "a copy to the host ended early")?;
        Ok(TensorData::from_bytes(bytes.map_err(|error| error.to_string())?, shape, dtype))
    }
}
