//! Which text and code cells does this Jupyter notebook hold?

use serde::Deserialize;

use super::super::{BlockKind, Source, Tracking};
use super::ExtractError;
use super::builder::Builder;
use super::markdown;
use super::text::Decoded;

#[derive(Deserialize)]
struct Notebook {
    #[serde(default)]
    cells: Vec<Cell>,
    /// Where format 3 keeps its cells.
    #[serde(default)]
    worksheets: Vec<Worksheet>,
}

#[derive(Deserialize)]
struct Worksheet {
    #[serde(default)]
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    #[serde(default)]
    cell_type: String,
    /// `input` in format 3.
    #[serde(default, alias = "input")]
    source: Lines,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Many(Vec<String>),
}

impl Default for Lines {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Lines {
    fn joined(&self) -> String {
        match self {
            Self::One(text) => text.clone(),
            Self::Many(lines) => lines.concat(),
        }
    }
}

/// Reads the cells; what code printed is left out. Places in the file mean nothing to a person and are not given.
pub(super) fn extract(decoded: &Decoded<'_>, out: &mut Builder) -> Result<(), ExtractError> {
    let malformed = |error: serde_json::Error| ExtractError::Malformed {
        format: "Jupyter notebook",
        reason: error.to_string(),
    };
    let notebook: Notebook = serde_json::from_str(&decoded.text).map_err(malformed)?;
    let sheets = notebook.worksheets.iter().flat_map(|sheet| &sheet.cells);
    for cell in notebook.cells.iter().chain(sheets) {
        let text = cell.source.joined();
        match cell.cell_type.as_str() {
            "markdown" | "heading" => markdown::extract_part(&text, out),
            "code" => out.push(BlockKind::Code, &text, Source::default(), Tracking::Start),
            _ => out.push(
                BlockKind::Paragraph,
                &text,
                Source::default(),
                Tracking::Start,
            ),
        }
    }
    Ok(())
}
