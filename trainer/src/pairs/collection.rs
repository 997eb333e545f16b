//! Which passages does a collection or a data set hold, whether or not anybody judged them?

use std::collections::HashMap;
use std::path::Path;

use engine::bm25::{Bm25Index, StoredPassage};
use engine::dataset::{Record, beir};
use storage::PassageId;
use storage::generation::Collection;

use super::{Form, PairsError, Piece};

/// Between the headings of a stored passage.
const SEPARATOR: &str = " › ";
/// Endings of files whose lines are code.
const CODE: [&str; 24] = [
    "rs", "py", "js", "ts", "tsx", "jsx", "c", "h", "cc", "cpp", "hpp", "cs", "go", "java", "kt",
    "swift", "rb", "php", "sh", "lua", "hs", "scala", "zig", "sql",
];

/// All passages of the collection in `dir`, file by file, in the order of the text.
///
/// # Errors
/// No collection, or an empty or damaged one.
pub fn read(dir: &Path) -> Result<Vec<Piece>, PairsError> {
    let path = dir.to_path_buf();
    let collection = Collection::open(dir)?;
    let pieces = collection
        .map(|collection| {
            collection.open_current(|generation| {
                let index = Bm25Index::open(&generation.dir.join("bm25"))?;
                let passages = index.live().iter().map(|id| index.passage(PassageId(id)));
                Ok::<_, PairsError>(passages.collect::<Result<Vec<_>, _>>()?)
            })
        })
        .transpose()?
        .flatten();
    match pieces {
        Some(passages) if !passages.is_empty() => Ok(numbered(passages)),
        _ => Err(PairsError::Empty { path }),
    }
}

/// The documents of the data set in `dir`, each a piece and a file of its own; judgements are not looked at.
///
/// # Errors
/// A file that cannot be read.
pub fn read_beir(dir: &Path) -> Result<Vec<Piece>, PairsError> {
    let records = beir::Folder::open(dir)?.corpus()?;
    let piece = |(group, record): (u32, Result<Record, _>)| {
        let Record { id, title, text } = record?;
        Ok(Piece {
            id,
            group,
            form: Form::Text,
            title: title.trim().to_owned(),
            headings: Vec::new(),
            text: text.trim().to_owned(),
        })
    };
    let pieces: Result<Vec<Piece>, PairsError> = (0..).zip(records).map(piece).collect();
    let mut pieces = pieces?;
    pieces.retain(|piece| !piece.title.is_empty() || !piece.text.is_empty());
    Ok(pieces)
}

/// Gives each file a number. A file's passages have ascending ids, but a file that was renewed has later ones.
fn numbered(mut passages: Vec<StoredPassage>) -> Vec<Piece> {
    passages.sort_by_key(|passage| (passage.document, passage.id));
    let mut groups = HashMap::new();
    let pieces = passages.into_iter().map(|passage| {
        let next = groups.len() as u32;
        let group = *groups.entry(passage.document).or_insert(next);
        let headings = passage
            .heading
            .split(SEPARATOR)
            .filter(|heading| !heading.is_empty());
        Piece {
            id: format!("{}#{}", passage.path, passage.id.0),
            group,
            form: form(&passage.path),
            title: passage.title,
            headings: headings.map(str::to_owned).collect(),
            text: passage.text,
        }
    });
    pieces.collect()
}

fn form(path: &str) -> Form {
    let ending = Path::new(path)
        .extension()
        .and_then(|ending| ending.to_str());
    match ending {
        Some(ending) if CODE.contains(&ending.to_ascii_lowercase().as_str()) => Form::Code,
        _ => Form::Text,
    }
}
