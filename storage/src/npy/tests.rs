use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn file(version: u8, text: &str, numbers: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((text.len() as u16).to_le_bytes()),
        _ => bytes.extend((text.len() as u32).to_le_bytes()),
    }
    bytes.extend(text.bytes());
    bytes.extend(numbers);
    bytes
}

fn read(bytes: &[u8]) -> Result<(usize, usize, Vec<f32>), NpyError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.npy");
    std::fs::write(&path, bytes).unwrap();
    let mut reader = NpyReader::open(&path)?;
    let numbers = reader.read_all()?;
    Ok((reader.rows(), reader.columns(), numbers))
}

#[test]
fn files_as_numpy_writes_them_are_read() {
    let numbers: Vec<u8> = [1.0f32, -2.5, 3.0, 0.25, 8.0, -1.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let halves: Vec<u8> = [1.0f32, -2.5, 3.0, 0.25, 8.0, -1.0]
        .iter()
        .flat_map(|&x| f16::from_f32(x).to_le_bytes())
        .collect();
    let expected = vec![1.0, -2.5, 3.0, 0.25, 8.0, -1.0];
    let f4 = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n";
    let f2 = "{\"shape\": (3,2), \"descr\":\"<f2\", \"fortran_order\":False}\n";
    assert_eq!(
        read(&file(1, f4, &numbers)).unwrap(),
        (2, 3, expected.clone())
    );
    assert_eq!(
        read(&file(2, f4, &numbers)).unwrap(),
        (2, 3, expected.clone())
    );
    assert_eq!(read(&file(3, f2, &halves)).unwrap(), (3, 2, expected));
}

#[test]
fn rows_come_in_pieces_and_end() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.npy");
    let mut writer = NpyWriter::create(&path, 2).unwrap();
    (0..5).for_each(|at| writer.push(&[at as f32, 0.5]).unwrap());
    assert!(!path.exists(), "not before it is finished");
    assert_eq!(writer.finish().unwrap(), 5);
    let mut reader = NpyReader::open(&path).unwrap();
    assert_eq!(reader.read(3).unwrap(), [0.0, 0.5, 1.0, 0.5, 2.0, 0.5]);
    assert_eq!(reader.read(3).unwrap().len(), 4);
    assert!(reader.read(3).unwrap().is_empty());
    // Where the numbers start is a multiple of 64, as NumPy writes it.
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 128 + 40);
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.npy");
    let mut writer = NpyWriter::create(&path, 2).unwrap();
    let error = writer.push(&[1.0]).unwrap_err();
    assert!(matches!(
        error,
        NpyError::Row {
            row: 0,
            found: 1,
            expected: 2,
            ..
        }
    ));
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_used_is_refused_with_its_field() {
    let cases = [
        (
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }",
            "descr",
        ),
        (
            "{'descr': '>f4', 'fortran_order': False, 'shape': (1, 1), }",
            "descr",
        ),
        (
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1), }",
            "descr",
        ),
        (
            "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }",
            "fortran_order",
        ),
        ("{'descr': '<f4', 'shape': (1, 1), }", "fortran_order"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
            "shape",
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 0), }",
            "shape",
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1), }",
            "shape",
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 1), }",
            "shape",
        ),
        ("{'descr': '<f4', 'fortran_order': False}", "shape"),
    ];
    for (header, wrong) in cases {
        let error = read(&file(1, header, &[0; 4])).unwrap_err();
        assert!(
            matches!(&error, NpyError::Field { field, .. } if *field == wrong),
            "{header}: {error}"
        );
    }
    let fine = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
    for length in [0, 4, 15, 17] {
        let error = read(&file(1, fine, &vec![0; length])).unwrap_err();
        assert!(
            matches!(error, NpyError::Length { expected: 16, .. }),
            "{error}"
        );
    }
    for bytes in [
        &b""[..],
        b"PK\x03\x04 something else",
        b"\x93NUMPY\x01",
        b"\x93NUMPY\x09\x00\x00\x00",
    ] {
        assert!(matches!(read(bytes), Err(NpyError::Foreign { .. })));
    }
    let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615, 65536), }";
    assert!(matches!(
        read(&file(1, huge, &[])),
        Err(NpyError::Length { .. })
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_a_table(mut bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
        let fine = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n";
        let mut damaged = file(1, fine, &[0; 16]);
        let at = at % damaged.len();
        damaged[at] ^= bytes.first().copied().unwrap_or(1);
        let _ = read(&damaged);
        let _ = read(&bytes);
        bytes.splice(0..0, MAGIC.iter().copied());
        let _ = read(&bytes);
    }

    #[test]
    fn what_is_written_is_read(rows in 0usize..20, columns in 1usize..9, seed in any::<u32>()) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("x.npy");
        let numbers: Vec<f32> = (0..rows * columns).map(|i| (seed.wrapping_mul(i as u32 + 7)) as f32 / 1e6).collect();
        let mut writer = NpyWriter::create(&path, columns).unwrap();
        for row in numbers.chunks_exact(columns) {
            writer.push(row).unwrap();
        }
        writer.finish().unwrap();
        prop_assert_eq!(read(&std::fs::read(&path).unwrap()).unwrap(), (rows, columns, numbers));
    }
}
