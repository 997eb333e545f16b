use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use engine::encoder::blueprint::StoredTensor;

use super::*;
use crate::encoder::Band;
use crate::oracle;

/// A matrix of six numbers, a bias of three, and a bias of zeros.
fn layout() -> (Layout, Vec<f32>) {
    let tensor = |name: &str, shape: Vec<usize>, values: Vec<f32>| StoredTensor {
        folder: PathBuf::new(),
        name: name.into(),
        shape,
        values,
    };
    Layout::of([
        (
            tensor("w", vec![2, 3], vec![0.5, -1.0, 2.0, 8.0, -9.0, 3.0]),
            Kind::Matrix,
            Band::Head,
        ),
        (
            tensor("b", vec![3], vec![0.1, 0.2, -0.3]),
            Kind::Bias,
            Band::Head,
        ),
        (tensor("z", vec![2], vec![0.0, 0.0]), Kind::Bias, Band::Head),
    ])
}

fn gradient(step: usize) -> Vec<f32> {
    (0..11).map(|i| ((i * 7 + step * 3) as f32).sin()).collect()
}

fn up(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), [values.len()]),
        &Device::flex(),
    )
}

fn down(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().try_into_vec_as::<f32>().expect("numbers")
}

/// The rules in plain numbers, tensor by tensor.
fn by_hand(config: &OptimizerConfig, rate: f64, steps: usize) -> Vec<f32> {
    let (layout, values) = layout();
    let mut w: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
    for step in 0..steps {
        let g = gradient(step);
        for i in 0..w.len() {
            let g = f64::from(g[i]);
            m[i] = config.beta1 * m[i] + (1.0 - config.beta1) * g;
            v[i] = config.beta2 * v[i] + (1.0 - config.beta2) * g * g;
        }
        for entry in layout.entries() {
            let range = entry.start..entry.start + entry.count();
            let decay = match entry.kind {
                Kind::Matrix | Kind::Table => config.weight_decay,
                Kind::Bias | Kind::Norm => 0.0,
            };
            match config.algorithm {
                Algorithm::AdamW => {
                    let t = step as i32 + 1;
                    for i in range {
                        let first = m[i] / (1.0 - config.beta1.powi(t));
                        let second = v[i] / (1.0 - config.beta2.powi(t));
                        w[i] -= rate * decay * w[i];
                        w[i] -= rate * first / (second.sqrt() + config.epsilon);
                    }
                }
                Algorithm::Lamb => {
                    let u: Vec<f64> = range
                        .clone()
                        .map(|i| m[i] / (v[i].sqrt() + config.epsilon) + decay * w[i])
                        .collect();
                    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
                    let (wn, un) = (norm(&w[range.clone()]).min(10.0), norm(&u));
                    let trust = if wn == 0.0 || un == 0.0 { 1.0 } else { wn / un };
                    for (i, u) in range.zip(u) {
                        w[i] -= rate * trust * u;
                    }
                }
            }
        }
    }
    w.iter().map(|x| *x as f32).collect()
}

#[test]
fn optimisers_are_their_definitions() {
    for algorithm in [Algorithm::AdamW, Algorithm::Lamb] {
        for weight_decay in [0.0, 0.1] {
            let config = OptimizerConfig {
                weight_decay,
                ..OptimizerConfig::new(algorithm)
            };
            let (layout, values) = layout();
            let mut optimizer = Optimizer::new(config, &layout, &Device::flex());
            let mut weights = up(&values);
            for step in 0..5 {
                weights = optimizer.step(0.01, weights, up(&gradient(step)), &layout);
            }
            let off = oracle::difference(&down(&weights), &by_hand(&config, 0.01, 5));
            assert!(off < 1e-5, "{algorithm:?} {weight_decay}: {off}");
        }
    }
}

#[test]
fn the_trust_ratio_is_bounded_and_one_for_zeros() {
    let ratio = |w: &[f32], u: &[f32]| trust_ratio(up(w), up(u)).into_scalar::<f32>();
    assert!((ratio(&[30.0, 40.0], &[2.0, 0.0]) - 5.0).abs() < 1e-6);
    assert!((ratio(&[0.0, 0.0], &[1.0, 0.0]) - 1.0).abs() < 1e-6);
    assert!((ratio(&[1.0, 0.0], &[0.0, 0.0]) - 1.0).abs() < 1e-6);
}

#[test]
fn clipping_shortens_long_gradients_only() {
    let (short, norm) = clip(up(&[0.3, 0.4]), 1.0);
    assert!((norm.into_scalar::<f32>() - 0.5).abs() < 1e-6);
    assert!(oracle::difference(&down(&short), &[0.3, 0.4]) < 1e-6);
    let (long, norm) = clip(up(&[30.0, 40.0]), 1.0);
    assert!((norm.into_scalar::<f32>() - 50.0).abs() < 1e-4);
    assert!(oracle::difference(&down(&long), &[0.6, 0.8]) < 1e-6);
}

#[test]
fn rates_rise_and_fall_in_straight_lines() {
    let schedule = Schedule {
        peak: 1.0,
        warm_up: 10,
        total: 110,
    };
    let rates: Vec<f64> = [0, 5, 10, 60, 110, 500]
        .iter()
        .map(|s| schedule.rate(*s))
        .collect();
    assert_eq!(rates, [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]);
}

#[test]
fn an_optimiser_that_was_saved_goes_on_as_if_nothing_had_happened() {
    let (layout, values) = layout();
    let config = OptimizerConfig::new(Algorithm::AdamW);
    let mut unbroken = Optimizer::new(config, &layout, &Device::flex());
    let mut weights = up(&values);
    for step in 0..3 {
        weights = unbroken.step(0.01, weights, up(&gradient(step)), &layout);
    }
    let mut resumed = Optimizer::new(config, &layout, &Device::flex());
    let moments = unbroken
        .moments()
        .map(|[m, v]| [up(&down(m)), up(&down(v))]);
    resumed.restore(moments, unbroken.steps());
    let next = |optimizer: &mut Optimizer| {
        down(&optimizer.step(0.01, up(&down(&weights)), up(&gradient(3)), &layout))
    };
    assert_eq!(next(&mut resumed), next(&mut unbroken));
}
