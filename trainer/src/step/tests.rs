use std::sync::Arc;

use burn::tensor::Device;

use super::*;
use crate::loss::Objective;
use crate::oracle::{self, Golden, MODELS, difference, golden, golden_input, open};

fn cpu() -> Device {
    Device::flex()
}

fn stepper(name: &str, settings: StepSettings, decay: f64) -> (Stepper, StepInput, Golden) {
    let golden = golden();
    let model = open(name);
    let input = golden_input(&model.0, &golden);
    (
        oracle::stepper(model, settings, decay, &cpu()),
        input,
        golden,
    )
}

#[test]
fn ten_steps_lose_what_pytorch_loses() {
    for name in MODELS {
        let golden = golden();
        let wanted = &golden.models[name];
        let settings = oracle::settings(Objective::InBatchAndMined, wanted.scale);
        let (mut stepper, input, golden) = stepper(name, settings, golden.decay);
        for (step, wanted) in wanted.steps.iter().enumerate() {
            let found = stepper
                .step(&input, golden.rate, step as u64)
                .expect("a step")
                .loss;
            let off = (f64::from(found) - wanted).abs() / wanted.max(0.05);
            assert!(off < 0.01, "{name}, step {step}: {found} for {wanted}");
        }
    }
}

#[test]
fn the_pairwise_loss_is_pytorchs() {
    let golden = golden();
    for (name, wanted) in &golden.models {
        let settings = oracle::settings(Objective::Pairwise, wanted.scale);
        let (stepper, input, _) = stepper(name, settings, 0.0);
        let (loss, _) = stepper.gradient_values(&input, 0).expect("a gradient");
        assert!(
            (f64::from(loss) / wanted.pairwise - 1.0).abs() < 1e-4,
            "{name}: {loss}"
        );
    }
}

#[test]
fn micro_batches_change_no_gradient() {
    for objective in [
        Objective::Pairwise,
        Objective::InBatch,
        Objective::InBatchAndMined,
    ] {
        let whole = oracle::settings(objective, 20.0);
        let (stepper_whole, input, _) = stepper("bert", whole.clone(), 0.0);
        let (loss, gradient) = stepper_whole
            .gradient_values(&input, 0)
            .expect("a gradient");
        for micro_batch in [1, 2, 3] {
            let parts = StepSettings {
                micro_batch,
                ..whole.clone()
            };
            let (stepper, input, _) = stepper("bert", parts, 0.0);
            let (found, parts) = stepper.gradient_values(&input, 0).expect("a gradient");
            assert!((found - loss).abs() < 1e-5, "{objective:?} {micro_batch}");
            assert!(
                difference(&parts, &gradient) < 1e-5,
                "{objective:?} {micro_batch}"
            );
        }
    }
}

#[test]
fn teachers_scores_are_cut_with_their_batch() {
    for objective in [Objective::MarginMse, Objective::Distil] {
        let gradients = [usize::MAX, 3].map(|micro_batch| {
            let settings = StepSettings {
                micro_batch,
                ..oracle::settings(objective, 20.0)
            };
            let (stepper, mut input, _) = stepper("static", settings, 0.0);
            input.labels.teacher = Some((0..12).map(|i| (i as f32).cos()).collect());
            stepper.gradient_values(&input, 0).expect("a gradient")
        });
        assert!((gradients[0].0 - gradients[1].0).abs() < 1e-5);
        assert!(
            difference(&gradients[0].1, &gradients[1].1) < 1e-5,
            "{objective:?}"
        );
    }
}

#[test]
fn activations_that_are_computed_again_change_no_gradient() {
    let gradients = [false, true].map(|checkpoint_activations| {
        let settings = StepSettings {
            checkpoint_activations,
            ..oracle::settings(Objective::InBatchAndMined, 20.0)
        };
        let (stepper, input, _) = stepper("bert", settings, 0.0);
        stepper.gradient_values(&input, 0).expect("a gradient").1
    });
    assert!(difference(&gradients[0], &gradients[1]) < 1e-6);
}

#[test]
fn one_batch_is_learnt_by_heart() {
    let settings = oracle::settings(Objective::InBatchAndMined, 20.0);
    let (mut stepper, input, _) = stepper("bert", settings, 0.0);
    let losses: Vec<f32> = (0..30)
        .map(|step| stepper.step(&input, 1e-3, step).expect("a step").loss)
        .collect();
    assert!(losses[29] < 0.01 * losses[0], "{losses:?}");
}

#[test]
fn dropout_is_the_same_for_the_same_step() {
    let settings = StepSettings {
        dropout: [0.1, 0.1],
        micro_batch: 2,
        ..oracle::settings(Objective::InBatchAndMined, 20.0)
    };
    let (stepper, input, _) = stepper("bert", settings, 0.0);
    let gradient = |step: u64| stepper.gradient_values(&input, step).expect("a gradient");
    assert_eq!(gradient(5), gradient(5));
    assert_ne!(gradient(5).0, gradient(6).0);
}

#[test]
fn a_step_that_is_not_finite_changes_nothing_and_three_end_the_run() {
    let (encoder, mut values) = open("static");
    values[40] = f32::NAN;
    let settings = oracle::settings(Objective::InBatch, 20.0);
    let mut input = golden_input(&encoder, &golden());
    // Every text holds the spoilt row.
    for tokens in input.queries.iter_mut().chain(&mut input.positives) {
        tokens.ids.push(40 / encoder.dimension() as u32);
    }
    let mut stepper = oracle::stepper(
        (Arc::clone(&encoder), values.clone()),
        settings,
        0.0,
        &cpu(),
    );
    for step in 0..2 {
        assert!(stepper.step(&input, 0.1, step).expect("patience").skipped);
    }
    let after = stepper.values().expect("numbers");
    assert_eq!(after.len(), values.len());
    let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
    assert!(after.iter().zip(&values).all(same));
    let ended = stepper.step(&input, 0.1, 2);
    assert!(matches!(ended, Err(StepError::NotFinite(3))));
}

#[test]
fn a_restored_run_loses_what_the_unbroken_one_loses() {
    let settings = StepSettings {
        dropout: [0.1, 0.1],
        ..oracle::settings(Objective::InBatchAndMined, 20.0)
    };
    let (mut unbroken, input, _) = stepper("bert", settings.clone(), 0.01);
    let losses: Vec<f32> = (0..6)
        .map(|step| unbroken.step(&input, 1e-3, step).expect("a step").loss)
        .collect();
    let (mut first, ..) = stepper("bert", settings.clone(), 0.01);
    for step in 0..3 {
        first.step(&input, 1e-3, step).expect("a step");
    }
    let (mut second, ..) = stepper("bert", settings, 0.01);
    let moments = first.moment_values().expect("numbers");
    second.restore(
        &first.values().expect("numbers"),
        moments,
        first.optimizer().steps(),
    );
    let resumed: Vec<f32> = (3..6)
        .map(|step| second.step(&input, 1e-3, step).expect("a step").loss)
        .collect();
    assert_eq!(resumed, losses[3..]);
}

/// Set in the process that runs the test on a GPU.
const CHILD: &str = "ASKANCE_TEST_VULKAN";

/// Runs where a Vulkan adapter is present, in a process of its own: a driver that crashes must not take the other tests
/// with it. A software adapter may crash or be refused by the self-test; a GPU may not.
#[test]
fn vulkan_computes_the_cpus_gradients() {
    if std::env::var_os(CHILD).is_some() {
        return on_vulkan();
    }
    let program = std::env::current_exe().expect("this program");
    let name = "step::tests::vulkan_computes_the_cpus_gradients";
    let output = std::process::Command::new(program)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("the same program again");
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|l| l.starts_with("skipped: "));
    match line {
        Some(line) => oracle::skipped(line.trim_start_matches("skipped: ")),
        None if output.status.success() => {}
        None if said.contains("on a software adapter") => {
            oracle::skipped("the software Vulkan adapter crashed");
        }
        None => panic!("{}{said}", String::from_utf8_lossy(&output.stdout)),
    }
}

fn on_vulkan() {
    use crate::config::Compute;
    use crate::device::{AdapterKind, Choice, DeviceError, open as open_device};
    use crate::selftest::{Reference, SelfTestError};

    let opened = match open_device(Choice::Vulkan) {
        Ok(opened) => opened,
        Err(DeviceError::Absent { .. }) => return oracle::skipped("no Vulkan adapter"),
        Err(refused) => panic!("{refused}"),
    };
    let software = opened
        .adapter
        .as_ref()
        .is_some_and(|a| a.kind == AdapterKind::Software);
    if software {
        oracle::say("on a software adapter");
    }
    crate::encoder::kernels::tests::agree_with_plain_operations(&opened.device);
    let golden = golden();
    let (encoder, values) = open("bert");
    let input = golden_input(&encoder, &golden);
    let settings = oracle::settings(Objective::InBatchAndMined, 20.0);
    let (device, name) = (&opened.device, &opened.name);
    let reference = Reference::new(&encoder, &values, &settings, &input).expect("the CPU");
    for way in Compute::Auto.ways() {
        let kernels = way.kernels(&encoder, device);
        let Some(kernels) = kernels else {
            oracle::say(&format!("{} cannot run here", way.name()));
            continue;
        };
        match reference.check(device, name, kernels) {
            Ok(test) => oracle::say(&format!("{}: {test:?}", way.name())),
            Err(wrong @ SelfTestError::Wrong { .. }) if software => {
                return oracle::skipped(&format!("{}: {wrong}", way.name()));
            }
            Err(other) => panic!("{}: {other}", way.name()),
        }
    }
    let mut there = oracle::stepper((encoder, values), settings, golden.decay, device);
    for (step, wanted) in golden.models["bert"].steps.iter().take(3).enumerate() {
        let found = there
            .step(&input, golden.rate, step as u64)
            .expect("a step")
            .loss;
        let off = (f64::from(found) - wanted).abs();
        assert!(off < 0.01 * wanted.max(0.05), "{found} for {wanted}");
    }
}
