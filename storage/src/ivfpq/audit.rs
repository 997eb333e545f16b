//! Does an index hold every row it should, and are its codes those of the matrix?

use super::encode::{Code, Encoder};
use super::packing::get_code;
use super::place::decode;
use super::search::Index;
use super::view::List;
use crate::flat::Metric;
use crate::{PassageId, PassageSet, StorageError, Task};

/// Codes that are made again and compared.
const SAMPLE: usize = 512;
/// Share of a code's numbers that has to come out the same: another machine may round a tie the other way, another
/// matrix agrees in one of sixteen by chance.
const AGREEMENT: f64 = 0.9;

/// What is wrong with an index; all 0 for a sound one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Audit {
    /// Live rows that should stand in the lists and do not.
    pub missing: usize,
    /// Rows that stand in more or fewer lists than they should.
    pub miscounted: usize,
    /// Sampled codes that are not those of their rows.
    pub foreign: usize,
}

impl Audit {
    /// Is nothing wrong?
    pub fn is_sound(&self) -> bool {
        *self == Self::default()
    }
}

impl Index {
    /// Compares the lists with their checksums, their ids with the `live` rows of the matrix, and a sample of their
    /// codes with the vectors.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for a damaged list, [`StorageError::Invalid`] for a row that is not finite, or the
    /// caller's cancel flag.
    pub fn audit(&self, live: &PassageSet, task: Task<'_>) -> Result<Audit, StorageError> {
        let places = self.places(task)?;
        let mut audit = Audit::default();
        for (row, &count) in places.iter().enumerate() {
            let wanted = live.contains(self.matrix.id(row));
            audit.missing += usize::from(wanted && count == 0);
            let copies = self.view().geometry.copies;
            audit.miscounted += usize::from(count > 0 && usize::from(count) != copies);
        }
        audit.foreign = self.foreign(task)?;
        Ok(audit)
    }

    /// In how many lists each covered row of the matrix stands.
    fn places(&self, task: Task<'_>) -> Result<Vec<u8>, StorageError> {
        let mut places = vec![0u8; self.tail];
        for list in 0..self.lists() as u32 {
            task.check()?;
            let found = self.view().list(list)?;
            for id in self.list_ids(&found) {
                let row = self.matrix.row_of(PassageId(*id));
                if let Some(count) = row.and_then(|row| places.get_mut(row)) {
                    *count = count.saturating_add(1);
                }
            }
        }
        Ok(places)
    }

    fn list_ids(&self, list: &List<'_>) -> &[u32] {
        &self.view().ids()[list.first_slot as usize..][..list.vectors]
    }

    /// Encodes a sample of rows again and counts codes that differ.
    fn foreign(&self, task: Task<'_>) -> Result<usize, StorageError> {
        let (view, geometry) = (self.view(), &self.view().geometry);
        let centroids = decode(
            &view.model.lists,
            view.list_codes(),
            geometry.lists,
            view.model.inner(),
        );
        let encoder = Encoder::of(view, &centroids);
        let step = (geometry.vectors * geometry.copies / SAMPLE).max(1);
        let (mut passed, mut foreign) = (0, 0);
        let mut stored = vec![0; encoder.code_length()];
        for list in 0..geometry.lists as u32 {
            task.check()?;
            let found = view.list(list)?;
            for (at, &id) in self.list_ids(&found).iter().enumerate() {
                passed += 1;
                let Some(row) = self
                    .matrix
                    .get(PassageId(id))
                    .filter(|_| passed % step == 0)
                else {
                    continue;
                };
                let slot = found.first_slot as usize + at;
                get_code(geometry.width, view.codes(), slot, &mut stored);
                foreign += usize::from(!self.agrees(&encoder, row, list, &stored)?);
            }
        }
        Ok(foreign)
    }

    fn agrees(
        &self,
        encoder: &Encoder<'_>,
        mut row: Vec<f32>,
        list: u32,
        stored: &[u8],
    ) -> Result<bool, StorageError> {
        if self.metric() == Metric::Cosine {
            super::source::normalise(&mut row);
        }
        let made = encoder.encode(&row, &[list]);
        let same = |code: &Code| {
            let equal = code.numbers.iter().zip(stored).filter(|(a, b)| a == b);
            equal.count() as f64 >= AGREEMENT * stored.len() as f64
        };
        Ok(made.first().is_some_and(same))
    }
}
