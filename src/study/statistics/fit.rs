//! Fits two curves to a few points and compares them.

/// A form of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `a + b ln x`.
    Logarithmic,
    /// `a + b x`.
    Linear,
}

impl Shape {
    fn of(self, x: f64) -> f64 {
        match self {
            Self::Logarithmic => libm::log(x),
            Self::Linear => x,
        }
    }
}

/// A curve by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Its form.
    pub shape: Shape,
    /// Constant.
    pub a: f64,
    /// Slope, by `ln x` or by `x`.
    pub b: f64,
    /// Fraction of explained variance.
    pub r_squared: f64,
    /// Leave-one-out root mean square error; `None` for fewer than four points.
    pub left_out: Option<f64>,
}

impl Fit {
    /// The curve's value at x.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.a + self.b * self.shape.of(x)
    }
}

/// Both fits of the same points. They have the same number of parameters, so their errors are comparable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fits {
    /// `a + b ln x`.
    pub logarithmic: Fit,
    /// `a + b x`.
    pub linear: Fit,
    /// Number of points.
    pub points: usize,
}

/// Fits both curves to points with x above 0; `None` with fewer than three different x.
#[must_use]
pub fn fits(points: &[(f64, f64)]) -> Option<Fits> {
    let mut xs: Vec<f64> = points.iter().map(|point| point.0).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    if xs.len() < 3 || xs[0] <= 0.0 {
        return None;
    }
    let logarithmic = fit(points, Shape::Logarithmic)?;
    let linear = fit(points, Shape::Linear)?;
    Some(Fits { logarithmic, linear, points: points.len() })
}

fn fit(points: &[(f64, f64)], shape: Shape) -> Option<Fit> {
    let (a, b) = line(points, shape)?;
    let mean = points.iter().map(|point| point.1).sum::<f64>() / points.len() as f64;
    let square = |value: f64| value * value;
    let all: f64 = points.iter().map(|&(_, y)| square(y - mean)).sum();
    let left: f64 = points.iter().map(|&(x, y)| square(y - a - b * shape.of(x))).sum();
    let r_squared = if all > 0.0 { 1.0 - left / all } else { 1.0 };
    let errors: Option<Vec<f64>> = (points.len() > 3)
        .then(|| {
            let without = |at: usize| {
                let mut others = points.to_vec();
                let (x, y) = others.remove(at);
                line(&others, shape).map(|(a, b)| square(y - a - b * shape.of(x)))
            };
            (0..points.len()).map(without).collect()
        })
        .flatten();
    let left_out = errors.map(|errors| (errors.iter().sum::<f64>() / errors.len() as f64).sqrt());
    Some(Fit { shape, a, b, r_squared, left_out })
}

/// Least squares; `None` if all x are equal.
fn line(points: &[(f64, f64)], shape: Shape) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let mean_x = points.iter().map(|&(x, _)| shape.of(x)).sum::<f64>() / n;
    let mean_y = points.iter().map(|&(_, y)| y).sum::<f64>() / n;
    let (mut across, mut along) = (0.0, 0.0);
    for &(x, y) in points {
        let dx = shape.of(x) - mean_x;
        across += dx * (y - mean_y);
        along += dx * dx;
    }
    if along <= 0.0 {
        return None;
    }
    let b = across / along;
    Some((mean_y - b * mean_x, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_curve_fits_its_own_points() {
        let xs = [50.0, 100.0, 200.0, 400.0, 800.0];
        let logarithmic: Vec<_> = xs.iter().map(|&x: &f64| (x, 20.0 - 2.0 * x.ln())).collect();
        let found = fits(&logarithmic).unwrap();
        assert!((found.logarithmic.a - 20.0).abs() < 1e-9);
        assert!((found.logarithmic.b + 2.0).abs() < 1e-9);
        assert!(found.logarithmic.r_squared > 0.999_999 && found.linear.r_squared < 0.95);
        assert!(found.logarithmic.left_out.unwrap() < 1e-6);
        assert!(found.linear.left_out.unwrap() > 0.1);
        let linear: Vec<_> = xs.iter().map(|&x| (x, 20.0 - 0.01 * x)).collect();
        let found = fits(&linear).unwrap();
        assert!(found.linear.r_squared > 0.999_999 && found.logarithmic.r_squared < 0.95);
        assert!((found.linear.at(100.0) - 19.0).abs() < 1e-9);
    }

    #[test]
    fn few_points_have_no_error_and_two_no_fit() {
        assert_eq!(fits(&[(1.0, 1.0), (2.0, 2.0), (2.0, 3.0)]), None);
        let found = fits(&[(1.0, 1.0), (2.0, 2.0), (3.0, 2.5)]).unwrap();
        assert_eq!(found.linear.left_out, None);
        assert_eq!(fits(&[(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]), None);
    }
}
