use proptest::prelude::*;

use super::*;

const TABLES: Tables = Tables {
    words: 0,
    positions: 40_000,
    types: Some(80_000),
    width: 8,
    first_position: 2,
};

proptest! {
    /// Every token is in a tile of its own text, in one list of each table, and counts for its own text alone.
    #[test]
    fn tokens_keep_their_text(lengths in prop::collection::vec(1usize..90, 1..12), tile in 8usize..64) {
        let texts: Vec<Tokens> = lengths
            .iter()
            .enumerate()
            .map(|(t, n)| Tokens { ids: (0..*n).map(|i| ((t + i * i) % 17) as u32).collect(), skipped: 0 })
            .collect();
        let plan = Plan::new(&texts.iter().collect::<Vec<_>>(), Pooling::Mean, TABLES, tile);
        let tokens: usize = lengths.iter().sum();
        prop_assert_eq!(plan.ids.len(), rounded(tokens));
        let mut covered = vec![0; plan.ids.len()];
        for t in plan.tiles.chunks_exact(4) {
            let [first, rows, keys, from] = [t[0], t[1], t[2], t[3]].map(|n| n as usize);
            for row in from..rows.min(from + tile) {
                covered[first + row] += 1;
                let text = plan.texts[first + row] as usize;
                let expected = if first + row < tokens { lengths[text] } else { 0 };
                prop_assert_eq!(keys, expected);
            }
        }
        prop_assert!(covered.iter().all(|n| *n == 1));
        for (t, length) in lengths.iter().enumerate() {
            let range = plan.starts[t] as usize..plan.starts[t + 1] as usize;
            prop_assert_eq!(range.len(), *length);
            let share: f32 = plan.shares[range.clone()].iter().sum();
            prop_assert!((share - 1.0).abs() < 1e-4);
            prop_assert_eq!(plan.positions[range.start], 2);
        }
        prop_assert!(plan.shares[tokens..].iter().all(|s| *s == 0.0));
        let lists = &plan.lists;
        prop_assert_eq!(lists.rows.len(), 3 * tokens);
        for (l, place) in lists.places.iter().enumerate() {
            let pieces = lists.lists[l] as usize..lists.lists[l + 1] as usize;
            for row in lists.pieces[pieces.start]..lists.pieces[pieces.end] {
                let token = lists.rows[row as usize] as usize;
                let at = *place as usize * LANES;
                let wanted = match at {
                    80_000.. => 80_000,
                    40_000.. => 40_000 + plan.positions[token] as usize * 8,
                    _ => plan.ids[token] as usize * 8,
                };
                prop_assert_eq!(at, wanted);
            }
        }
    }
}
