//! Which id does this piece of a word have?
//!
//! One open-addressed table in 32-bit words, so that it can be looked up where it lies in a mapped file:
//!
//! | words | hold |
//! |---|---|
//! | 4 | places (a power of two), longest piece in bytes, bytes of text, 0 |
//! | 4 a place | high half of the piece's hash, where its text begins, its length times two plus its kind, its id |
//! | the rest | text of all pieces, one after another |
//!
//! A place with length 0 is empty; a piece stands at the first empty place from `hash & (places - 1)` on.

use super::super::kernels::lines::Slab;

/// Where in a word a piece may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// At its beginning.
    First = 0,
    /// Further on.
    Next = 1,
}

const HEADER: usize = 4;
const PLACE: usize = 4;

/// The table.
pub(super) struct Vocabulary {
    words: Slab,
    /// Places less one.
    mask: usize,
    longest: usize,
}

impl Vocabulary {
    /// Of pieces that are not empty, each once a kind.
    pub(super) fn new(pieces: &[(Kind, Box<[u8]>, u32)]) -> Self {
        let bytes: usize = pieces.iter().map(|(_, piece, _)| piece.len()).sum();
        let places = (2 * pieces.len()).next_power_of_two().max(2);
        let text = HEADER + places * PLACE;
        let mut words = Slab::zeroed(text + bytes.div_ceil(4));
        let longest = pieces.iter().map(|(_, piece, _)| piece.len()).max();
        let longest = longest.unwrap_or(0);
        let all = words.words_mut();
        all[..3].copy_from_slice(&[places as u32, longest as u32, bytes as u32]);
        let (mut at, mask) = (0, places - 1);
        for (kind, piece, id) in pieces {
            let hash = hash(*kind, piece);
            let mut place = hash as usize & mask;
            while all[HEADER + place * PLACE + 2] != 0 {
                place = (place + 1) & mask;
            }
            let length = piece.len() as u32 * 2 + *kind as u32;
            let entry = [(hash >> 32) as u32, at as u32, length, *id];
            all[HEADER + place * PLACE..][..PLACE].copy_from_slice(&entry);
            bytemuck::cast_slice_mut(&mut all[text..])[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        Self {
            words,
            mask,
            longest,
        }
    }

    /// A table as it lies in a file; `None` if it is none. What it says of places and text is checked once, here.
    pub(super) fn stored(words: Slab) -> Option<Self> {
        let all = words.words();
        let [places, longest, bytes, _] = *all.first_chunk::<HEADER>()?;
        let (places, longest, bytes) = (places as usize, longest as usize, bytes as usize);
        let text = HEADER + places.checked_mul(PLACE)?;
        if !places.is_power_of_two() || all.len() != text + bytes.div_ceil(4) {
            return None;
        }
        let entries = all[HEADER..text].as_chunks::<PLACE>().0;
        let is_sound = |[_, at, length, _]: &[u32; PLACE]| {
            let length = (length / 2) as usize;
            length <= longest && *at as usize + length <= bytes
        };
        // Looking up ends at an empty place.
        let has_room = entries.iter().any(|entry| entry[2] == 0);
        (has_room && entries.iter().all(is_sound)).then(|| Self {
            mask: places - 1,
            longest,
            words,
        })
    }

    /// The table itself.
    pub(super) fn words(&self) -> &[u32] {
        self.words.words()
    }

    /// Longest piece in bytes.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Largest id; `None` of an empty table.
    pub(super) fn largest_id(&self) -> Option<u32> {
        let all = self.words.words();
        let entries = all[HEADER..HEADER + (self.mask + 1) * PLACE].as_chunks::<PLACE>();
        let used = entries.0.iter().filter(|entry| entry[2] != 0);
        used.map(|entry| entry[3]).max()
    }

    /// The id of `piece`, which is not empty.
    #[inline]
    pub(super) fn get(&self, kind: Kind, piece: &[u8]) -> Option<u32> {
        let all = self.words.words();
        let (entries, text) = all[HEADER..].split_at((self.mask + 1) * PLACE);
        let (entries, text) = (entries.as_chunks::<PLACE>().0, bytemuck::cast_slice(text));
        let hash = hash(kind, piece);
        let wanted = piece.len() as u32 * 2 + kind as u32;
        let mut place = hash as usize & self.mask;
        loop {
            let [tag, at, length, id] = entries[place];
            if length == 0 {
                return None;
            }
            if tag == (hash >> 32) as u32 && length == wanted {
                let text: &[u8] = text;
                if &text[at as usize..at as usize + piece.len()] == piece {
                    return Some(id);
                }
            }
            place = (place + 1) & self.mask;
        }
    }
}

/// Multiplies and folds eight bytes at a time. Pieces come from a fixed vocabulary, so nobody can choose them to collide.
#[inline]
fn hash(kind: Kind, piece: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(FACTOR);
        (product >> 64) as u64 ^ product as u64
    };
    let (words, rest) = piece.as_chunks::<8>();
    let mut hash = (piece.len() as u64) << 1 | kind as u64;
    for word in words {
        hash = fold(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    fold(fold(hash, u64::from_le_bytes(last)), FACTOR)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn built(pieces: &HashMap<(bool, Vec<u8>), u32>) -> Vocabulary {
        let kind = |next: bool| if next { Kind::Next } else { Kind::First };
        let pieces: Vec<_> = pieces
            .iter()
            .map(|((next, piece), id)| (kind(*next), piece.clone().into(), *id))
            .collect();
        Vocabulary::new(&pieces)
    }

    fn copied(words: &[u32]) -> Slab {
        let mut slab = Slab::zeroed(words.len());
        slab.words_mut().copy_from_slice(words);
        slab
    }

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(
            pieces in prop::collection::hash_map((any::<bool>(), prop::collection::vec(97u8..101, 1..20)), any::<u32>(), 0..200),
            asked in prop::collection::vec((any::<bool>(), prop::collection::vec(97u8..101, 1..20)), 0..50),
        ) {
            let made = built(&pieces);
            let stored = Vocabulary::stored(copied(made.words())).expect("what was written");
            for table in [&made, &stored] {
                prop_assert_eq!(table.largest_id(), pieces.values().copied().max());
                for key in pieces.keys().chain(&asked) {
                    let kind = if key.0 { Kind::Next } else { Kind::First };
                    prop_assert_eq!(table.get(kind, &key.1), pieces.get(key).copied());
                }
            }
        }

        #[test]
        fn a_damaged_table_is_refused_or_answers(
            at in 0usize..1000, bits in any::<u32>(), asked in prop::collection::vec(97u8..101, 1..20),
        ) {
            let pieces = (0..30u32).map(|i| ((i % 2 == 0, vec![97 + (i % 4) as u8; 1 + i as usize / 4]), i));
            let mut words = built(&pieces.collect()).words().to_vec();
            let at = at % words.len();
            words[at] ^= bits;
            if let Some(table) = Vocabulary::stored(copied(&words)) {
                table.get(Kind::First, &asked);
                table.get(Kind::Next, &asked);
            }
        }
    }

    #[test]
    fn tables_that_are_none_are_refused() {
        let whole = built(&HashMap::from([((false, b"heron".to_vec()), 1)]));
        let words = whole.words();
        assert!(Vocabulary::stored(copied(&words[..3])).is_none());
        assert!(Vocabulary::stored(copied(&words[..words.len() - 1])).is_none());
        let mut full = words.to_vec();
        (0..full[0] as usize).for_each(|place| full[HEADER + place * PLACE + 2] = 2);
        assert!(
            Vocabulary::stored(copied(&full)).is_none(),
            "no end to a look-up"
        );
    }
}
