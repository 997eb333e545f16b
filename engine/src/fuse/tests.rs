use proptest::prelude::*;

use super::weight::{Evidence, FIXED, HIGHEST, LOWEST};
use super::*;

fn candidate(id: u32, bm25: f32, dense: f32) -> Candidate {
    Candidate {
        id: PassageId(id),
        bm25,
        dense,
    }
}

fn ids(fused: &[Fused]) -> Vec<u32> {
    fused.iter().map(|f| f.id.0).collect()
}

fn list(ids: &[u32]) -> Vec<PassageId> {
    ids.iter().copied().map(PassageId).collect()
}

const UNIT: Moments = Moments {
    mean: 0.0,
    deviation: 1.0,
};

#[test]
fn the_weight_moves_the_order_from_words_to_meaning() {
    let both = [
        candidate(1, 9.0, 0.1),
        candidate(2, 1.0, 0.9),
        candidate(3, 5.0, 0.5),
    ];
    let dense = Moments {
        mean: 0.5,
        deviation: 0.1,
    };
    let bm25 = Moments {
        mean: 1.0,
        deviation: 1.0,
    };
    assert_eq!(ids(&weighted(&both, bm25, dense, 0.0)), [1, 3, 2]);
    assert_eq!(ids(&weighted(&both, bm25, dense, 1.0)), [2, 3, 1]);
    assert_eq!(
        weighted(&both, bm25, dense, 7.0),
        weighted(&both, bm25, dense, 1.0)
    );
    let half = weighted(&both, bm25, dense, 0.5);
    // (0.1 - 0.5) / 0.1 = -4 and (9 - 1) / 1 = 8.
    assert!((half.iter().find(|f| f.id.0 == 1).expect("fused").score - 2.0).abs() < 1e-6);
}

#[test]
fn a_leg_without_an_opinion_leaves_the_order_to_the_other() {
    let both = [
        candidate(1, 0.0, 0.2),
        candidate(2, 0.0, 0.4),
        candidate(3, 0.0, 0.4),
    ];
    assert_eq!(
        ids(&weighted(&both, Moments::default(), UNIT, 0.1)),
        [2, 3, 1]
    );
    assert_eq!(
        ids(&weighted(
            &both,
            Moments::default(),
            Moments::default(),
            0.5
        )),
        [1, 2, 3]
    );
    assert!(weighted(&[], UNIT, UNIT, 0.5).is_empty());
}

#[test]
fn reciprocal_ranks_add_up() {
    let fused = reciprocal_rank(&list(&[5, 6, 6]), &list(&[7, 5]));
    assert_eq!(ids(&fused), [5, 7, 6]);
    assert!((fused[0].score - (1.0 / 61.0 + 1.0 / 62.0)).abs() < 1e-7);
    assert_eq!(ids(&reciprocal_rank(&[], &list(&[9, 2]))), [9, 2]);
    assert_eq!(ids(&reciprocal_rank(&list(&[9]), &list(&[2]))), [2, 9]);
}

#[test]
fn moments_are_mean_and_population_deviation() {
    let moments = Moments::of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
    assert_eq!(
        moments,
        Moments {
            mean: 5.0,
            deviation: 2.0
        }
    );
    assert_eq!(moments.standardise(9.0), 2.0);
    assert_eq!(Moments::of([]), Moments::default());
    assert_eq!(Moments::of([3.0; 9]).standardise(100.0), 0.0);
}

fn any_score() -> impl Strategy<Value = f32> {
    prop_oneof![4 => -50.0..50.0_f32, 1 => Just(0.0), 1 => any::<f32>()]
}

fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::btree_map(0..500_u32, (any_score(), any_score()), 0..60).prop_map(|scores| {
        scores
            .into_iter()
            .map(|(id, (bm25, dense))| candidate(id, bm25, dense))
            .collect()
    })
}

proptest! {
    #[test]
    fn whatever_comes_in_the_order_is_total_and_finite(
        candidates in any_candidates(),
        bm25 in (any_score(), any_score()),
        dense in (any_score(), any_score()),
        weight in -0.5..1.5_f32,
    ) {
        let moments = |(mean, deviation)| Moments { mean, deviation };
        let fused = weighted(&candidates, moments(bm25), moments(dense), weight);
        prop_assert_eq!(fused.len(), candidates.len());
        prop_assert!(fused.iter().all(|f| f.score.is_finite()));
        for pair in fused.windows(2) {
            prop_assert!(pair[0].score > pair[1].score || pair[0].score == pair[1].score && pair[0].id < pair[1].id);
        }
    }

    /// The slow equivalent: standardise every score of the collection in double precision and sort it all. Integer
    /// scores and deviations of powers of two keep both exact.
    #[test]
    fn the_first_places_are_those_of_a_full_sort(
        scores in prop::collection::vec((-40..40_i16, -40..40_i16), 1..120),
        quarter in 0..=4_u8,
    ) {
        let weight = f32::from(quarter) / 4.0;
        let bm25 = Moments { mean: 3.0, deviation: 4.0 };
        let dense = Moments { mean: -1.0, deviation: 0.5 };
        let all: Vec<Candidate> = scores.iter().zip(0..)
            .map(|((b, d), id)| candidate(id, f32::from(*b), f32::from(*d)))
            .collect();
        let mut slow: Vec<(f64, u32)> = all.iter().map(|c| {
            let z = |score: f32, m: Moments| (f64::from(score) - f64::from(m.mean)) / f64::from(m.deviation);
            (f64::from(weight) * z(c.dense, dense) + (1.0 - f64::from(weight)) * z(c.bm25, bm25), c.id.0)
        }).collect();
        slow.sort_by(|a, b| b.0.partial_cmp(&a.0).expect("finite").then(a.1.cmp(&b.1)));
        let slow: Vec<u32> = slow.into_iter().map(|(_, id)| id).collect();
        prop_assert_eq!(&ids(&weighted(&all, bm25, dense, weight)), &slow);

        // With lists of fixed depth: whatever the full sort ranks above all that neither list holds is in its place.
        let top = |key: fn(&Candidate) -> f32| {
            let mut order: Vec<&Candidate> = all.iter().collect();
            order.sort_by(|a, b| key(b).total_cmp(&key(a)).then(a.id.cmp(&b.id)));
            order.iter().take(40).map(|c| c.id).collect::<Vec<_>>()
        };
        let candidates: Vec<Candidate> = union(&top(|c| c.bm25), &top(|c| c.dense)).into_iter()
            .map(|id| all[id.0 as usize])
            .collect();
        let fused = ids(&weighted(&candidates, bm25, dense, weight));
        let kept: Vec<u32> = slow.into_iter().filter(|id| fused.contains(id)).collect();
        prop_assert_eq!(fused, kept);
    }

    #[test]
    fn reciprocal_rank_is_its_definition(
        first in prop::collection::vec(0..40_u32, 0..30),
        second in prop::collection::vec(0..40_u32, 0..30),
    ) {
        let share = |list: &[u32], id: u32| {
            list.iter().position(|other| *other == id).map_or(0.0, |i| 1.0 / (61.0 + i as f32))
        };
        let fused = reciprocal_rank(&list(&first), &list(&second));
        prop_assert_eq!(fused.iter().map(|f| f.id).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>(), union(&list(&first), &list(&second)));
        for f in &fused {
            prop_assert!((f.score - share(&first, f.id.0) - share(&second, f.id.0)).abs() < 1e-7);
        }
        prop_assert!(fused.windows(2).all(|p| p[0].score > p[1].score || p[0].score == p[1].score && p[0].id < p[1].id));
    }
}

/// A typical query of a set of short sentences, which MiniLM answers far better than BM25.
const CLEAR: Evidence = Evidence {
    passages: 26_196,
    bm25_deviation: 0.56,
    bm25_top: 15.3,
    bm25_field: 4.3,
    dense_top: 0.72,
    dense_mean: 0.013,
};

#[test]
fn the_weight_is_the_formula_at_known_points() {
    // By hand: 0.679 + 6.117 * 0.707 + 1.105 * 0.5798 - 0.214 * 10.1734 - 0.661 * 0.7190 = 2.9924.
    assert!((CLEAR.dense_weight() - (0.05 + 0.94 / (1.0 + (-2.9924_f32).exp()))).abs() < 1e-4);
    // A typical query of a set of scientific claims: 0.679 + 6.117 * 0.515 - 1.105 * 0.796 - 0.214 * 8.5532 - 0.661 * 0.75.
    let torn = Evidence {
        passages: 5_183,
        bm25_deviation: 0.796_f32.exp(),
        bm25_top: 28.0,
        bm25_field: 7.0,
        dense_top: 0.619,
        dense_mean: 0.104,
    };
    assert!((torn.dense_weight() - (0.05 + 0.94 / (1.0 + (-0.623_38_f32).exp()))).abs() < 1e-4);
}

#[test]
fn a_table_of_token_vectors_counts_less_by_the_same_evidence() {
    let logit = 2.9924_f32 - 1.5;
    let wanted = 0.05 + 0.94 / (1.0 + (-logit).exp());
    assert!((CLEAR.dense_weight_of_static() - wanted).abs() < 1e-4);
    assert!(CLEAR.dense_weight_of_static() < CLEAR.dense_weight());
}

#[test]
fn evidence_is_read_off_the_lists() {
    let bm25: Vec<f32> = (0..150).map(|i| 20.0 - i as f32 / 10.0).collect();
    let moments = |mean, deviation| Moments { mean, deviation };
    let evidence = Evidence::of(
        900,
        (&bm25, moments(1.0, 2.0)),
        (&[0.8, 0.7], moments(0.1, 0.09)),
    );
    let expected = Evidence {
        passages: 900,
        bm25_deviation: 2.0,
        bm25_top: 20.0,
        bm25_field: bm25[99],
        dense_top: 0.8,
        dense_mean: 0.1,
    };
    assert_eq!(evidence, expected);
    let few = Evidence::of(
        900,
        (&bm25[..99], moments(1.0, 2.0)),
        (&[], moments(0.1, 0.09)),
    );
    assert_eq!((few.bm25_field, few.dense_top), (0.0, 0.1));
}

#[test]
fn without_word_matches_the_weight_is_the_fixed_one() {
    let nothing = Evidence::of(
        10,
        (&[], Moments::default()),
        (
            &[0.5],
            Moments {
                mean: 0.1,
                deviation: 0.1,
            },
        ),
    );
    assert_eq!(nothing.dense_weight(), FIXED);
    let odd = Evidence {
        dense_top: f32::NAN,
        ..CLEAR
    };
    assert_eq!(odd.dense_weight(), FIXED);
}

proptest! {
    #[test]
    fn any_evidence_gives_a_weight_within_bounds(
        passages in any::<u64>(),
        scores in prop::array::uniform5(any_score()),
    ) {
        let [bm25_deviation, bm25_top, bm25_field, dense_top, dense_mean] = scores;
        let weight = Evidence { passages, bm25_deviation, bm25_top, bm25_field, dense_top, dense_mean }.dense_weight();
        prop_assert!((LOWEST..=HIGHEST).contains(&weight), "{}", weight);
    }

    #[test]
    fn meaning_counts_more_where_it_stands_out_and_less_where_words_do(
        step in 0.01..0.3_f32,
        times in 1.1..4.0_f32,
    ) {
        let than = |evidence: Evidence| evidence.dense_weight().partial_cmp(&CLEAR.dense_weight());
        let greater = Evidence { dense_top: CLEAR.dense_top + step, ..CLEAR };
        prop_assert_eq!(than(greater), Some(std::cmp::Ordering::Greater));
        for less in [
            Evidence { bm25_deviation: CLEAR.bm25_deviation * times, ..CLEAR },
            Evidence { bm25_field: CLEAR.bm25_field / times, ..CLEAR },
            Evidence { passages: CLEAR.passages * 2, ..CLEAR },
        ] {
            prop_assert_eq!(than(less), Some(std::cmp::Ordering::Less));
        }
    }
}
