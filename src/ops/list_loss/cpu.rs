//! Losses of lists on the CPU, in f64.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::{ListLoss, ListLossForward, ListLossKernels, ListLossSaved, Lists};
use crate::ops::cpu::buffer::{values, vector};

impl ListLoss for Flex {
    fn list_loss(scores: FloatTensor<Self>, lists: Lists) -> FloatTensor<Self> {
        Self::list_loss_forward(scores, lists).loss
    }
}

impl ListLossKernels for Flex {
    fn list_loss_forward(scores: FloatTensor<Self>, lists: Lists) -> ListLossForward<Self> {
        let (loss, slopes) = lists.evaluate(&values(&scores));
        let slopes = slopes.into_iter().map(|slope| slope as f32).collect();
        ListLossForward { loss: vector(vec![loss as f32]), slopes: vector(slopes) }
    }

    fn list_loss_backward(g: FloatTensor<Self>, saved: ListLossSaved<Self>) -> FloatTensor<Self> {
        let ListLossSaved { slopes, lists, texts } = saved;
        let upstream = f64::from(values(&g)[0]);
        let slopes: Vec<f64> =
            values(&slopes).iter().map(|&slope| upstream * f64::from(slope)).collect();
        let by_text = lists.by_text(&slopes, texts);
        vector(by_text.into_iter().map(|slope| slope as f32).collect())
    }
}
