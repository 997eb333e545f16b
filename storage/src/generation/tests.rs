use super::*;
use crate::matrix::{Dtype, MatrixWriter};
use crate::{DocumentId, PassageId};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

fn collection(dir: &tempfile::TempDir) -> Collection {
    Collection::create_or_open(&dir.path().join("c")).unwrap()
}

fn encoder() -> EncoderStamp {
    EncoderStamp {
        hash: "ab12".into(),
        name: "small".into(),
        family: "static".into(),
        dimension: 2,
        max_tokens: 64,
    }
}

/// Fills a generation with the segments of the one before and one row of its own.
fn fill<'a>(lock: &'a WriterLock) -> (GenerationBuilder<'a>, Manifest) {
    let id = lock.next_generation().unwrap();
    let builder = lock.begin(id).unwrap();
    let mut manifest = Manifest::empty(id);
    if let Some(before) = lock.collection().current().unwrap() {
        for entry in &before.manifest.matrices {
            builder
                .link(&before.dir.join(&entry.file), &entry.file)
                .unwrap();
        }
        manifest = before.manifest;
        manifest.generation = id;
    }
    let passage = PassageId(id.0 as u32);
    let path = builder.dir().join(builder.segment_name());
    let mut writer = MatrixWriter::create(&path, 2, Dtype::F16).unwrap();
    writer.push(passage, &[1.0, id.0 as f32]).unwrap();
    writer.finish(false).unwrap();
    builder.write("notes.txt", b"of the engine").unwrap();
    manifest.encoder = Some(encoder());
    manifest.rows += 1;
    manifest.next_document = DocumentId(4);
    manifest
        .settings
        .insert("split".into(), serde_json::json!({"tokens": 200}));
    let file = builder.segment_name();
    manifest.matrices.push(MatrixEntry {
        file,
        rows: 1,
        first: passage,
        last: passage,
    });
    (builder, manifest)
}

fn publish(lock: &WriterLock) -> Generation {
    let (builder, manifest) = fill(lock);
    builder.publish(manifest).unwrap()
}

#[test]
fn a_new_collection_is_empty_and_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Collection::open(&dir.path().join("c")).unwrap(), None);
    let made = collection(&dir);
    assert_eq!(made.current().unwrap(), None);
    assert_eq!(made.holder().unwrap(), None);
    assert_eq!(Collection::open(made.dir()).unwrap(), Some(made.clone()));
    assert_eq!(collection(&dir), made);
}

#[test]
fn what_is_published_is_current_for_every_reader() {
    let dir = tempfile::tempdir().unwrap();
    let lock = collection(&dir).lock().unwrap();
    let published = publish(&lock);
    assert_eq!(published.id, GenerationId(1));
    let read = Collection::open(lock.collection().dir())
        .unwrap()
        .unwrap()
        .current()
        .unwrap();
    assert_eq!(read, Some(published.clone()));
    assert_eq!(
        fs::read(published.dir.join("notes.txt")).unwrap(),
        b"of the engine"
    );
    let second = publish(&lock);
    let matrix = second.matrix().unwrap().unwrap();
    assert_eq!(matrix.get(PassageId(1)).unwrap(), [1.0, 1.0]);
    assert_eq!(matrix.get(PassageId(2)).unwrap(), [1.0, 2.0]);
}

#[test]
fn the_generation_before_stays_and_older_ones_go_while_readers_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let lock = collection(&dir).lock().unwrap();
    let first = publish(&lock).matrix().unwrap().unwrap();
    for _ in 0..3 {
        publish(&lock);
    }
    let ids = lock.collection().generations().unwrap();
    assert_eq!(ids, [GenerationId(3), GenerationId(4)]);
    assert_eq!(first.get(PassageId(1)).unwrap(), [1.0, 1.0]);
    first.verify().unwrap();
    lock.point_to(GenerationId(3)).unwrap();
    assert_eq!(
        lock.collection().current_id().unwrap(),
        Some(GenerationId(3))
    );
    assert_eq!(lock.next_generation().unwrap(), GenerationId(5));
    assert!(lock.point_to(GenerationId(1)).is_err());
}

#[test]
fn a_reader_whose_generation_went_away_follows_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let lock = collection(&dir).lock().unwrap();
    publish(&lock);
    let mut seen = Vec::new();
    let opened = lock.collection().open_current(|generation| {
        seen.push(generation.id.0);
        if seen.len() == 1 {
            publish(&lock);
            publish(&lock);
        }
        generation.matrix().map(|matrix| matrix.unwrap().len())
    });
    assert_eq!(opened.unwrap(), Some(3));
    assert_eq!(seen, [1, 3]);
}

#[test]
fn an_error_that_stays_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let lock = collection(&dir).lock().unwrap();
    let published = publish(&lock);
    fs::remove_file(published.dir.join("rows-00000001.emb")).unwrap();
    let opened = lock.collection().open_current(Generation::matrix);
    assert!(matches!(
        opened,
        Err(StorageError::Io { action: "open", .. })
    ));
}

#[test]
fn a_generation_that_was_not_published_never_happened() {
    let dir = tempfile::tempdir().unwrap();
    let lock = collection(&dir).lock().unwrap();
    let published = publish(&lock);
    let (builder, _) = fill(&lock);
    let tmp = builder.dir().to_path_buf();
    assert!(tmp.exists());
    drop(builder);
    assert!(!tmp.exists());
    assert_eq!(lock.collection().current().unwrap(), Some(published));
}

/// Each step of publishing that a crash may be the last one of, as it leaves the folder.
#[test]
fn a_crash_at_any_step_of_publishing_leaves_the_old_generation_or_the_new() {
    type Step = fn(&Collection, &Path);
    let steps: [(Step, u64); 4] = [
        // Half-filled folder.
        (
            |c, _| fs::create_dir(c.dir().join("generations/gen-00000002.tmp")).unwrap(),
            1,
        ),
        // Complete folder under its temporary name.
        (
            |c, new| fs::rename(new, c.dir().join("generations/gen-00000002.tmp")).unwrap(),
            1,
        ),
        // Renamed, CURRENT not yet written.
        (|_, _| {}, 1),
        // CURRENT written beside.
        (
            |c, _| fs::write(c.dir().join("CURRENT.77.tmp"), "askance curr").unwrap(),
            1,
        ),
    ];
    for (step, expected) in steps {
        let dir = tempfile::tempdir().unwrap();
        let made = collection(&dir);
        let lock = made.lock().unwrap();
        publish(&lock);
        let current = fs::read(made.dir().join("CURRENT")).unwrap();
        let second = publish(&lock);
        fs::write(made.dir().join("CURRENT"), current).unwrap();
        drop(lock);
        step(&made, &second.dir);

        assert_eq!(made.current_id().unwrap(), Some(GenerationId(expected)));
        assert_eq!(
            made.current()
                .unwrap()
                .unwrap()
                .matrix()
                .unwrap()
                .unwrap()
                .len(),
            1
        );
        let lock = made.lock().unwrap();
        let next = publish(&lock);
        assert_eq!(next.matrix().unwrap().unwrap().len(), 2);
        let left = disk::entries(&made.dir().join("generations")).unwrap();
        assert!(
            left.iter()
                .all(|e| !e.path().to_string_lossy().ends_with("tmp"))
        );
        assert!(!made.dir().join("CURRENT.77.tmp").exists());
        assert_eq!(made.generations().unwrap(), [GenerationId(1), next.id]);
    }
}

#[test]
fn a_crash_before_the_first_publish_leaves_an_empty_collection() {
    let dir = tempfile::tempdir().unwrap();
    let made = collection(&dir);
    let lock = made.lock().unwrap();
    publish(&lock);
    fs::remove_file(made.dir().join("CURRENT")).unwrap();
    assert_eq!(made.current().unwrap(), None);
    assert_eq!(publish(&lock).id, GenerationId(2));
}

#[test]
fn a_crash_while_creating_leaves_a_folder_that_can_be_created_in() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("c/generations")).unwrap();
    fs::write(dir.path().join("c/COLLECTION.5.tmp"), "askance coll").unwrap();
    collection(&dir).lock().unwrap();
}

#[test]
fn a_folder_of_somebody_elses_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.md"), "text").unwrap();
    let error = Collection::create_or_open(dir.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("thesis.md"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn flipped_bytes_in_current_and_manifest_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let made = collection(&dir);
    let lock = made.lock().unwrap();
    let published = publish(&lock);
    for path in [
        made.dir().join("CURRENT"),
        published.dir.join("MANIFEST"),
        made.dir().join("COLLECTION"),
    ] {
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                fs::write(&path, damaged).unwrap();
                let read = Collection::open(made.dir()).and_then(|c| c.unwrap().current());
                match read {
                    Err(StorageError::Corrupt { .. } | StorageError::Version { .. }) => {}
                    // A hexadecimal digit in upper case is the same digit.
                    Ok(Some(same)) => {
                        assert!(same == published && bytes[at].is_ascii_lowercase() && bit == 5)
                    }
                    other => panic!("byte {at} of {}: {other:?}", path.display()),
                }
            }
        }
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(
                Collection::open(made.dir())
                    .and_then(|c| c.unwrap().current())
                    .is_err()
            );
        }
        fs::write(&path, bytes).unwrap();
    }
    fs::write(made.dir().join("CURRENT"), "").unwrap();
    lock.point_to(GenerationId(1)).unwrap();
    assert_eq!(made.current().unwrap(), Some(published));
}

#[test]
fn a_newer_format_is_refused_by_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let made = collection(&dir);
    fs::write(
        made.dir().join("COLLECTION"),
        "askance collection 2\nand what not",
    )
    .unwrap();
    let error = Collection::create_or_open(made.dir()).unwrap_err();
    assert!(matches!(
        error,
        StorageError::Version {
            found: 2,
            supported: 1,
            ..
        }
    ));
    assert!(error.to_string().contains("upgrade askance"), "{error}");
}

#[test]
fn manifests_that_contradict_themselves_or_their_files_are_not_published() {
    type Lie = fn(&mut Manifest);
    let lies: [Lie; 6] = [
        |m| m.generation.0 += 1,
        |m| m.rows += 1,
        |m| m.matrices[0].file = "../rows.emb".into(),
        |m| m.encoder = None,
        |m| m.matrices[0].last.0 += 1,
        |m| m.encoder.as_mut().unwrap().dimension = 3,
    ];
    let dir = tempfile::tempdir().unwrap();
    let lock = collection(&dir).lock().unwrap();
    for lie in lies {
        let (builder, mut manifest) = fill(&lock);
        lie(&mut manifest);
        builder.publish(manifest).unwrap_err();
        assert_eq!(lock.collection().current().unwrap(), None);
        assert_eq!(lock.collection().generations().unwrap(), []);
    }
}

#[test]
fn generations_are_never_begun_twice() {
    let dir = tempfile::tempdir().unwrap();
    let lock = collection(&dir).lock().unwrap();
    let published = publish(&lock);
    assert!(matches!(
        lock.begin(published.id),
        Err(StorageError::Invalid(_))
    ));
}

#[test]
fn a_second_handle_is_told_who_writes() {
    let dir = tempfile::tempdir().unwrap();
    let made = collection(&dir);
    let lock = made.lock().unwrap();
    let error = made.lock().unwrap_err().to_string();
    let me = format!("process {}", std::process::id());
    assert!(error.contains(&me), "{error}");
    assert!(made.holder().unwrap().unwrap().contains(&me));
    drop(lock);
    assert_eq!(made.holder().unwrap(), None);
    made.lock().unwrap();
}

/// The folder a child process of the test below locks.
const CHILD: &str = "ASKANCE_TEST_LOCK_DIR";

#[test]
fn another_process_holds_the_lock_until_it_dies() {
    if let Ok(dir) = std::env::var(CHILD) {
        let _lock = Collection::open(Path::new(&dir))
            .unwrap()
            .unwrap()
            .lock()
            .unwrap();
        use std::io::Write;
        std::io::stdout().write_all(b"\nlocked\n").unwrap();
        std::io::stdout().flush().unwrap();
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let made = collection(&dir);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "generation::tests::another_process_holds_the_lock_until_it_dies",
        ])
        .env(CHILD, made.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "locked"));
    let error = made.lock().unwrap_err();
    assert!(matches!(error, StorageError::Locked { .. }));
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", child.id())),
        "{error}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    made.lock().unwrap();
}
