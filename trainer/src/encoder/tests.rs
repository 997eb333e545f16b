use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use engine::encoder::{Encoder, LoadOptions, Role, load};
use safetensors::SafeTensors;
use serde::Deserialize;
use storage::Task;

use super::*;
use crate::oracle::{PLAIN, difference, golden, golden_dir, golden_input, model_dir, open};
use crate::{loss, oracle, step};

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    query: Vec<Vec<f32>>,
    passage: Vec<Vec<f32>>,
}

fn expected(name: &str) -> Expected {
    let text = std::fs::read(model_dir(name).join("expected.json")).expect("a golden file");
    serde_json::from_slice(&text).expect("what make_encoder.py writes")
}

fn on_cpu(encoder: TrainEncoder, values: &[f32]) -> DeviceEncoder {
    let values = to_device(values, &Device::flex());
    DeviceEncoder::new(Arc::new(encoder), &values, "", None)
}

/// Largest difference, as a share of the largest number.
fn relative(found: &[f32], wanted: &[f32]) -> f32 {
    let largest = wanted.iter().fold(1e-3_f32, |m, x| m.max(x.abs()));
    difference(found, wanted) / largest
}

#[test]
fn vectors_are_those_of_sentence_transformers() {
    for name in ["bert", "roberta", "distilbert", "static", "model2vec"] {
        let (encoder, values) = TrainEncoder::open(&model_dir(name), PLAIN).expect("a model");
        let encoder = on_cpu(encoder, &values);
        let expected = expected(name);
        let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
        for (role, wanted) in [
            (Role::Query, expected.query),
            (Role::Passage, expected.passage),
        ] {
            let found = encoder
                .encode(&texts, role, Task::silent())
                .expect("vectors");
            let off = relative(&found.values, &wanted.concat());
            assert!(off < 1e-4, "{name} {role:?}: {off}");
        }
    }
}

#[test]
fn both_encoders_agree() {
    for name in oracle::MODELS {
        let (encoder, values) = TrainEncoder::open(&model_dir(name), PLAIN).expect("a model");
        let texts = ["one", "the quick brown fox jumps over the lazy dog", ""];
        let here = on_cpu(encoder, &values);
        let there = load(&model_dir(name), &LoadOptions::default()).expect("a model");
        let encode = |e: &dyn Encoder| {
            e.encode(&texts, Role::Passage, Task::silent())
                .expect("vectors")
        };
        let off = relative(&encode(&here).values, &encode(there.as_ref()).values);
        assert!(off < 1e-5, "{name}: {off}");
    }
}

#[test]
fn gradients_are_those_of_pytorch() {
    let golden = golden();
    for (name, wanted) in &golden.models {
        let (encoder, values) = open(name);
        let settings = oracle::settings(loss::Objective::InBatchAndMined, wanted.scale);
        let stepper = oracle::stepper(
            (Arc::clone(&encoder), values),
            settings,
            0.0,
            &Device::flex(),
        );
        let input = golden_input(&encoder, &golden);
        let (loss, gradient) = stepper.gradient_values(&input, 0).expect("a gradient");
        assert!(
            (f64::from(loss) / wanted.in_batch - 1.0).abs() < 1e-4,
            "{name}: {loss}"
        );
        let norms = norms(encoder.layout(), &gradient);
        assert_eq!(norms.len(), wanted.norms.len(), "{name}");
        for (parameter, norm) in &wanted.norms {
            let found = norms[&without_prefix(parameter)];
            // A key's bias moves all scores of a query alike: its gradient is 0 but for rounding.
            let off = (found - norm).abs() / norm.max(1e-3);
            assert!(off < 2e-3, "{name} {parameter}: {found} for {norm}");
        }
    }
}

fn without_prefix(name: &str) -> String {
    let name = name
        .strip_prefix("2.")
        .or_else(|| name.strip_prefix("0."))
        .unwrap_or(name);
    name.to_owned()
}

fn norms(layout: &Layout, gradient: &[f32]) -> BTreeMap<String, f64> {
    let norm = |e: &Entry| {
        let numbers = &gradient[e.start..e.start + e.count()];
        numbers
            .iter()
            .map(|x| f64::from(*x).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let bare = |name: &str| {
        let prefixes = ["roberta.", "distilbert."];
        let found = prefixes.iter().find_map(|p| name.strip_prefix(p));
        found.unwrap_or(name).to_owned()
    };
    layout
        .entries()
        .iter()
        .map(|e| (bare(&e.name), norm(e)))
        .collect()
}

#[test]
fn every_number_of_berts_gradient_is_pytorchs() {
    let golden = golden();
    let (encoder, values) = open("bert");
    let settings = oracle::settings(
        loss::Objective::InBatchAndMined,
        golden.models["bert"].scale,
    );
    let stepper = oracle::stepper(
        (Arc::clone(&encoder), values),
        settings,
        0.0,
        &Device::flex(),
    );
    let input = golden_input(&encoder, &golden);
    let (_, gradient) = stepper.gradient_values(&input, 0).expect("a gradient");
    let bytes = std::fs::read(golden_dir().join("bert-gradients.safetensors")).expect("a file");
    let wanted = SafeTensors::deserialize(&bytes).expect("whole");
    for entry in encoder.layout().entries() {
        let data = wanted
            .tensor(&entry.name)
            .expect("a gradient")
            .data()
            .as_chunks::<4>()
            .0;
        let wanted: Vec<f32> = data.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let off = difference(&encoder.layout().stored(entry, &gradient), &wanted);
        assert!(off < 2e-5, "{}: {off}", entry.name);
    }
}

#[test]
fn a_saved_model_opens_in_the_engine_with_the_same_vectors() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["bert", "roberta", "distilbert", "static", "model2vec"] {
        let (encoder, mut values) = TrainEncoder::open(&model_dir(name), PLAIN).expect("a model");
        for (i, value) in values.iter_mut().enumerate() {
            *value += 0.01 * (i as f32).sin();
        }
        let out = dir.path().join(name);
        // Twice: a folder that is there is replaced.
        encoder.save(&values, &out).expect("a whole disk");
        encoder.save(&values, &out).expect("a whole disk");
        assert_same_vectors(name, encoder, &values, &out);
    }
}

fn assert_same_vectors(name: &str, encoder: TrainEncoder, values: &[f32], out: &std::path::Path) {
    let texts = ["a fox", "the lazy dog and the tower of Tokyo"];
    let saved = load(out, &LoadOptions::default()).expect("a saved model");
    let here = on_cpu(encoder, values);
    for role in [Role::Query, Role::Passage] {
        let encode = |e: &dyn Encoder| e.encode(&texts, role, Task::silent()).expect("vectors");
        let off = relative(&encode(&here).values, &encode(saved.as_ref()).values);
        assert!(off < 1e-5, "{name} {role:?}: {off}");
    }
}

#[test]
fn the_papers_head_is_saved_as_modules() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = OpenOptions {
        ance_head: true,
        ..PLAIN
    };
    for name in ["bert", "roberta"] {
        let (encoder, values) = TrainEncoder::open(&model_dir(name), options).expect("a model");
        assert!(!encoder.normalizes());
        let out = dir.path().join(name);
        encoder.save(&values, &out).expect("a whole disk");
        assert_same_vectors(name, encoder, &values, &out);
        // What was saved has its head already and is opened as it is.
        let (again, found) = TrainEncoder::open(&out, PLAIN).expect("a saved model");
        assert_eq!((again.dimension(), found.len()), (32, values.len()));
    }
}

#[test]
fn tensors_that_are_not_trained_are_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let (start, out) = (dir.path().join("start"), dir.path().join("out"));
    let (encoder, values) = TrainEncoder::open(&model_dir("bert"), PLAIN).expect("a model");
    encoder.save(&values, &start).expect("a whole disk");
    let path = start.join("model.safetensors");
    let bytes = std::fs::read(&path).expect("a file");
    let mut tensors = SafeTensors::deserialize(&bytes).expect("whole").tensors();
    let pooler = [1, 2, 3, 4, 5, 6, 7, 8];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![1], &pooler);
    tensors.push(("embeddings.position_ids".into(), view.expect("eight bytes")));
    let bytes = safetensors::serialize(tensors, None).expect("a file");
    std::fs::write(&path, bytes).expect("writable");
    let (encoder, values) = TrainEncoder::open(&start, PLAIN).expect("a model");
    encoder.save(&values, &out).expect("a whole disk");
    let saved = std::fs::read(out.join("model.safetensors")).expect("a file");
    let saved = SafeTensors::deserialize(&saved).expect("whole");
    assert_eq!(
        saved
            .tensor("embeddings.position_ids")
            .expect("kept")
            .data(),
        pooler
    );
}

#[test]
fn batches_have_few_lengths_and_lose_no_token() {
    for length in 1..400 {
        for buckets in [Buckets::Fine, Buckets::Coarse] {
            let rounded = buckets.round(length, 512);
            assert!(
                rounded >= length && rounded < length + 64,
                "{length}: {rounded}"
            );
        }
    }
    assert_eq!(Buckets::Coarse.round(130, 140), 140);
    let shapes: std::collections::BTreeSet<usize> =
        (1..=512).map(|l| Buckets::Coarse.round(l, 512)).collect();
    assert_eq!(shapes.len(), 11);
}

#[test]
fn dropout_repeats_itself_and_drops_its_share() {
    let device = Device::flex();
    let draw = |seed: u64| {
        let mut noise = Noise::new(0.25, 0.0, seed);
        let ones = Tensor::<2>::ones([100, 100], &device);
        let twice = [noise.drop_hidden(ones.clone()), noise.drop_hidden(ones)];
        twice.map(|x| x.try_into_vec_as::<f32>().expect("numbers"))
    };
    let [first, second] = draw(7);
    assert_eq!(draw(7), [first.clone(), second.clone()]);
    assert_ne!(first, second);
    assert_ne!(draw(8)[0], first);
    let kept = first.iter().filter(|x| **x != 0.0).count();
    assert!((7200..7800).contains(&kept), "{kept}");
    assert!(
        first
            .iter()
            .all(|x| *x == 0.0 || (x - 1.0 / 0.75).abs() < 1e-6)
    );
}

#[test]
fn gradients_do_not_depend_on_how_texts_are_padded() {
    let golden = golden();
    let (encoder, values) = open("roberta");
    let input = golden_input(&encoder, &golden);
    let options = OpenOptions {
        buckets: Buckets::Coarse,
        ..PLAIN
    };
    let (coarse, _) = TrainEncoder::open(&model_dir("roberta"), options).expect("a model");
    let gradients = [encoder, Arc::new(coarse)].map(|encoder| {
        let settings = oracle::settings(loss::Objective::Pairwise, 20.0);
        let stepper: step::Stepper =
            oracle::stepper((encoder, values.clone()), settings, 0.0, &Device::flex());
        stepper.gradient_values(&input, 0).expect("a gradient").1
    });
    assert!(relative(&gradients[0], &gradients[1]) < 1e-4);
}

#[test]
fn whole_numbers_are_off_by_half_a_unit_at_most() {
    let rows = [
        0.5f32, -1.0, 0.25, 0.003, 0.0, 0.0, 0.0, 0.0, 1e-6, -3e-7, 2e-6, 0.0,
    ];
    let (numbers, units) = quantized(&rows, 4);
    assert_eq!((numbers[1], units[1]), (-127, 0.0));
    for ((row, numbers), unit) in rows.chunks(4).zip(numbers.chunks(4)).zip(&units) {
        for (wanted, found) in row.iter().zip(numbers) {
            assert!((f32::from(*found) * unit - wanted).abs() <= unit * 0.5001);
        }
    }
}
