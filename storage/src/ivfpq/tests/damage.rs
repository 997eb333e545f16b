//! What does the reader do with bytes that nobody wrote, and with vectors that cannot be?

use super::*;

/// Opens `bytes` as an index file and searches all of it.
fn answers(
    folder: &Path,
    bytes: &[u8],
    matrix: &Matrix,
    query: &[f32],
) -> Result<Answer, StorageError> {
    let path = folder.join("damaged.ivf");
    std::fs::write(&path, bytes).unwrap();
    Index::open(&path, matrix.clone())?.search(query, &all(5), None)
}

#[test]
fn damage_at_any_byte_is_an_error_or_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let small = BuildParams {
        lists: Some(8),
        ..params(Metric::L2)
    };
    let index = built(&folder, &clustered(60, 8, 1), 8, &small);
    let query = [0.3; 8];
    let bytes = std::fs::read(folder.path().join("index.ivf")).unwrap();
    let expected = index.search(&query, &all(5), None).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        match answers(folder.path(), &damaged, index.matrix(), &query) {
            // A gap between sections holds nothing.
            Ok(answer) => assert_eq!((answer, bytes[at]), (expected.clone(), 0), "byte {at}"),
            Err(StorageError::Corrupt { section, .. }) => {
                assert!(["header", "model", "lists", "recall", "codes"].contains(&section));
            }
            Err(StorageError::Version { .. }) => assert!((8..12).contains(&at), "byte {at}"),
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    for cut in (0..bytes.len()).step_by(7) {
        let outcome = answers(folder.path(), &bytes[..cut], index.matrix(), &query);
        assert!(
            matches!(outcome, Err(StorageError::Corrupt { .. })),
            "cut at {cut}"
        );
    }
}

proptest! {
    /// A header that was sealed anew says what its writer wanted: the rest of the file must not be trusted any more for it.
    #[test]
    fn a_sealed_header_that_lies_is_an_error_or_an_answer(
        at in 12usize..124,
        value in any::<u8>(),
        metric in prop::sample::select(&METRICS[..]),
        width in prop::sample::select(&WIDTHS[..]),
    ) {
        let folder = TempDir::new().unwrap();
        let small = BuildParams { lists: Some(4), width, ..params(metric) };
        let index = built(&folder, &clustered(30, 8, 1), 8, &small);
        let mut bytes = std::fs::read(folder.path().join("index.ivf")).unwrap();
        bytes[at] = value;
        let crc = crc32fast::hash(&bytes[..124]);
        bytes[124..128].copy_from_slice(&crc.to_le_bytes());
        match answers(folder.path(), &bytes, index.matrix(), &[0.3; 8]) {
            Ok(answer) => prop_assert!(answer.hits.len() <= 5),
            Err(StorageError::Corrupt { .. } | StorageError::Invalid(_)) => {}
            Err(other) => prop_assert!(false, "byte {}: {}", at, other),
        }
    }
}

#[test]
fn a_vector_that_is_not_finite_is_named_and_not_indexed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows-0.emb");
    drop(segment(folder.path(), &clustered(40, 8, 1), 8, 0, 1));
    let mut bytes = std::fs::read(&path).unwrap();
    // NaN as the first number of row 17, with checksums that fit (see FORMAT.md): the writer itself refuses it.
    bytes[64 + 17 * 16..][..2].copy_from_slice(&0x7e00u16.to_le_bytes());
    let rows = crc32fast::hash(&bytes[64..64 + 40 * 16]);
    bytes[48..52].copy_from_slice(&rows.to_le_bytes());
    let header = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&header.to_le_bytes());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let matrix = Matrix::new(8, vec![Arc::new(MatrixSegment::open(&path).unwrap())]).unwrap();
    let target = folder.path().join("index.ivf");
    let outcome = build(
        &target,
        &matrix,
        None,
        &BuildParams::default(),
        Task::silent(),
    );
    assert!(
        matches!(&outcome, Err(StorageError::Invalid(text)) if text.contains("passage 17")),
        "{outcome:?}"
    );
}

#[test]
fn an_index_of_other_vectors_or_fewer_rows_is_found_out() {
    let folder = TempDir::new().unwrap();
    let (d, rows) = (16, clustered(400, 16, 1));
    let index = built(&folder, &rows, d, &params(Metric::Cosine));
    let live: PassageSet = (0..400).map(PassageId).collect();
    assert!(index.audit(&live, Task::silent()).unwrap().is_sound());
    let path = folder.path().join("index.ivf");
    let elsewhere = TempDir::new().unwrap();
    let other = matrix(elsewhere.path(), &clustered(400, d, 2), d);
    let audit = Index::open(&path, other)
        .unwrap()
        .audit(&live, Task::silent())
        .unwrap();
    assert!(audit.foreign > 200 && audit.missing == 0, "{audit:?}");
    // An index of half the rows over all of them.
    let half: PassageSet = (0..400).step_by(2).map(PassageId).collect();
    let path = folder.path().join("half.ivf");
    build(
        &path,
        index.matrix(),
        Some(&half),
        &params(Metric::Cosine),
        Task::silent(),
    )
    .unwrap();
    let audit = Index::open(&path, index.matrix().clone())
        .unwrap()
        .audit(&live, Task::silent())
        .unwrap();
    assert_eq!(
        (audit.missing, audit.miscounted, audit.foreign),
        (200, 0, 0)
    );
}
