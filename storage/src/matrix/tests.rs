use super::*;
use crate::Task;
use proptest::prelude::*;
use std::path::PathBuf;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A segment with the given ids; row of id i is [i, i + .5, i + 1, ...] halved.
    fn segment(&self, name: &str, ids: &[u32], dtype: Dtype) -> Arc<MatrixSegment> {
        let path = self.path(name);
        let mut writer = MatrixWriter::create(&path, 3, dtype).unwrap();
        for &id in ids {
            writer.push(PassageId(id), &vector(id)).unwrap();
        }
        let summary = writer.finish(true).unwrap();
        assert_eq!(summary.rows, ids.len());
        let ends = ids
            .first()
            .zip(ids.last())
            .map(|(&a, &b)| (PassageId(a), PassageId(b)));
        assert_eq!(summary.ids, ends);
        Arc::new(MatrixSegment::open(&path).unwrap())
    }
}

fn vector(id: u32) -> [f32; 3] {
    // Exact in f16 for the ids used here.
    [id as f32 / 2.0, -(id as f32), 0.25]
}

fn assert_holds(matrix: &Matrix, ids: &[u32]) {
    assert_eq!(matrix.len(), ids.len());
    assert_eq!(matrix.ids().map(|id| id.0).collect::<Vec<_>>(), ids);
    for (row, &id) in ids.iter().enumerate() {
        assert_eq!(matrix.id(row), PassageId(id));
        assert_eq!(matrix.row_of(PassageId(id)), Some(row));
        assert_eq!(matrix.get(PassageId(id)).unwrap(), vector(id));
    }
    let all: Vec<(PassageId, Vec<f32>)> = matrix.iter().collect();
    assert!(all.iter().all(|(id, row)| row == &vector(id.0)));
    for absent in (0..1100).filter(|id| !ids.contains(id)) {
        assert_eq!(matrix.row_of(PassageId(absent)), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn segments_give_back_every_row_under_its_id(
        ids in prop::collection::btree_set(0u32..1000, 0..60),
        cuts in prop::collection::vec(0usize..60, 0..4),
        dense in any::<bool>(),
        half in any::<bool>(),
    ) {
        let folder = Folder::new();
        let count = ids.len() as u32;
        let ids: Vec<u32> = if dense { (7..7 + count).collect() } else { ids.into_iter().collect() };
        let dtype = if half { Dtype::F16 } else { Dtype::F32 };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(ids.len())).collect();
        cuts.extend([0, ids.len()]);
        cuts.sort_unstable();
        let segments: Vec<_> = cuts
            .windows(2)
            .enumerate()
            .map(|(n, cut)| folder.segment(&n.to_string(), &ids[cut[0]..cut[1]], dtype))
            .collect();
        let matrix = Matrix::new(3, segments.clone()).unwrap();
        assert_holds(&matrix, &ids);
        matrix.verify().unwrap();
        let sizes = matrix.segments().iter().map(|s| std::fs::metadata(s.path()).unwrap().len());
        prop_assert_eq!(matrix.bytes(), sizes.sum::<u64>());

        let live: Vec<u32> = ids.iter().copied().filter(|id| id % 3 != 0).collect();
        let path = folder.path("merged");
        let summary = merge(&segments, &|id| id.0 % 3 != 0, &path, Task::silent()).unwrap();
        prop_assert_eq!(summary.rows, live.len());
        let merged = MatrixSegment::open(&path).unwrap();
        prop_assert_eq!(merged.dtype(), dtype);
        assert_holds(&Matrix::new(3, vec![Arc::new(merged)]).unwrap(), &live);
    }
}

#[test]
fn gapless_ids_take_no_room() {
    let folder = Folder::new();
    assert_eq!(
        folder.segment("run", &[5, 6, 7], Dtype::F32).bytes(),
        64 + 36
    );
    assert_eq!(
        folder.segment("gap", &[5, 6, 8], Dtype::F32).bytes(),
        128 + 12
    );
}

#[test]
fn a_damaged_byte_is_an_error_or_changes_nothing() {
    let folder = Folder::new();
    for (name, ids) in [("run", &[5, 6, 7]), ("gap", &[5, 6, 8])] {
        let whole = folder.segment(name, ids, Dtype::F16);
        let bytes = std::fs::read(whole.path()).unwrap();
        let path = folder.path("damaged");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                std::fs::write(&path, damaged).unwrap();
                match MatrixSegment::open(&path).and_then(|s| s.verify().map(|()| s)) {
                    // Only the padding between rows and ids carries no meaning.
                    Ok(_) => assert!((82..128).contains(&at), "byte {at} of {name}"),
                    Err(StorageError::Version { .. }) => assert!((8..12).contains(&at)),
                    Err(StorageError::Corrupt { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn a_file_of_another_length_is_refused() {
    let folder = Folder::new();
    let bytes = std::fs::read(folder.segment("gap", &[1, 2, 9], Dtype::F32).path()).unwrap();
    let path = folder.path("cut");
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(
            matches!(
                MatrixSegment::open(&path),
                Err(StorageError::Corrupt { .. })
            ),
            "{length}"
        );
    }
    std::fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
    assert!(matches!(
        MatrixSegment::open(&path),
        Err(StorageError::Corrupt { .. })
    ));
}

#[test]
fn headers_that_lie_with_a_valid_checksum_are_refused() {
    let folder = Folder::new();
    let bytes = std::fs::read(folder.segment("gap", &[1, 2, 9], Dtype::F32).path()).unwrap();
    let lies = [
        (layout::DTYPE, 2, "dtype is 2"),
        (layout::ROWS, u64::MAX, "rows is 18446744073709551615"),
        (layout::ROWS, 4, "144 bytes expected"),
        (layout::ROWS, 2, "136 bytes expected"),
        (layout::DIMENSION, 0, "dimension is 0"),
        (layout::DIMENSION, 1 << 17, "dimension is 131072"),
        (layout::ROWS_OFFSET, 0, "rows_offset is 0"),
        (layout::IDS_OFFSET, 64, "ids_offset is 64"),
        (layout::IDS_OFFSET, 0, "100 bytes expected"),
        (layout::FLAGS, 1, "flags is 1"),
    ];
    let path = folder.path("lie");
    for (field, value, detail) in lies {
        let mut lie = bytes.clone();
        field.put(&mut lie, value);
        layout::HEADER.seal(&mut lie[..layout::HEADER_BYTES]);
        std::fs::write(&path, lie).unwrap();
        let error = MatrixSegment::open(&path).unwrap_err().to_string();
        assert!(error.contains(detail) && error.contains("lie"), "{error}");
    }
}

#[test]
fn what_cannot_be_stored_is_refused_and_leaves_the_segment_usable() {
    let folder = Folder::new();
    let path = folder.path("rows");
    assert!(MatrixWriter::create(&folder.path("none"), 0, Dtype::F16).is_err());
    let mut writer = MatrixWriter::create(&path, 3, Dtype::F16).unwrap();
    writer.push(PassageId(4), &vector(4)).unwrap();
    let mut refused = |id: u32, row: &[f32], names: &str| {
        let error = writer.push(PassageId(id), row).unwrap_err().to_string();
        assert!(error.contains(names), "{error}");
    };
    refused(
        5,
        &[0.0, f32::NAN, 0.0],
        "passage 5 holds NaN at position 1",
    );
    refused(6, &[f32::INFINITY, 0.0, 0.0], "passage 6 holds inf");
    refused(7, &[0.0, 0.0, 65520.0], "passage 7 holds 65520");
    refused(8, &[0.0, 0.0], "passage 8 has 2 numbers, 3 expected");
    refused(4, &vector(4), "passage 4 after passage 4");
    writer.push(PassageId(9), &[65519.0, 0.0, 0.0]).unwrap();
    writer.finish(false).unwrap();
    let segment = MatrixSegment::open(&path).unwrap();
    assert_eq!(
        (segment.id(0), segment.id(1), segment.len()),
        (PassageId(4), PassageId(9), 2)
    );
    segment.verify().unwrap();
}

#[test]
fn the_highest_id_is_an_id_like_any_other() {
    let folder = Folder::new();
    let path = folder.path("rows");
    let mut writer = MatrixWriter::create(&path, 1, Dtype::F32).unwrap();
    writer.push(PassageId(u32::MAX - 1), &[1.0]).unwrap();
    writer.push(PassageId(u32::MAX), &[2.0]).unwrap();
    assert!(writer.push(PassageId(0), &[2.0]).is_err());
    writer.finish(false).unwrap();
    let segment = MatrixSegment::open(&path).unwrap();
    assert_eq!(segment.last(), Some(PassageId(u32::MAX)));
    assert_eq!(segment.row_of(PassageId(u32::MAX)), Some(1));
}

#[test]
fn a_segment_that_was_never_finished_does_not_open() {
    let folder = Folder::new();
    let path = folder.path("rows");
    let mut writer = MatrixWriter::create(&path, 3, Dtype::F32).unwrap();
    writer.push(PassageId(0), &vector(0)).unwrap();
    drop(writer);
    assert!(matches!(
        MatrixSegment::open(&path),
        Err(StorageError::Corrupt { .. })
    ));
}

#[test]
fn segments_that_do_not_belong_together_are_refused() {
    let folder = Folder::new();
    let low = folder.segment("low", &[1, 2, 3], Dtype::F32);
    let high = folder.segment("high", &[3, 4], Dtype::F32);
    let error = Matrix::new(3, vec![low.clone(), high]).unwrap_err();
    assert!(matches!(
        error,
        StorageError::Corrupt { section: "ids", .. }
    ));
    let error = Matrix::new(4, vec![low]).unwrap_err().to_string();
    assert!(error.contains("3 numbers where 4"), "{error}");
}

#[test]
fn merging_mixed_number_types_changes_no_number() {
    let folder = Folder::new();
    let segments = [
        folder.segment("a", &[1], Dtype::F16),
        folder.segment("b", &[2], Dtype::F32),
    ];
    merge(&segments, &|_| true, &folder.path("c"), Task::silent()).unwrap();
    let merged = MatrixSegment::open(&folder.path("c")).unwrap();
    assert_eq!(merged.dtype(), Dtype::F32);
    assert_holds(&Matrix::new(3, vec![Arc::new(merged)]).unwrap(), &[1, 2]);
}

#[test]
fn a_cancelled_merge_says_so() {
    let folder = Folder::new();
    let segments = [folder.segment("a", &[1], Dtype::F16)];
    let cancel = std::sync::atomic::AtomicBool::new(true);
    let merged = merge(
        &segments,
        &|_| true,
        &folder.path("b"),
        Task::new(&|_| {}, &cancel),
    );
    assert!(matches!(merged, Err(StorageError::Cancelled(_))));
}
