//! Does the encoder agree with Hugging Face and PyTorch, and does it refuse what it cannot do?
//!
//! The models below tests/golden/encoder are made by tests/golden/make_encoder.py.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use storage::Task;
use tempfile::TempDir;

use super::bert::Scratch;
use super::cpu::{Body, CpuEncoder};
use super::kernels::allocations;
use super::load::load_cpu;
use super::{
    EncodeError, Encoder, LoadOptions, ModelError, Precision, PrecisionReport, Role, fastest, load,
    measure_precisions,
};

/// What PyTorch computed for a folder.
#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    query: Vec<Vec<f32>>,
    passage: Vec<Vec<f32>>,
    #[serde(default)]
    tokens: Vec<Vec<f32>>,
    #[serde(default)]
    pooled: std::collections::BTreeMap<String, Vec<f32>>,
}

const FOLDERS: [&str; 5] = ["bert", "roberta", "distilbert", "static", "model2vec"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/encoder")
        .join(name)
}

fn open(dir: &Path) -> CpuEncoder {
    load_cpu(dir, &LoadOptions::default()).expect("the folder is a complete model")
}

fn expected(name: &str) -> Expected {
    let text = std::fs::read(golden(name).join("expected.json")).expect("committed file");
    serde_json::from_slice(&text).expect("written by make_encoder.py")
}

fn encode(encoder: &CpuEncoder, texts: &[&str], role: Role) -> Vec<Vec<f32>> {
    let found = encoder
        .encode(texts, role, Task::silent())
        .expect("no cancel flag");
    found.rows().map(<[f32]>::to_vec).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)
}

/// Rounding of a two-layer model in single precision stays two orders below this.
#[track_caller]
fn close(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let worst = found
        .iter()
        .zip(wanted)
        .map(|(f, w)| (f - w).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-4, "{what}: largest difference {worst}");
    let all_zero = wanted.iter().all(|x| *x == 0.0);
    assert!(all_zero || cosine(found, wanted) > 0.9999, "{what}: cosine");
}

/// A copy of a golden folder that a test may spoil.
fn copy(name: &str) -> TempDir {
    let to = tempfile::tempdir().expect("temporary folder");
    copy_tree(&golden(name), to.path());
    to
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("create folder");
    for entry in std::fs::read_dir(from).expect("read folder") {
        let path = entry.expect("entry").path();
        let target = to.join(path.file_name().expect("entries have names"));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copy file");
        }
    }
}

/// Replaces `from` by `to` in a JSON file of the folder; fails the test if there is nothing to replace.
fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let path = dir.join(file);
    let text = std::fs::read_to_string(&path).expect("a text file");
    assert!(text.contains(from), "{file} has no {from}: {text}");
    std::fs::write(&path, text.replace(from, to)).expect("write");
}

/// Rewrites model.safetensors with every tensor passed through `change` (name, bytes).
fn rewrite(dir: &Path, mut change: impl FnMut(&mut String, &mut Vec<u8>)) {
    use safetensors::tensor::{SafeTensors, TensorView, serialize};
    let path = dir.join("model.safetensors");
    let bytes = std::fs::read(&path).expect("weights");
    let stored = SafeTensors::deserialize(&bytes).expect("valid file");
    let changed: Vec<(String, Vec<u8>, TensorView<'_>)> = stored
        .tensors()
        .into_iter()
        .map(|(mut name, view)| {
            let mut data = view.data().to_vec();
            change(&mut name, &mut data);
            (name, data, view)
        })
        .collect();
    let views = changed.iter().map(|(name, data, view)| {
        let view = TensorView::new(view.dtype(), view.shape().to_vec(), data);
        (name.clone(), view.expect("same size"))
    });
    std::fs::write(&path, serialize(views, None).expect("serialise")).expect("write");
}

#[track_caller]
fn refused(dir: &Path, words: &[&str]) {
    match load(dir, &LoadOptions::default()) {
        Ok(_) => panic!("opened, expected an error with {words:?}"),
        Err(e) => {
            let text = e.to_string();
            assert!(
                words.iter().all(|w| text.contains(w)),
                "{text:?} lacks one of {words:?}"
            );
        }
    }
}

#[test]
fn ids_equal_those_of_hugging_face() {
    for name in FOLDERS {
        let (encoder, expected) = (open(&golden(name)), expected(name));
        for (text, wanted) in expected.texts.iter().zip(&expected.ids) {
            let mut ids = Vec::new();
            encoder.tokenizer.ids(text, &mut ids).expect("any text");
            assert_eq!(&ids, wanted, "{name} {text:?}");
        }
    }
}

#[test]
fn vectors_equal_those_of_sentence_transformers() {
    for name in FOLDERS {
        let (encoder, expected) = (open(&golden(name)), expected(name));
        let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
        for (role, wanted) in [
            (Role::Query, &expected.query),
            (Role::Passage, &expected.passage),
        ] {
            let found = encode(&encoder, &texts, role);
            for ((text, found), wanted) in texts.iter().zip(&found).zip(wanted) {
                close(found, wanted, &format!("{name} {role:?} {text:?}"));
            }
        }
    }
}

#[test]
fn token_vectors_equal_those_of_pytorch() {
    let (encoder, expected) = (open(&golden("bert")), expected("bert"));
    let Body::Bert(bert, _) = &encoder.body else {
        panic!("the folder holds a transformer")
    };
    let ids = &expected.ids[0];
    let mut scratch = Scratch::default();
    let found = bert.forward(ids, &[ids.len()], &mut scratch);
    close(found, &expected.tokens.concat(), "token vectors");
}

#[test]
fn every_pooling_mode_equals_sentence_transformers() {
    let expected = expected("bert");
    assert_eq!(expected.pooled.len(), 6);
    for (mode, wanted) in &expected.pooled {
        let dir = copy("bert");
        let config = format!("{{\"pooling_mode\": \"{mode}\", \"embedding_dimension\": 32}}");
        std::fs::write(dir.path().join("1_Pooling/config.json"), config).expect("write");
        edit(
            dir.path(),
            "modules.json",
            "models.Normalize",
            "models.Dense",
        );
        std::fs::create_dir(dir.path().join("2_Normalize")).expect("create");
        identity_layer(&dir.path().join("2_Normalize"), 32);
        let found = encode(&open(dir.path()), &[&expected.texts[0]], Role::Passage);
        close(&found[0], wanted, mode);
    }
}

/// A Dense module that returns its input.
fn identity_layer(dir: &Path, width: usize) {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let config = format!(
        "{{\"in_features\": {width}, \"out_features\": {width}, \"bias\": false, \
         \"activation_function\": \"torch.nn.modules.linear.Identity\"}}"
    );
    std::fs::write(dir.join("config.json"), config).expect("write");
    let one = |i: usize| {
        if i.is_multiple_of(width + 1) {
            1.0f32
        } else {
            0.0
        }
    };
    let bytes: Vec<u8> = (0..width * width)
        .flat_map(|i| one(i).to_le_bytes())
        .collect();
    let view = TensorView::new(Dtype::F32, vec![width, width], &bytes).expect("sizes agree");
    let file = serialize([("linear.weight", view)], None).expect("serialise");
    std::fs::write(dir.join("model.safetensors"), file).expect("write");
}

#[test]
fn any_length_gives_a_unit_vector() {
    let encoder = open(&golden("bert"));
    let long = "dog fox ".repeat(50_000);
    assert_eq!(encoder.count_tokens(&long), 100_000);
    let half_a_thousand = "fox ".repeat(510);
    for text in [
        "",
        " \n",
        "a",
        &half_a_thousand,
        &long,
        "\u{10fffd}\u{10fffc} \u{10fffb}",
        "\0\u{1}\u{7f}",
    ] {
        let vector = &encode(&encoder, &[text], Role::Query)[0];
        let length = cosine_length(vector);
        assert!(
            (length - 1.0).abs() < 1e-5,
            "{length} for {} bytes",
            text.len()
        );
    }
    assert_eq!(encode(&encoder, &[], Role::Query).len(), 0);
}

fn cosine_length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[test]
fn a_vector_does_not_depend_on_its_batch_or_the_threads() {
    for name in FOLDERS {
        let expected = expected(name);
        let texts: Vec<&str> = expected
            .texts
            .iter()
            .map(String::as_str)
            .cycle()
            .take(100)
            .collect();
        let one = LoadOptions {
            threads: Some(1),
            ..LoadOptions::default()
        };
        let alone = load_cpu(&golden(name), &one).expect("complete model");
        let together = encode(&open(&golden(name)), &texts, Role::Passage);
        assert_eq!(
            together,
            encode(&alone, &texts, Role::Passage),
            "{name}: threads"
        );
        for (text, found) in texts.iter().zip(&together) {
            close(found, &encode(&alone, &[text], Role::Passage)[0], name);
        }
    }
}

#[test]
fn a_raised_flag_stops_the_work() {
    let encoder = open(&golden("bert"));
    let cancel = AtomicBool::new(false);
    let texts = vec!["the quick brown fox"; 10_000];
    // Raised by the first report, so some windows are done and the rest must not be.
    let progress = |_| cancel.store(true, Ordering::Relaxed);
    let stopped = encoder.encode(&texts, Role::Passage, Task::new(&progress, &cancel));
    assert!(matches!(stopped, Err(EncodeError::Cancelled(_))));
}

#[test]
fn a_missing_file_is_named_with_its_purpose() {
    for (file, purpose) in [
        ("config.json", "sizes"),
        ("tokenizer.json", "vocabulary"),
        ("model.safetensors", "weights"),
        ("1_Pooling/config.json", "one vector"),
    ] {
        let dir = copy("bert");
        std::fs::remove_file(dir.path().join(file)).expect("remove");
        refused(dir.path(), &[file, "is missing", purpose]);
    }
    refused(
        Path::new("/no/such/folder"),
        &["/no/such/folder", "is missing"],
    );
}

#[test]
fn a_broken_file_is_named() {
    for file in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "modules.json",
    ] {
        let dir = copy("bert");
        let path = dir.path().join(file);
        let half = std::fs::read(&path).expect("read");
        std::fs::write(&path, &half[..half.len() / 2]).expect("write");
        refused(dir.path(), &[file]);
    }
}

#[test]
fn nan_and_infinity_are_refused_by_tensor() {
    for (name, value) in [("bert", f32::NAN), ("static", f32::INFINITY)] {
        let dir = copy(name);
        let weights = if name == "bert" {
            dir.path().to_path_buf()
        } else {
            dir.path().join("0_StaticEmbedding")
        };
        let mut spoilt = String::new();
        rewrite(&weights, |tensor, bytes| {
            if spoilt.is_empty() && tensor.contains(".weight") {
                spoilt = tensor.clone();
                let last = bytes.len() - 4;
                bytes[last..].copy_from_slice(&value.to_le_bytes());
            }
        });
        refused(dir.path(), &[&spoilt, "NaN or infinity"]);
    }
}

#[test]
fn nan_in_half_precision_is_refused() {
    for (name, nan) in [("roberta", 0x7fc0_u16), ("distilbert", 0x7e00)] {
        let dir = copy(name);
        rewrite(dir.path(), |tensor, bytes| {
            if tensor.ends_with("word_embeddings.weight") {
                bytes[..2].copy_from_slice(&nan.to_le_bytes());
            }
        });
        refused(dir.path(), &["word_embeddings.weight", "NaN or infinity"]);
    }
}

#[test]
fn a_tensor_of_another_shape_is_refused_by_name() {
    let cases = [
        (
            "\"intermediate_size\": 48",
            "\"intermediate_size\": 64",
            "intermediate.dense",
        ),
        (
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 3",
            "encoder.layer.2",
        ),
        (
            "\"max_position_embeddings\": 40",
            "\"max_position_embeddings\": 50",
            "position_embeddings",
        ),
    ];
    for (from, to, tensor) in cases {
        let dir = copy("bert");
        edit(dir.path(), "config.json", from, to);
        refused(dir.path(), &[tensor]);
    }
}

#[test]
fn contradictions_and_unknown_wishes_are_refused() {
    let cases = [
        (
            "config.json",
            "\"model_type\": \"bert\"",
            "\"model_type\": \"mpnet\"",
            "mpnet",
        ),
        (
            "config.json",
            "\"hidden_act\": \"gelu\"",
            "\"hidden_act\": \"silu\"",
            "silu",
        ),
        (
            "config.json",
            "\"num_attention_heads\": 4",
            "\"num_attention_heads\": 5",
            "num_attention_heads",
        ),
        (
            "config.json",
            "\"hidden_size\": 32",
            "\"hidden_size\": 0",
            "hidden_size",
        ),
        ("modules.json", "models.Normalize", "models.LSTM", "LSTM"),
        (
            "modules.json",
            "1_Pooling",
            "../elsewhere",
            "leaves the model folder",
        ),
        ("1_Pooling/config.json", "32", "48", "48"),
        (
            "tokenizer.json",
            "\"vocab\":{",
            "\"vocab\":{\"zz\":4000,",
            "4000",
        ),
    ];
    for (file, from, to, word) in cases {
        let dir = copy("bert");
        edit(dir.path(), file, from, to);
        refused(dir.path(), &[word]);
    }
}

#[test]
fn a_limit_without_room_for_text_is_refused() {
    let dir = copy("bert");
    edit(dir.path(), "sentence_bert_config.json", "24", "2");
    refused(dir.path(), &["2 tokens leaves no room"]);
}

#[test]
fn old_names_and_prefixes_are_found() {
    let dir = copy("bert");
    rewrite(dir.path(), |name, _| {
        *name = format!("bert.{name}")
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
    });
    let (renamed, original) = (open(dir.path()), open(&golden("bert")));
    assert_eq!(renamed.identity().hash, original.identity().hash);
    let text = ["the quick brown fox"];
    assert_eq!(
        encode(&renamed, &text, Role::Query),
        encode(&original, &text, Role::Query)
    );
}

#[test]
fn shards_are_read_as_one() {
    let dir = copy("bert");
    let whole = dir.path().join("model.safetensors");
    let second = tempfile::tempdir().expect("temporary folder");
    std::fs::copy(&whole, second.path().join("model.safetensors")).expect("copy");
    let is_layer = |name: &str| name.starts_with("encoder");
    rewrite(dir.path(), |name, _| {
        if is_layer(name) {
            name.insert_str(0, "unused.");
        }
    });
    rewrite(second.path(), |name, _| {
        if !is_layer(name) {
            name.insert_str(0, "unused.");
        }
    });
    std::fs::rename(&whole, dir.path().join("model-1.safetensors")).expect("rename");
    std::fs::copy(
        second.path().join("model.safetensors"),
        dir.path().join("model-2.safetensors"),
    )
    .expect("copy");
    let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    std::fs::write(dir.path().join("model.safetensors.index.json"), index).expect("write");
    assert_eq!(
        open(dir.path()).identity().hash,
        open(&golden("bert")).identity().hash
    );
}

#[test]
fn the_identity_follows_everything_that_decides_vectors() {
    let hash = |dir: &Path| open(dir).identity().hash.clone();
    let edits: [(&str, &str, &str); 6] = [
        ("sentence_bert_config.json", "24", "23"),
        ("sentence_bert_config.json", "false", "true"),
        (
            "1_Pooling/config.json",
            "\"pooling_mode_max_tokens\": false",
            "\"pooling_mode_max_tokens\": true",
        ),
        (
            "config.json",
            "\"hidden_act\": \"gelu\"",
            "\"hidden_act\": \"relu\"",
        ),
        (
            "tokenizer.json",
            "\"lowercase\":true",
            "\"lowercase\":false",
        ),
        ("modules.json", "models.Pooling", "models.Pooling"),
    ];
    let mut seen = Vec::new();
    for (file, from, to) in edits {
        let dir = copy("bert");
        edit(dir.path(), file, from, to);
        seen.push(hash(dir.path()));
    }
    let dir = copy("bert");
    rewrite(dir.path(), |name, bytes| {
        if name == "encoder.layer.1.output.dense.bias" {
            bytes[0] ^= 1;
        }
    });
    seen.push(hash(dir.path()));
    let dir = copy("bert");
    let prompts = r#"{"prompts": {"query": "find: "}}"#;
    std::fs::write(
        dir.path().join("config_sentence_transformers.json"),
        prompts,
    )
    .expect("write");
    seen.push(hash(dir.path()));

    assert_eq!(
        seen[5],
        hash(&golden("bert")),
        "an edit that changes nothing"
    );
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 8, "two different encoders share a hash");
}

#[test]
fn the_name_is_the_folder_or_what_the_caller_says() {
    assert_eq!(open(&golden("bert")).identity().name, "bert");
    let named = LoadOptions {
        name: Some("mine".into()),
        ..LoadOptions::default()
    };
    let encoder = load(&golden("bert"), &named).expect("complete model");
    assert_eq!(encoder.identity().name, "mine");
    assert_eq!(encoder.identity().dimension, 32);
    assert_eq!(encoder.identity().max_tokens, 24);
}

#[test]
fn errors_keep_their_kind() {
    let dir = copy("bert");
    std::fs::remove_file(dir.path().join("tokenizer.json")).expect("remove");
    let missing = load(dir.path(), &LoadOptions::default()).err();
    assert!(matches!(missing, Some(ModelError::Missing { .. })));
}

#[test]
fn every_precision_is_near_pytorch() {
    for name in ["bert", "roberta", "distilbert"] {
        let expected = expected(name);
        let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
        for precision in Precision::available() {
            let options = LoadOptions {
                precision,
                ..LoadOptions::default()
            };
            let encoder = load_cpu(&golden(name), &options).expect("complete model");
            // Weights of this size are harsher to round than a trained model's.
            let bound = match precision {
                Precision::F32 => 0.99999,
                Precision::Bf16 => 0.999,
                Precision::Int8 => 0.99,
            };
            for (found, wanted) in encode(&encoder, &texts, Role::Passage)
                .iter()
                .zip(&expected.passage)
            {
                let cosine = cosine(found, wanted);
                assert!(cosine > bound, "{name} {precision:?}: {cosine}");
            }
            assert_eq!(encoder.identity().hash, open(&golden(name)).identity().hash);
        }
    }
}

#[test]
fn measuring_lists_what_the_cpu_has_and_chooses_within_the_bound() {
    let reports = measure_precisions(&golden("bert"), 0.9, Task::silent()).expect("complete model");
    let measured: Vec<Precision> = reports.iter().map(|r| r.precision).collect();
    assert_eq!(measured, Precision::available());
    assert!(reports.iter().all(|r| r.texts_per_second > 0.0));
    assert!(reports[0].least_cosine > 0.99999, "f32 against itself");
    let impossible =
        measure_precisions(&golden("bert"), 0.999_999, Task::silent()).expect("complete model");
    assert_eq!(fastest(&impossible), Precision::F32);
}

/// A feed-forward unit that is always far out and that no output looks at: nothing in f32, ruin for a grid that has to
/// reach it.
#[test]
fn int8_is_not_chosen_for_a_model_with_outliers() {
    let dir = copy("bert");
    rewrite(dir.path(), |name, bytes| {
        if name.ends_with("intermediate.dense.bias") {
            bytes[..4].copy_from_slice(&1e5f32.to_le_bytes());
        } else if name.ends_with("layer.0.output.dense.weight")
            || name.ends_with("layer.1.output.dense.weight")
        {
            let inputs = 48;
            for row in bytes.chunks_exact_mut(4 * inputs) {
                row[..4].copy_from_slice(&0.0f32.to_le_bytes());
            }
        }
    });
    let reports = measure_precisions(dir.path(), 0.999, Task::silent()).expect("complete model");
    for report in &reports {
        let is_int8 = report.precision == Precision::Int8;
        assert_eq!(report.within_bound, !is_int8, "{report:?}");
    }
    assert_ne!(fastest(&reports), Precision::Int8);
}

#[test]
fn a_less_exact_precision_has_to_be_worth_it() {
    let report = |precision, texts_per_second, within_bound| PrecisionReport {
        precision,
        texts_per_second,
        mean_cosine: 1.0,
        least_cosine: 1.0,
        within_bound,
    };
    let chosen = |bf16: f64, int8: f64, within| {
        fastest(&[
            report(Precision::F32, 100.0, true),
            report(Precision::Bf16, bf16, true),
            report(Precision::Int8, int8, within),
        ])
    };
    assert_eq!(chosen(105.0, 109.0, true), Precision::F32);
    assert_eq!(chosen(200.0, 210.0, true), Precision::Bf16);
    assert_eq!(chosen(200.0, 300.0, true), Precision::Int8);
    assert_eq!(chosen(200.0, 300.0, false), Precision::Bf16);
    assert_eq!(fastest(&[]), Precision::F32);
}

#[test]
fn a_query_allocates_its_vector_and_nothing_else() {
    for name in ["bert", "distilbert", "static"] {
        for precision in Precision::available() {
            let options = LoadOptions {
                precision,
                ..LoadOptions::default()
            };
            let encoder = load_cpu(&golden(name), &options).expect("complete model");
            let queries = [
                "the quick brown fox jumps over the lazy dog",
                "fox",
                "dog? FOX!",
            ];
            let ask = |query: &&str| {
                let task = Task::silent();
                let vector = encoder
                    .encode(&[query], Role::Query, task)
                    .expect("any text");
                assert_eq!(vector.values.len(), encoder.identity().dimension);
            };
            // A prompt is put before the text in a new string, which grows once.
            let most = if encoder.query.text.is_empty() { 1 } else { 3 };
            queries.iter().for_each(ask);
            for query in &queries {
                let count = allocations::during(|| ask(query));
                assert!(
                    count <= most,
                    "{name} {precision:?} {query:?}: {count} blocks"
                );
            }
        }
    }
}

#[test]
fn progress_counts_every_text_and_ends_with_all() {
    for name in ["bert", "static"] {
        let encoder = open(&golden(name));
        let texts = vec!["the quick brown fox"; 1000];
        let reports = std::sync::Mutex::new(Vec::new());
        let progress = |p: storage::Progress| reports.lock().expect("one at a time").push(p);
        let cancel = AtomicBool::new(false);
        encoder
            .encode(&texts, Role::Passage, Task::new(&progress, &cancel))
            .expect("no cancel flag");
        let reports = reports.into_inner().expect("one at a time");
        assert!(reports.len() > 3, "{name}: {} reports", reports.len());
        assert!(
            reports
                .iter()
                .all(|p| p.stage == "encoding" && p.total == 1000)
        );
        assert_eq!(reports.iter().map(|p| p.done).max(), Some(1000), "{name}");
    }
}

#[test]
fn skimming_finds_texts_of_the_same_words_near() {
    let encoder = open(&golden("bert"));
    let (query, longer) = (
        "the quick brown fox",
        "the quick brown fox jumps over the lazy dog",
    );
    let near = encoder.skim(query, &["tower", query, longer, ""]);
    let near = near.expect("a transformer has word vectors");
    assert!((near[1] - 1.0).abs() < 1e-5, "{near:?}");
    assert!(near[1] > near[2] && near[2] > near[0], "{near:?}");
    assert_eq!(near[3], 0.0, "nothing is like nothing");
    let plain = open(&golden("static"));
    assert!(
        plain.skim(query, &[query]).is_none(),
        "encoding is as cheap"
    );
}

/// Replaces the table of `dir`, tensor `name` in f32, by whole numbers and the weights that are their units; gives what they
/// stand for.
fn quantize(dir: &Path, name: &str) -> (Vec<f32>, usize) {
    use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
    let path = dir.join("model.safetensors");
    let bytes = std::fs::read(&path).expect("weights");
    let stored = SafeTensors::deserialize(&bytes).expect("valid file");
    let table = stored.tensor(name).expect("a table");
    let [count, width] = *table.shape() else {
        panic!("a table has two axes")
    };
    let numbers = table.data().as_chunks::<4>().0;
    let numbers: Vec<f32> = numbers.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let (mut whole, mut units, mut stands_for) = (Vec::new(), Vec::new(), Vec::new());
    for row in numbers.chunks_exact(width) {
        let unit = row.iter().fold(1e-9f32, |m, x| m.max(x.abs())) / 127.0;
        let row: Vec<i8> = row.iter().map(|x| (x / unit).round() as i8).collect();
        stands_for.extend(row.iter().map(|n| unit * f32::from(*n)));
        whole.extend(row.iter().map(|n| n.cast_unsigned()));
        units.extend(unit.to_le_bytes());
    }
    let views = [
        (name, TensorView::new(Dtype::I8, vec![count, width], &whole)),
        ("weights", TensorView::new(Dtype::F32, vec![count], &units)),
    ];
    let views = views.map(|(name, view)| (name, view.expect("sizes fit")));
    std::fs::write(&path, serialize(views, None).expect("serialise")).expect("write");
    (stands_for, width)
}

#[test]
fn whole_numbers_give_the_vectors_of_what_they_stand_for() {
    let dir = copy("static");
    let inner = dir.path().join("0_StaticEmbedding");
    let (rows, width) = quantize(&inner, "embedding.weight");
    let encoder = open(dir.path());
    let original = open(&golden("static"));
    assert_ne!(encoder.identity.hash, original.identity.hash);
    for text in ["the quick brown fox", "fox, fox and dog", "", "0 2 4"] {
        let mut ids = Vec::new();
        encoder.tokenizer.ids(text, &mut ids).expect("any text");
        let mut wanted = vec![0.0f32; width];
        for id in &ids {
            let row = &rows[*id as usize * width..][..width];
            wanted
                .iter_mut()
                .zip(row)
                .for_each(|(w, x)| *w += x / ids.len() as f32);
        }
        let mut found = vec![0.0; width];
        let Body::Static(table) = &encoder.body else {
            panic!("a static model")
        };
        table.mean(&ids, &mut Vec::new(), &mut found);
        close(&found, &wanted, text);
        let exact = encode(&original, &[text], Role::Passage).concat();
        let rounded = encode(&encoder, &[text], Role::Passage).concat();
        assert!(ids.is_empty() || cosine(&exact, &rounded) > 0.999, "{text}");
    }
    let blueprint = super::blueprint::Blueprint::open(dir.path()).expect("a model");
    let super::blueprint::Family::Static(layout) = blueprint.family() else {
        panic!("a static model")
    };
    assert!(layout.quantized && layout.factors.is_empty());
    close(&layout.table.values, &rows, "the table for training");
}

#[test]
fn whole_numbers_are_refused_where_there_is_no_unit_for_them() {
    let dir = copy("bert");
    let spoilt = "embeddings.word_embeddings.weight";
    let path = dir.path().join("model.safetensors");
    let bytes = std::fs::read(&path).expect("weights");
    let header = usize::from_le_bytes(bytes[..8].try_into().expect("8 bytes"));
    let text = std::str::from_utf8(&bytes[8..8 + header]).expect("a header of JSON");
    let mut header: serde_json::Value = serde_json::from_str(text).expect("a header of JSON");
    let tensor = &mut header[spoilt];
    let width = tensor["shape"][1].as_u64().expect("two axes");
    tensor["shape"][1] = (4 * width).into();
    tensor["dtype"] = "I8".into();
    let header_bytes = serde_json::to_vec(&header).expect("JSON");
    let mut file = (header_bytes.len() as u64).to_le_bytes().to_vec();
    file.extend(&header_bytes);
    file.extend(&bytes[8 + text.len()..]);
    std::fs::write(&path, file).expect("write");
    refused(dir.path(), &[spoilt, "I8", "F32"]);
}
