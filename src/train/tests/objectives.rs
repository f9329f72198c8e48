//! Objectives and correlation on given values, compared with PyTorch in f64.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;

use crate::train::{ListBatch, ListView, Objective, correlation};

/// Maximum relative difference of a loss or a gradient's norm.
const RELATIVE: f64 = 1e-3;
/// Values below this are rounding errors.
const ROUNDING: f64 = 1e-6;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/objectives.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let off = norm(found.iter().zip(expected).map(|(&f, e)| f64::from(f) - e));
    let size = norm(expected.iter().copied());
    assert!(
        off <= RELATIVE * size + ROUNDING,
        "{what}: off by {off:e} of {size:e}: {found:?} for {expected:?}"
    );
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Mean loss over the usable lists, and its gradient with respect to every score. The fraction `first` of the
/// scores is passed as first pass, the rest as the model's at half weight. MD ignores the first pass and the weight.
fn compute(
    objective: Objective,
    case: &Value,
    first: f64,
    smoothing: f32,
    device: &Device,
) -> (f32, Vec<Vec<f32>>) {
    let scores: Vec<Vec<f64>> = case["scores"].as_array().unwrap().iter().map(numbers).collect();
    let errors: Vec<Vec<u32>> = case["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| numbers(e).iter().map(|&e| e as u32).collect())
        .collect();
    let mut offset = 0;
    let rows: Vec<Vec<usize>> = scores
        .iter()
        .map(|list| {
            offset += list.len();
            (offset - list.len()..offset).collect()
        })
        .collect();
    let firsts: Vec<Vec<f64>> =
        scores.iter().map(|list| list.iter().map(|s| first * s).collect()).collect();
    let usable: Vec<usize> =
        (0..scores.len()).filter(|&u| errors[u].iter().any(|e| *e != errors[u][0])).collect();
    let teachers: Vec<Vec<f64>> = case["teacher"].as_array().unwrap().iter().map(numbers).collect();
    let view = |&u: &usize| ListView {
        first: &firsts[u],
        errors: &errors[u],
        teacher: &teachers[u],
        rows: &rows[u],
    };
    let beta = 0.5;
    let views: Vec<ListView<'_>> = usable.iter().map(view).collect();
    let batch = ListBatch::new(objective, smoothing, beta, &views);
    let (from_lm, beta) = match objective {
        Objective::Md => (1.0, 1.0),
        _ => (1.0 - first, beta),
    };
    let lm: Vec<f32> = scores.concat().iter().map(|s| (from_lm * s / beta) as f32).collect();
    let lm = Tensor::<1>::from_floats(lm.as_slice(), device).autodiff().require_grad();
    let loss = batch.loss(lm.clone()).div_scalar(usable.len() as f64);
    let gradient = host(lm.grad(&loss.backward()).unwrap().div_scalar(beta));
    let gradients = rows.iter().map(|row| row.iter().map(|&at| gradient[at]).collect()).collect();
    (host(loss.inner())[0], gradients)
}

fn check_lists(device: &Device) {
    let golden = golden();
    let smoothing = golden["label_smoothing"].as_f64().unwrap() as f32;
    let cases = golden["lists"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        for name in Objective::ALL.map(Objective::name) {
            // All scores from the model; then half of each from the first pass.
            for first in [0.0, 0.5] {
                let what = format!("{} {name}, first pass {first}", case["name"]);
                let (loss, gradients) =
                    compute(name.parse().unwrap(), case, first, smoothing, device);
                assert_close(&[loss], &[case[name]["loss"].as_f64().unwrap()], &what);
                for (found, expected) in
                    gradients.iter().zip(case[name]["gradient"].as_array().unwrap())
                {
                    assert_close(found, &numbers(expected), &what);
                }
            }
        }
    }
}

fn check_correlations(device: &Device) {
    let golden = golden();
    let cases = golden["correlation"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let rows: Vec<Vec<f64>> = case["vectors"].as_array().unwrap().iter().map(numbers).collect();
        let shape = [rows.len(), rows[0].len()];
        let data: Vec<f32> = rows.concat().iter().map(|v| *v as f32).collect();
        let cls =
            Tensor::<2>::from_data(TensorData::new(data, shape), device).autodiff().require_grad();
        let expected_loss = case["loss"].as_f64().unwrap();
        let expected: Vec<f64> =
            case["gradient"].as_array().unwrap().iter().flat_map(numbers).collect();
        let Some(loss) = correlation(cls.clone()) else {
            assert_eq!(
                (shape[0], expected_loss, norm(expected)),
                (1, 0.0, 0.0),
                "{}",
                case["name"]
            );
            continue;
        };
        let gradient = host(cls.grad(&loss.backward()).unwrap());
        assert_close(&host(loss.inner()), &[expected_loss], &case["name"].to_string());
        assert_close(&gradient, &expected, &case["name"].to_string());
    }
}

#[test]
fn objectives_and_gradients_agree_with_pytorch() {
    check_lists(&Device::flex());
}

#[test]
fn correlations_and_gradients_agree_with_pytorch() {
    check_correlations(&Device::flex());
}

#[test]
fn perfectly_uncorrelated_columns_have_no_correlation_and_no_nan() {
    let device = Device::flex();
    // Orthogonal columns of equal length and zero mean: R is the identity up to rounding.
    let cls =
        Tensor::<2>::from_floats([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], &device);
    let cls = cls.autodiff().require_grad();
    let loss = correlation(cls.clone()).unwrap();
    let gradient = host(cls.grad(&loss.backward()).unwrap());
    assert!(host(loss.inner())[0] < 1e-6);
    assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
}
