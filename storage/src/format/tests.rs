use super::*;
use crate::documents::record;
use crate::generation::Manifest;
use crate::matrix::layout;
use crate::{GenerationId, StorageError};
use proptest::prelude::*;

/// Cells of the first table under the heading that starts with `heading`, without its two head lines.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = include_str!("../../FORMAT.md");
    let section = text
        .split("\n## ")
        .find(|s| s.starts_with(heading))
        .unwrap();
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    lines
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_string())
                .collect()
        })
        .collect()
}

fn documented_fields(heading: &str) -> Vec<(usize, usize, String)> {
    let row = |cells: Vec<String>| {
        (
            cells[0].parse().unwrap(),
            cells[1].parse().unwrap(),
            cells[2].clone(),
        )
    };
    table(heading).into_iter().map(row).collect()
}

fn fields(fields: &[Field]) -> Vec<(usize, usize, String)> {
    fields
        .iter()
        .map(|f| (f.offset, f.size, f.name.to_string()))
        .collect()
}

#[test]
fn format_md_describes_the_headers_byte_for_byte() {
    assert_eq!(
        documented_fields("Embedding matrix segment"),
        fields(&layout::FIELDS)
    );
    assert_eq!(documented_fields("Record header"), fields(&record::FIELDS));
    assert_eq!(
        documented_fields("IVF-PQ index"),
        fields(&crate::ivfpq::layout::FIELDS)
    );
}

#[test]
fn format_md_names_magic_versions_and_manifest_keys() {
    let matrix = table("Embedding matrix segment");
    let magic = String::from_utf8(layout::HEADER.magic.to_vec()).unwrap();
    assert_eq!(matrix[0][3], format!("`{magic}`"));
    assert_eq!(matrix[1][3], layout::HEADER.version.to_string());
    let json = serde_json::to_value(Manifest::empty(GenerationId(1))).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    let documented = table("Text files");
    let documented: Vec<&String> = documented.iter().map(|row| &row[0]).collect();
    assert_eq!(documented, keys);
}

const NUMBER: Field = Field::first("magic", 8)
    .then("version", 4)
    .then("number", 3);

proptest! {
    #[test]
    fn a_field_gives_back_what_was_put_and_touches_nothing_else(value in 0u64..1 << 24) {
        let mut header = [0xaa; 20];
        NUMBER.put(&mut header, value);
        prop_assert_eq!(NUMBER.get(&header), value);
        prop_assert!(header[..12].iter().chain(&header[15..]).all(|&byte| byte == 0xaa));
    }

    #[test]
    fn a_view_lies_inside_the_file_or_is_refused(offset in any::<u64>(), count in any::<u64>(), small in any::<bool>()) {
        let (offset, count) = if small { (offset % 80, count % 20) } else { (offset, count) };
        let file = [0u64; 8];
        let file: &[u8] = bytemuck::cast_slice(&file);
        let fits = u128::from(offset) + 4 * u128::from(count) <= 64 && offset % 4 == 0;
        match view::<u32>(Path::new("f"), "rows", file, offset, count) {
            Ok(numbers) => prop_assert!(fits && numbers.len() as u64 == count),
            Err(StorageError::Corrupt { section, .. }) => prop_assert!(!fits && section == "rows"),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
