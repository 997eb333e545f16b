//! Which ids had this run of characters the last time?
//!
//! Runs that are not plain words go through the `tokenizers` crate, a hundred times slower than a plain word. They are
//! few in kind, as words are, so most have been seen before. Bounded: a full shard is emptied.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock};

/// Parts with a lock each.
const SHARDS: usize = 16;
/// Runs of a shard.
const RUNS: usize = 2048;
/// Longer runs are not remembered.
const LONGEST: usize = 64;

type Shard = RwLock<HashMap<Box<[u8]>, Box<[u32]>>>;

/// What was seen.
#[derive(Default)]
pub(super) struct Memo {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

impl Memo {
    fn shard(&self, run: &[u8]) -> &Shard {
        &self.shards[self.hasher.hash_one(run) as usize % SHARDS]
    }

    /// Appends the ids of `run`, by `find` if they are not known yet; `find` appends to what it is given.
    pub(super) fn append<E>(
        &self,
        run: &[u8],
        ids: &mut Vec<u32>,
        find: impl FnOnce(&mut Vec<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        if run.len() > LONGEST {
            return find(ids);
        }
        let shard = self.shard(run);
        if let Some(known) = shard
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(run)
        {
            ids.extend_from_slice(known);
            return Ok(());
        }
        let before = ids.len();
        find(ids)?;
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= RUNS {
            shard.clear();
        }
        shard.insert(run.into(), ids[before..].into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn a_run_is_looked_into_once_and_memory_is_bounded() {
        let memo = Memo::default();
        let mut found = 0;
        for round in 0..3 {
            for i in 0..20u32 {
                let mut ids = vec![7];
                let find = |ids: &mut Vec<u32>| {
                    found += 1;
                    ids.extend([i, i + 1]);
                    Ok::<_, Infallible>(())
                };
                let Ok(()) = memo.append(format!("é{i}").as_bytes(), &mut ids, find);
                assert_eq!(ids, [7, i, i + 1], "round {round}");
            }
        }
        assert_eq!(found, 20);
        for i in 0..2 * SHARDS * RUNS {
            let find = |_: &mut Vec<u32>| Ok::<_, Infallible>(());
            let Ok(()) = memo.append(i.to_string().as_bytes(), &mut Vec::new(), find);
        }
        let kept = |shard: &Shard| shard.read().unwrap().len();
        assert!(memo.shards.iter().map(kept).max().unwrap() <= RUNS);
        let long = [b'x'; LONGEST + 1];
        let refused = memo.append(&long, &mut Vec::new(), |_| Err("not found"));
        assert_eq!(refused, Err("not found"));
    }
}
