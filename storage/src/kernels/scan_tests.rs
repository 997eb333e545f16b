use super::scan::*;
use super::{Level, available_levels, lut};
use proptest::prelude::*;

fn run(codes: &[u8], vectors: usize) -> Run<'_> {
    Run {
        codes,
        vectors,
        first_slot: 1000,
    }
}

/// One look-up at a time, straight from the layout's description.
fn slow_sum(codes: &[u8], tables: &[u8], groups: usize, vector: usize) -> i32 {
    let block = &codes[vector / BLOCK * groups * GROUP_CODE_BYTES..];
    let subspaces = 0..groups * GROUP;
    let entries = subspaces.map(|s| {
        let (group, within) = (s / GROUP, s % GROUP);
        let byte = block[group * GROUP_CODE_BYTES + 4 * (vector % BLOCK) + within % 4];
        let code = if within < 4 { byte & 15 } else { byte >> 4 };
        i32::from(tables[s * 16 + usize::from(code)])
    });
    entries.sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_level_adds_what_the_layout_says(
        groups in 1usize..20,
        blocks in 0usize..6,
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
        let tables: Vec<u8> = (0..groups * GROUP_TABLE_BYTES).map(|_| byte()).collect();
        let slow: Vec<i32> = (0..blocks * BLOCK).map(|v| slow_sum(&codes, &tables, groups, v)).collect();
        let vectors = (blocks * BLOCK).saturating_sub(padding);
        let bar = (share * f64::from(groups as u32 * 8 * 255)) as i32 - 500;
        let base = -500;
        let passed: Vec<Candidate> = slow[..vectors]
            .iter()
            .zip(1000..)
            .filter(|(sum, _)| **sum + base > bar)
            .map(|(sum, slot)| Candidate { score: sum + base, slot })
            .collect();
        for scan in Scan::available() {
            let mut out = vec![-1; blocks * BLOCK];
            scan.sums(&codes, &tables, &mut out);
            prop_assert_eq!(&out, &slow, "{}", scan.name());
            let mut found = Vec::new();
            scan.above(run(&codes, vectors), &tables, base, bar, &mut found);
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
        let words: Vec<f32> = (0..d * 16).map(|i| (i as f32 * 0.37 + seed).sin()).collect();
        let at = |level: Level| {
            let mut tables = vec![0.0; subspaces * 16];
            lut::tables(level, &query, &ends, &words, &mut tables);
            let mut bytes = vec![0; tables.len()];
            let original = tables.clone();
            let map = lut::to_bytes(level, &mut tables, &mut bytes);
            let tables = original;
            let count = lut::count_from(level, &tables, 0.1);
            (tables.clone(), bytes, map, count, lut::range(level, &tables))
        };
        let expected = at(Level::Scalar);
        let (tables, bytes, (sum, step), _, _) = &expected;
        // Any code's score is its bytes' within half a step a subspace (and rounding of the f32 sums).
        for code in 0..16 {
            let true_score: f32 = (0..subspaces).map(|s| tables[s * 16 + (code + s) % 16]).sum();
            let added: f32 = (0..subspaces).map(|s| f32::from(bytes[s * 16 + (code + s) % 16])).sum();
            let bound = step * 0.5 * subspaces as f32 + 1e-4;
            prop_assert!((sum + step * added - true_score).abs() <= bound);
        }
        for level in available_levels() {
            prop_assert_eq!(&at(level), &expected);
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
}
