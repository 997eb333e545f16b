use super::scan::*;
use super::{Level, available_levels, lut};
use proptest::prelude::*;

fn run(codes: &[u8], blocks: usize, vectors: usize) -> Run<'_> {
    Run {
        codes,
        blocks,
        vectors,
        first_slot: 1000,
    }
}

/// One look-up at a time, straight from the layout's description.
fn slow_sum(width: Width, codes: &[u8], tables: &[u8], groups: usize, vector: usize) -> i32 {
    let block = &codes[vector / BLOCK * groups * GROUP_CODE_BYTES..];
    let (subspaces, lane) = (0..groups * width.group(), vector % BLOCK);
    let entries = subspaces.map(|s| {
        let (group, within) = (s / width.group(), s % width.group());
        let group = &block[group * GROUP_CODE_BYTES..];
        let code = match width {
            Width::Four if within < 4 => group[4 * lane + within] & 15,
            Width::Four => group[4 * lane + within - 4] >> 4,
            Width::Eight => group[16 * within + lane],
        };
        i32::from(tables[s * width.entries() + usize::from(code)])
    });
    entries.sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_level_adds_what_the_layout_says(
        width in prop::sample::select(&[Width::Four, Width::Eight][..]),
        groups in 1usize..20,
        blocks in 0usize..10,
        seed in any::<u64>(),
        padding in 0usize..16,
        share in 0.0f64..1.0,
    ) {
        let mut state = seed;
        let mut byte = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        let codes: Vec<u8> = (0..blocks * groups * GROUP_CODE_BYTES).map(|_| byte()).collect();
        let tables: Vec<u8> = (0..groups * width.table_bytes()).map(|_| byte()).collect();
        let slow: Vec<i32> =
            (0..blocks * BLOCK).map(|v| slow_sum(width, &codes, &tables, groups, v)).collect();
        let vectors = (blocks * BLOCK).saturating_sub(padding);
        let most = (groups * width.group()) as u32 * 255;
        let bar = (share * f64::from(most)) as i32 - 500;
        let base = -500;
        let passed: Vec<Candidate> = slow[..vectors]
            .iter()
            .zip(1000..)
            .filter(|(sum, _)| **sum + base > bar)
            .map(|(sum, slot)| Candidate { score: sum + base, slot })
            .collect();
        for scan in Scan::available() {
            if width == Width::Four {
                let mut out = vec![-1; blocks * BLOCK];
                scan.sums(&codes, &tables, &mut out);
                prop_assert_eq!(&out, &slow, "{}", scan.name());
            }
            let mut found = Vec::new();
            scan.above(width, run(&codes, blocks, vectors), &tables, base, bar, &mut found);
            prop_assert_eq!(&found, &passed, "{}", scan.name());
        }
    }

    #[test]
    fn every_level_makes_the_same_tables(
        query in prop::collection::vec(-2.0f32..2.0, 1..70),
        seed in -1.0f32..1.0,
        subspaces in 1usize..12,
    ) {
        let d = query.len();
        let ends: Vec<u32> = (1..=subspaces).map(|s| (s * d / subspaces) as u32).collect();
        for entries in [16, 256] {
            let words: Vec<f32> = (0..d * entries).map(|i| (i as f32 * 0.37 + seed).sin()).collect();
            let reach: Vec<f32> = words
                .chunks(entries)
                .map(|row| row.iter().fold(0.0, |most: f32, x| most.max(x.abs())))
                .collect();
            let words = lut::Words { ends: &ends, words: &words, entries };
            let at = |level: Level| {
                let mut tables = vec![0.0; subspaces * entries];
                lut::tables(level, &query, words, &mut tables);
                let mut bounds = vec![0.0; subspaces];
                let most = lut::bounds(level, &query, &ends, &reach, &mut bounds);
                let scale = 254.9 / (2.0 * most).max(1e-20);
                let mut bytes = vec![0; tables.len()];
                lut::bytes(level, &query, words, &bounds, scale, &mut bytes);
                let count = lut::count_from(level, &tables, 0.1);
                let mut numbers = Vec::new();
                lut::numbers_from(level, &tables, 0.1, &mut numbers);
                let range = lut::range(level, &tables);
                (tables, bytes, (bounds, scale), (count, numbers), range)
            };
            let expected = at(Level::Scalar);
            let (tables, bytes, (bounds, scale), (count, numbers), _) = &expected;
            let slow: Vec<u32> = (0..).zip(tables).filter(|(_, x)| **x >= 0.1).map(|(at, _)| at).collect();
            prop_assert_eq!(numbers, &slow);
            prop_assert_eq!(*count, slow.len());
            // Any code's score is its bytes' within half a step a subspace (and rounding of the f32 sums).
            for code in 0..entries {
                let at = |s: usize| s * entries + (code + s) % entries;
                let true_score: f32 = (0..subspaces).map(|s| tables[at(s)]).sum();
                let added: f32 = (0..subspaces).map(|s| f32::from(bytes[at(s)])).sum();
                let score = added / scale - bounds.iter().sum::<f32>();
                prop_assert!((score - true_score).abs() <= 0.5 * subspaces as f32 / scale + 1e-3);
            }
            for level in available_levels() {
                prop_assert_eq!(&at(level), &expected);
            }
        }
    }
}

#[test]
fn largest_entries_do_not_overflow() {
    let groups = MAX_SUBSPACES / GROUP;
    let codes = vec![0xff; groups * GROUP_CODE_BYTES];
    let tables = vec![255; groups * GROUP_TABLE_BYTES];
    for scan in Scan::available() {
        let mut out = vec![0; BLOCK];
        scan.sums(&codes, &tables, &mut out);
        assert_eq!(out, [MAX_SUBSPACES as i32 * 255; BLOCK], "{}", scan.name());
    }
    let most = Width::Eight.most();
    let (codes, tables) = (vec![0xff; 5 * most * BLOCK], vec![255; 256 * most]);
    for scan in Scan::available() {
        let mut found = Vec::new();
        scan.above(Width::Eight, run(&codes, 5, 70), &tables, 0, 0, &mut found);
        assert_eq!(found.len(), 70, "{}", scan.name());
        assert!(found.iter().all(|c| c.score == most as i32 * 255));
    }
}
