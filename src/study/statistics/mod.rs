//! Statistics over several runs.

mod bins;
mod fit;
mod mean;
mod paired;

pub use bins::{Bin, by_hypotheses, by_words};
pub use fit::{Fit, Fits, Shape, fits};
pub use mean::{Mean, mean, t_quantile};
pub use paired::{Comparison, compare};
