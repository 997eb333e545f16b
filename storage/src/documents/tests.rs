use super::*;
use crate::DocumentId;
use proptest::prelude::*;
use record::RecordError;
use std::collections::BTreeMap;

fn passage(id: u32, text: u8) -> PassageRecord {
    PassageRecord {
        id: PassageId(id),
        hash: [text; 16],
        bytes: 100,
    }
}

fn document(id: u64, path: &str, content: u8, passages: Vec<PassageRecord>) -> DocumentRecord {
    DocumentRecord {
        id: DocumentId(id),
        path: path.into(),
        kind: "markdown".into(),
        size: 4000,
        mtime_ns: -5,
        content_hash: [content; 32],
        title: "Überschrift".into(),
        language: "deu".into(),
        passages,
        indexed_at: 1_700_000_000,
    }
}

fn failure(reason: &str) -> FailureRecord {
    FailureRecord {
        size: 7,
        mtime_ns: 8,
        reason: reason.into(),
        extractor_version: 2,
        at: 9,
    }
}

fn open(dir: &tempfile::TempDir) -> DocumentStore {
    DocumentStore::open(dir.path()).unwrap()
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let record = document(0, "/a.md", 1, vec![passage(0, 10), passage(1, 11)]);
    let store = open(&dir);
    assert_eq!(store.state().unwrap(), StoreState::Empty);
    store.put_document(&record).unwrap();
    store.put_failure("/b.pdf", &failure("encrypted")).unwrap();
    store.set_roots(&["/".into()]).unwrap();
    assert_eq!(store.allocate_documents(1).unwrap(), DocumentId(0));
    assert_eq!(store.allocate_passages(2).unwrap(), PassageId(0));
    store.commit(GenerationId(3)).unwrap();
    drop(store);

    let store = open(&dir);
    assert_eq!(
        store.state().unwrap(),
        StoreState::Committed(GenerationId(3))
    );
    assert_eq!(store.document("/a.md").unwrap(), Some(record));
    assert_eq!(store.document("/a").unwrap(), None);
    assert_eq!(store.failure("/b.pdf").unwrap(), Some(failure("encrypted")));
    assert_eq!(store.roots().unwrap(), ["/"]);
    assert_eq!(store.next_ids().unwrap(), (DocumentId(1), PassageId(2)));
    assert!(store.bytes().unwrap() > 0);
}

#[test]
fn a_change_without_commit_shows_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.put_document(&document(0, "/a", 1, vec![])).unwrap();
    store.commit(GenerationId(1)).unwrap();
    store.remove_document("/a").unwrap();
    assert_eq!(store.state().unwrap(), StoreState::Unfinished);
    drop(store);
    let store = open(&dir);
    assert_eq!(store.state().unwrap(), StoreState::Unfinished);
    store.commit(GenerationId(2)).unwrap();
    assert_eq!(
        store.state().unwrap(),
        StoreState::Committed(GenerationId(2))
    );
}

#[test]
fn reading_changes_no_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    assert_eq!(store.document("/a").unwrap(), None);
    assert!(!store.remove_failure("/a").unwrap());
    assert_eq!(store.documents().count() + store.failures().count(), 0);
    assert_eq!(store.state().unwrap(), StoreState::Empty);
}

#[derive(Debug, Clone)]
enum Change {
    Put {
        path: u8,
        content: u8,
        passages: Vec<u8>,
    },
    Remove {
        path: u8,
    },
}

fn change() -> impl Strategy<Value = Change> {
    let put = (0u8..6, 0u8..4, prop::collection::vec(0u8..5, 0..4)).prop_map(
        |(path, content, passages)| Change::Put {
            path,
            content,
            passages,
        },
    );
    prop_oneof![3 => put, 1 => (0u8..6).prop_map(|path| Change::Remove { path })]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn look_ups_follow_every_change(changes in prop::collection::vec(change(), 0..25)) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let mut naive: BTreeMap<String, DocumentRecord> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Put { path, content, passages } => {
                    let first = store.allocate_passages(passages.len() as u32).unwrap().0;
                    let passages = passages.into_iter().zip(first..).map(|(text, id)| passage(id, text));
                    let id = store.allocate_documents(1).unwrap().0;
                    let record = document(id, &format!("/{path}"), content, passages.collect());
                    store.put_document(&record).unwrap();
                    naive.insert(record.path.clone(), record);
                }
                Change::Remove { path } => {
                    let path = format!("/{path}");
                    prop_assert_eq!(store.remove_document(&path).unwrap(), naive.remove(&path));
                }
            }
        }
        let all: Vec<_> = store.documents().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&all, &naive.values().cloned().collect::<Vec<_>>());
        prop_assert_eq!(store.document_count(), naive.len());
        for content in 0..4 {
            let with: Vec<String> = all.iter().filter(|d| d.content_hash == [content; 32]).map(|d| d.path.clone()).collect();
            prop_assert_eq!(store.paths_with_content(&[content; 32]).unwrap(), with);
        }
        for text in 0..5 {
            let lowest = all.iter().flat_map(|d| &d.passages).filter(|p| p.hash == [text; 16]).map(|p| p.id).min();
            prop_assert_eq!(store.find_passage(&[text; 16]).unwrap(), lowest);
        }
    }
}

#[test]
fn documents_come_by_path_and_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for path in ["/n/b", "/notes.txt", "/n/a", "/m"] {
        store.put_document(&document(0, path, 0, vec![])).unwrap();
    }
    let paths = |prefix| -> Vec<String> {
        store
            .documents_under(prefix)
            .map(|d| d.unwrap().path)
            .collect()
    };
    assert_eq!(paths(""), ["/m", "/n/a", "/n/b", "/notes.txt"]);
    assert_eq!(paths("/n/"), ["/n/a", "/n/b"]);
}

#[test]
fn failures_are_kept_until_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.put_failure("/b", &failure("one")).unwrap();
    store.put_failure("/b", &failure("two")).unwrap();
    store.put_failure("/a", &failure("three")).unwrap();
    let all: Vec<_> = store.failures().collect::<Result<_, _>>().unwrap();
    assert_eq!(
        all,
        [
            ("/a".into(), failure("three")),
            ("/b".into(), failure("two"))
        ]
    );
    assert!(store.remove_failure("/a").unwrap());
    assert!(!store.remove_failure("/a").unwrap());
    assert_eq!(store.failure("/a").unwrap(), None);
}

#[test]
fn clearing_forgets_records_but_never_gives_an_id_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.allocate_passages(10).unwrap();
    store
        .put_document(&document(0, "/a", 1, vec![passage(0, 1)]))
        .unwrap();
    store.clear().unwrap();
    assert_eq!(store.documents().count(), 0);
    assert_eq!(store.find_passage(&[1; 16]).unwrap(), None);
    assert_eq!(store.allocate_passages(1).unwrap(), PassageId(10));
    store.reserve_ids(DocumentId(7), PassageId(5)).unwrap();
    assert_eq!(store.next_ids().unwrap(), (DocumentId(7), PassageId(11)));
}

#[test]
fn passage_ids_run_out_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store
        .reserve_ids(DocumentId(0), PassageId(u32::MAX - 1))
        .unwrap();
    assert_eq!(store.allocate_passages(1).unwrap(), PassageId(u32::MAX - 1));
    let error = store.allocate_passages(1).unwrap_err().to_string();
    assert!(error.contains("used up"), "{error}");
}

proptest! {
    #[test]
    fn records_survive_their_bytes_and_damage_is_seen(
        path in "\\PC{0,40}",
        texts in prop::collection::vec((any::<u32>(), any::<u8>()), 0..5),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let passages = texts.into_iter().map(|(id, text)| passage(id, text)).collect();
        let record = document(u64::MAX, &path, 9, passages);
        let bytes = record.to_bytes();
        prop_assert_eq!(&DocumentRecord::from_bytes(&bytes).unwrap(), &record);
        prop_assert!(DocumentRecord::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
        let mut damaged = bytes;
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        prop_assert!(DocumentRecord::from_bytes(&damaged).is_err());
    }

    #[test]
    fn no_bytes_make_reading_a_record_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        // A valid header around any body.
        let mut record = failure("").to_bytes();
        record.truncate(8);
        record.extend(&bytes);
        record::BODY_CRC.put(&mut record, crc32fast::hash(&bytes).into());
        if let Ok(read) = FailureRecord::from_bytes(&record) {
            prop_assert_eq!(FailureRecord::from_bytes(&read.to_bytes()).unwrap(), read);
        }
        prop_assert!(DocumentRecord::from_bytes(&record).is_err());
    }
}

#[test]
fn a_record_of_a_newer_version_is_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let mut bytes = document(0, "/a", 1, vec![]).to_bytes();
    record::VERSION.put(&mut bytes, 2);
    assert_eq!(
        DocumentRecord::from_bytes(&bytes),
        Err(RecordError::Version { found: 2 })
    );
    store.documents.insert("/a", bytes).unwrap();
    assert!(matches!(
        store.document("/a"),
        Err(StorageError::Version {
            found: 2,
            supported: 1,
            ..
        })
    ));
}

/// Opens and checks a store; its documents if nothing is wrong.
fn checked(dir: &Path) -> Result<Vec<DocumentRecord>, StorageError> {
    let store = DocumentStore::open(dir)?;
    store.verify()?;
    if store.state()? != StoreState::Committed(GenerationId(1)) {
        return Err(damaged(dir, "the commit is gone"));
    }
    store.documents().collect()
}

#[test]
fn a_damaged_store_is_an_error_or_unharmed_and_can_be_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for n in 0..100 {
        store
            .put_document(&document(
                n,
                &format!("/{n}"),
                1,
                vec![passage(n as u32, 1)],
            ))
            .unwrap();
    }
    store.commit(GenerationId(1)).unwrap();
    drop(store);
    let expected = checked(dir.path()).unwrap();
    assert_eq!(expected.len(), 100);
    let files: Vec<(PathBuf, Vec<u8>)> = disk::entries(dir.path())
        .unwrap()
        .into_iter()
        .filter(|entry| entry.path().is_file())
        .map(|entry| (entry.path(), std::fs::read(entry.path()).unwrap()))
        .collect();
    let mut seen = 0;
    for (path, bytes) in &files {
        for part in 0..4 {
            disk::remove_tree(dir.path()).unwrap();
            std::fs::create_dir(dir.path()).unwrap();
            for (path, bytes) in &files {
                std::fs::write(path, bytes).unwrap();
            }
            let mut damaged = bytes.clone();
            let start = damaged.len() / 4 * part;
            damaged
                .iter_mut()
                .skip(start)
                .take(64)
                .for_each(|byte| *byte ^= 0x55);
            std::fs::write(path, damaged).unwrap();
            match checked(dir.path()) {
                Ok(found) => assert_eq!(found, expected, "{} {part}", path.display()),
                Err(
                    StorageError::Corrupt {
                        section: "document records",
                        ..
                    }
                    | StorageError::Io { .. },
                ) => seen += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(seen > 0);
    let store = DocumentStore::recreate(dir.path()).unwrap();
    assert_eq!(store.state().unwrap(), StoreState::Empty);
    assert_eq!(store.documents().count(), 0);
}

fn every_byte_below(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => bytes.extend(every_byte_below(&path)),
            false => bytes.extend(std::fs::read(&path).unwrap()),
        }
    }
    bytes
}

#[test]
fn a_rewritten_store_holds_the_same_records_and_no_byte_of_others() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("documents");
    let store = DocumentStore::open(&dir).unwrap();
    let kept = document(0, "/kept", 1, vec![passage(0, 10)]);
    store.put_document(&kept).unwrap();
    store
        .put_document(&document(1, "/removed-secret", 2, vec![passage(1, 11)]))
        .unwrap();
    store.put_failure("/b.pdf", &failure("encrypted")).unwrap();
    store.set_roots(&["/".into()]).unwrap();
    store.reserve_ids(DocumentId(7), PassageId(9)).unwrap();
    store.commit(GenerationId(1)).unwrap();
    store.remove_document("/removed-secret").unwrap();
    store.commit(GenerationId(2)).unwrap();
    let holds = |dir: &Path| {
        every_byte_below(dir)
            .windows(14)
            .any(|w| w == b"removed-secret")
    };
    assert!(holds(&dir));

    let store = store.rewrite().unwrap();
    assert!(!holds(parent.path()));
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    assert_eq!(
        store.state().unwrap(),
        StoreState::Committed(GenerationId(2))
    );
    assert_eq!(
        store.documents().map(Result::unwrap).collect::<Vec<_>>(),
        [kept]
    );
    assert_eq!(store.failures_under("/").unwrap(), ["/b.pdf"]);
    assert_eq!(store.roots().unwrap(), ["/"]);
    assert_eq!(store.next_ids().unwrap(), (DocumentId(7), PassageId(9)));
    assert!(!store.is_wasteful().unwrap());
    store.verify().unwrap();
}
