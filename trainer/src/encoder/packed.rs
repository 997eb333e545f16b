//! How do texts of different lengths lie behind each other without padding?
//!
//! Only the rows at the end of the batch are padding, so that batches come in few sizes and matrix products are tuned
//! for few shapes. What the kernels have to know of where texts begin and end is worked out here.

use burn::tensor::{Tensor, TensorData};
use engine::encoder::config::Pooling;

use super::Tokens;
use super::batch::pooling_weights;
use super::kernels::{CHUNK, LANES, Lists, Words};

/// Tokens of several texts.
pub(super) struct Packed {
    /// Rows of the batch, padding included.
    pub(super) rows: usize,
    pub(super) ids: Words,
    pub(super) positions: Words,
    /// Each token's share of its text's vector, (rows).
    pub(super) shares: Tensor<1>,
    /// First token of each text, and the end, (texts + 1).
    pub(super) starts: Words,
    /// The text of each token, (rows).
    pub(super) texts: Words,
    /// What attention's cubes work on.
    pub(super) tiles: Words,
    /// Which tokens belong to which row of which table.
    pub(super) tables: Lists,
}

/// Where a model's tables lie in the vector of all weights, and how it counts positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables {
    pub(super) words: usize,
    pub(super) positions: usize,
    /// Only its first row is used.
    pub(super) types: Option<usize>,
    pub(super) width: usize,
    pub(super) first_position: usize,
}

/// Tokens of a piece of a list.
const PIECE: usize = 64;

/// Rows of the batch that holds `tokens` tokens: steps of an eighth or less of the size, so that little is padding and
/// few shapes come up.
pub(super) fn rounded(tokens: usize) -> usize {
    let step = match tokens {
        0..=2_048 => 256,
        2_049..=8_192 => 1_024,
        8_193..=32_768 => 4_096,
        _ => 8_192,
    };
    tokens.max(1).next_multiple_of(step)
}

impl Packed {
    /// Lays out `texts` on the device of `like`; `tile` tokens a cube of attention.
    pub(super) fn new(
        texts: &[&Tokens],
        pooling: Pooling,
        tables: Tables,
        tile: usize,
        like: &Tensor<1>,
    ) -> Self {
        let plan = Plan::new(texts, pooling, tables, tile);
        let words = |values: &[u32]| Words::new(values, like);
        let rows = plan.ids.len();
        Self {
            rows,
            ids: words(&plan.ids),
            positions: words(&plan.positions),
            shares: Tensor::from_data(TensorData::new(plan.shares, [rows]), &like.device()),
            starts: words(&plan.starts),
            texts: words(&plan.texts),
            tiles: words(&plan.tiles),
            tables: Lists {
                rows: words(&plan.lists.rows),
                pieces: words(&plan.lists.pieces),
                lists: words(&plan.lists.lists),
                places: words(&plan.lists.places),
                counts: [plan.lists.pieces.len() - 1, plan.lists.places.len()],
            },
        }
    }
}

/// A [`Packed`] before it goes to the device.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) ids: Vec<u32>,
    pub(super) positions: Vec<u32>,
    pub(super) shares: Vec<f32>,
    pub(super) starts: Vec<u32>,
    pub(super) texts: Vec<u32>,
    pub(super) tiles: Vec<u32>,
    pub(super) lists: ListPlan,
}

/// [`Lists`] before they go to the device.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ListPlan {
    pub(super) rows: Vec<u32>,
    pub(super) pieces: Vec<u32>,
    pub(super) lists: Vec<u32>,
    pub(super) places: Vec<u32>,
}

impl Plan {
    pub(super) fn new(texts: &[&Tokens], pooling: Pooling, tables: Tables, tile: usize) -> Self {
        let count: usize = texts.iter().map(|t| t.ids.len()).sum();
        let rows = rounded(count);
        debug_assert!(rows.is_multiple_of(CHUNK));
        let mut plan = Self {
            ids: Vec::with_capacity(rows),
            positions: Vec::with_capacity(rows),
            shares: Vec::with_capacity(rows),
            starts: vec![0],
            texts: Vec::with_capacity(rows),
            tiles: Vec::new(),
            lists: ListPlan::default(),
        };
        for (number, text) in texts.iter().enumerate() {
            plan.push(number as u32, text, pooling, tables.first_position, tile);
        }
        plan.lists = ListPlan::new(&plan.ids, &plan.positions, tables);
        plan.pad(rows, tile);
        plan
    }

    fn push(&mut self, number: u32, text: &Tokens, pooling: Pooling, first: usize, tile: usize) {
        let length = text.ids.len();
        self.tile(length, length, tile);
        self.ids.extend(&text.ids);
        self.positions
            .extend((first..first + length).map(|p| p as u32));
        self.shares
            .extend(pooling_weights(pooling, length, text.skipped));
        self.texts.extend(std::iter::repeat_n(number, length));
        self.starts.push(self.ids.len() as u32);
    }

    /// The tiles of the next `length` tokens, which look at `keys` tokens.
    fn tile(&mut self, length: usize, keys: usize, size: usize) {
        let first = self.ids.len() as u32;
        for from in (0..length).step_by(size) {
            self.tiles
                .extend([first, length as u32, keys as u32, from as u32]);
        }
    }

    /// Tokens that belong to no text: they look at nothing and count for nothing, so that all numbers stay finite.
    fn pad(&mut self, rows: usize, tile: usize) {
        let more = rows - self.ids.len();
        self.tile(more, 0, tile);
        self.ids.resize(rows, 0);
        self.positions.resize(rows, 0);
        self.shares.resize(rows, 0.0);
        self.texts.resize(rows, 0);
    }
}

impl ListPlan {
    fn new(ids: &[u32], positions: &[u32], tables: Tables) -> Self {
        let mut lists = Self {
            pieces: vec![0],
            lists: vec![0],
            ..Self::default()
        };
        lists.add_all(ids, tables.words, tables.width);
        lists.add_all(positions, tables.positions, tables.width);
        if let Some(types) = tables.types {
            lists.add_all(&vec![0; ids.len()], types, tables.width);
        }
        lists
    }

    /// One list for each different number of `rows_of`, which are rows of the table at `place`.
    fn add_all(&mut self, rows_of: &[u32], place: usize, width: usize) {
        let mut order: Vec<u32> = (0..rows_of.len() as u32).collect();
        order.sort_by_key(|token| rows_of[*token as usize]);
        for list in order.chunk_by(|a, b| rows_of[*a as usize] == rows_of[*b as usize]) {
            let row = rows_of[list[0] as usize] as usize;
            self.places.push(((place + row * width) / LANES) as u32);
            for piece in list.chunks(PIECE) {
                self.rows.extend(piece);
                self.pieces.push(self.rows.len() as u32);
            }
            self.lists.push(self.pieces.len() as u32 - 1);
        }
    }
}

#[cfg(test)]
mod tests;
