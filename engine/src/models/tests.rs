use tempfile::TempDir;

use super::*;

/// A static encoder of `dimension` numbers a word in the layout of model2vec, with files that need not be copied.
fn folder(parent: &Path, name: &str, dimension: usize) -> PathBuf {
    let dir = parent.join(name);
    fs::create_dir_all(dir.join("onnx")).expect("folders");
    let put =
        |file: &str, bytes: &[u8]| fs::write(dir.join(file), bytes).expect("a file is written");
    put(
        "config.json",
        br#"{"model_type": "model2vec", "normalize": true}"#,
    );
    put(
        "tokenizer.json",
        br#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "heron": 1}, "unk_token": "[UNK]"}}"#,
    );
    let values: Vec<u8> = (0..2 * dimension)
        .flat_map(|i| (i as f32 + 1.0).to_le_bytes())
        .collect();
    let tensor =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, dimension], &values)
            .expect("as many bytes as the shape says");
    safetensors::serialize_to_file(
        [("embeddings", tensor)],
        None,
        &dir.join("model.safetensors"),
    )
    .expect("weights");
    put("README.md", b"---\nlicense: mit\n---\n");
    put("pytorch_model.bin", b"another framework's copy");
    put("onnx/model.json", b"{}");
    dir
}

fn desk() -> (TempDir, ModelStore) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = ModelStore::new(dir.path().join("models"));
    (dir, store)
}

fn names(store: &ModelStore) -> Vec<String> {
    store
        .list()
        .expect("a list")
        .into_iter()
        .map(|entry| entry.identity.name)
        .collect()
}

#[test]
fn a_model_is_copied_listed_opened_and_removed() {
    let (dir, store) = desk();
    assert_eq!(names(&store), [""; 0]);
    let added = store
        .add(&folder(dir.path(), "tiny", 4), None)
        .expect("it is added");
    assert_eq!(
        (added.identity.name.as_str(), added.identity.dimension),
        ("tiny", 4)
    );
    assert!(added.bytes > 32);
    fs::remove_dir_all(dir.path().join("tiny")).expect("the source may go");
    assert_eq!(names(&store), ["tiny"]);
    let encoder = store.open("tiny").expect("it opens");
    assert_eq!(encoder.identity(), &added.identity);
    assert_eq!(
        store.with_hash(&added.identity.hash).expect("a look-up"),
        Some(added)
    );
    store.remove("tiny").expect("it goes");
    assert_eq!(names(&store), [""; 0]);
    assert_eq!(
        folder_names(&store.dir).expect("the store's folder"),
        [""; 0],
        "nothing is left behind"
    );
}

#[test]
fn only_the_files_of_the_layout_are_copied() {
    let (dir, store) = desk();
    let added = store
        .add(&folder(dir.path(), "tiny", 4), None)
        .expect("it is added");
    let mut files = folder_names(&added.path).expect("its folder");
    files.sort();
    assert_eq!(
        files,
        [
            "README.md",
            DESCRIPTOR,
            "config.json",
            "model.safetensors",
            "tokenizer.json"
        ]
    );
}

#[test]
fn the_folders_of_modules_are_copied_and_none_outside() {
    let (dir, _) = desk();
    let source = dir.path().join("source");
    for module in ["1_Pooling", "other"] {
        fs::create_dir_all(source.join(module)).expect("a folder");
        fs::write(source.join(module).join("config.json"), "{}").expect("a file is written");
    }
    let modules = r#"[{"path": ""}, {"path": "1_Pooling"}, {"path": "../source/other"}, {"path": "/etc"}, {"path": "2_Normalize"}]"#;
    fs::write(source.join("modules.json"), modules).expect("a file is written");
    let target = dir.path().join("target");
    copy_model(&source, &target).expect("it is copied");
    let mut copied = folder_names(&target).expect("its folder");
    copied.sort();
    assert_eq!(copied, ["1_Pooling", "modules.json"]);
}

#[test]
fn the_same_encoder_may_come_again_and_another_may_not_take_its_name() {
    let (dir, store) = desk();
    let source = folder(dir.path(), "tiny", 4);
    let first = store.add(&source, None).expect("it is added");
    assert_eq!(store.add(&source, None).expect("it is there"), first);
    let other = folder(dir.path(), "other", 8);
    assert!(
        matches!(store.add(&other, Some("tiny")), Err(ModelStoreError::Taken { name }) if name == "tiny")
    );
    store
        .add(&other, Some("tiny-8"))
        .expect("another name is free");
    assert_eq!(names(&store), ["tiny", "tiny-8"]);
}

#[test]
fn a_broken_folder_names_its_file_and_leaves_nothing() {
    let (dir, store) = desk();
    let source = folder(dir.path(), "tiny", 4);
    fs::remove_file(source.join("tokenizer.json")).expect("it was there");
    let error = store
        .add(&source, None)
        .expect_err("a file is missing")
        .to_string();
    assert!(error.contains("tiny/tokenizer.json"), "{error}");
    assert_eq!(
        folder_names(&store.dir).expect("no folder is no names"),
        [""; 0]
    );
}

#[test]
fn names_are_plain_folder_names() {
    for bad in [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "-x",
        ".hidden",
        "none",
        "new\nline",
        "C:",
        &"x".repeat(101),
    ] {
        assert!(
            matches!(checked(bad), Err(ModelStoreError::Name { .. })),
            "{bad:?}"
        );
        assert!(
            matches!(desk().1.get(bad), Err(ModelStoreError::Unknown { .. })),
            "{bad:?}"
        );
    }
    for good in ["all-MiniLM-L6-v2", "e5_small.v2", "modèle"] {
        assert!(checked(good).is_ok(), "{good}");
    }
}

#[test]
fn the_default_is_remembered_until_its_model_goes() {
    let (dir, store) = desk();
    let default = || store.default_name().expect("it is read");
    assert_eq!(default(), None);
    store.set_default(None).expect("nothing to forget");
    let error = store
        .set_default(Some("tiny"))
        .expect_err("there is none")
        .to_string();
    assert!(error.contains("askance model add"), "{error}");
    store
        .add(&folder(dir.path(), "tiny", 4), None)
        .expect("it is added");
    store.set_default(Some("tiny")).expect("it is set");
    assert_eq!(default().as_deref(), Some("tiny"));
    store.set_default(None).expect("it is forgotten");
    assert_eq!(default(), None);
    store.set_default(Some("tiny")).expect("it is set");
    store.remove("tiny").expect("it goes");
    assert_eq!(default(), None);
}

#[test]
fn changed_files_are_noticed() {
    let (dir, store) = desk();
    let added = store
        .add(&folder(dir.path(), "tiny", 4), None)
        .expect("it is added");
    let other = folder(dir.path(), "other", 8);
    fs::copy(
        other.join("model.safetensors"),
        added.path.join("model.safetensors"),
    )
    .expect("it is overwritten");
    assert!(matches!(store.open("tiny"), Err(ModelStoreError::Changed { name }) if name == "tiny"));
}

/// The transformer of the golden models, small enough to be measured in a test.
fn transformer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/encoder/bert")
}

#[test]
fn precisions_are_measured_once_and_kept_beside_the_model() {
    let (_dir, store) = desk();
    let path = store
        .add(&transformer(), Some("bert"))
        .expect("it is added")
        .path;
    let before = store.precision("bert").expect("a look-up");
    assert_eq!(
        before,
        PrecisionChoice::default(),
        "nothing is measured yet"
    );
    let measured = store.measure("bert", Task::silent()).expect("it runs");
    assert_eq!(
        measured
            .measured
            .iter()
            .map(|r| r.precision)
            .collect::<Vec<_>>(),
        Precision::available()
    );
    assert_eq!(
        store.measure("bert", Task::silent()).expect("a look-up"),
        measured
    );
    let encoder = store.open("bert").expect("it opens");
    assert_eq!(encoder.precision(), measured.chosen.map(Precision::name));

    // Another CPU's figures say nothing here.
    let file = path.join(precision::FILE);
    let text = fs::read_to_string(&file).expect("a text file");
    let cpu = crate::encoder::cpu_features();
    assert!(text.contains(&cpu));
    fs::write(&file, text.replace(&cpu, "another CPU")).expect("it is written");
    assert_eq!(
        store.precision("bert").expect("a look-up"),
        PrecisionChoice::default()
    );
    store.open("bert").expect("it is measured and opens");
    assert!(store.precision("bert").expect("a look-up").chosen.is_some());

    // The file can go, or be damaged, at any time.
    fs::write(&file, "{").expect("it is written");
    assert!(
        store
            .measure("bert", Task::silent())
            .expect("again")
            .chosen
            .is_some()
    );
}

#[test]
fn a_precision_asked_for_is_used_until_auto_is() {
    let (_dir, store) = desk();
    store
        .add(&transformer(), Some("bert"))
        .expect("it is added");
    let fastest = store
        .measure("bert", Task::silent())
        .expect("it runs")
        .chosen;
    let pinned = store
        .set_precision("bert", Some(Precision::F32), Task::silent())
        .expect("every CPU has it");
    assert_eq!(
        (pinned.chosen, pinned.pinned),
        (Some(Precision::F32), Some(Precision::F32))
    );
    assert_eq!(
        store.open("bert").expect("it opens").precision(),
        Some("f32")
    );
    let back = store
        .set_precision("bert", None, Task::silent())
        .expect("as before");
    assert_eq!((back.chosen, back.pinned), (fastest, None));
}

#[test]
fn a_precision_that_does_not_fit_is_refused_with_the_reason() {
    let (dir, store) = desk();
    store
        .add(&folder(dir.path(), "tiny", 4), None)
        .expect("it is added");
    let error = store
        .set_precision("tiny", Some(Precision::Bf16), Task::silent())
        .expect_err("it multiplies nothing")
        .to_string();
    assert!(
        error.contains("static") && error.contains("--precision auto"),
        "{error}"
    );
    assert_eq!(store.open("tiny").expect("it opens").precision(), None);
    let bert = store
        .add(&transformer(), Some("bert"))
        .expect("it is added");
    store.measure("bert", Task::silent()).expect("it runs");
    let file = bert.path.join(precision::FILE);
    let text = fs::read_to_string(&file).expect("a text file");
    fs::write(
        &file,
        text.replace("\"within_bound\": true", "\"within_bound\": false"),
    )
    .expect("it is written");
    let error = store
        .set_precision("bert", Some(Precision::F32), Task::silent())
        .expect_err("the file says that it is outside")
        .to_string();
    assert!(error.contains("0.999"), "{error}");
}

#[test]
fn a_measurement_does_not_travel_with_the_model() {
    let (dir, store) = desk();
    let added = store
        .add(&transformer(), Some("bert"))
        .expect("it is added");
    store.measure("bert", Task::silent()).expect("it runs");
    let other = ModelStore::new(dir.path().join("other"));
    let copy = other
        .add(&added.path, Some("bert"))
        .expect("a folder of the store is a model");
    assert_eq!(copy.identity, added.identity);
    assert!(!copy.path.join(precision::FILE).exists());
}
