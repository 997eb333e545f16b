use proptest::prelude::*;

use super::*;
use crate::testing::examples;

proptest! {
    #[test]
    fn sketches_find_what_the_full_comparison_finds(
        words in prop::collection::vec("[a-d]{1,2}", 0..60),
        changes in prop::collection::vec((0usize..60, "[a-d]{1,2}"), 0..12),
        share in 0.5f32..1.0,
    ) {
        let mut other = words.clone();
        for (at, word) in changes {
            if let Some(place) = other.get_mut(at) {
                *place = word;
            }
        }
        let texts = [words.join(" "), other.join(", ").to_uppercase()];
        let duplicates = Duplicates::new(texts.iter().map(String::as_str), share);
        let near = duplicates.near(0, 1, |at| texts[at as usize].as_str());
        prop_assert_eq!(near, jaccard(&texts[0], &texts[1]) >= share || words == other);
    }

    #[test]
    fn the_common_share_is_that_of_the_sets(
        a in prop::collection::vec("[a-c]", 0..20),
        b in prop::collection::vec("[a-c]", 0..20),
    ) {
        let sets = [&a, &b].map(|words| {
            let size = words.len().clamp(1, 3);
            words.windows(size).map(<[String]>::to_vec).collect::<std::collections::BTreeSet<_>>()
        });
        let common = sets[0].intersection(&sets[1]).count() as f32;
        let union = sets[0].union(&sets[1]).count() as f32;
        let expected = if union == 0.0 { 1.0 } else { common / union };
        prop_assert_eq!(jaccard(&a.join(" "), &b.join(" ")), expected);
    }

    #[test]
    fn the_margin_asks_for_distance(positive in -1.0f32..1.0, candidate in -1.0f32..1.0) {
        prop_assert!(Margin::None.allows(candidate, positive));
        let relative = Margin::Relative(0.9).allows(candidate, positive);
        prop_assert_eq!(relative, candidate < positive - (1.0 - 0.9f32) * positive.abs());
        prop_assert!(!relative || candidate <= positive);
        prop_assert_eq!(Margin::Absolute(0.05).allows(candidate, positive), candidate < positive - 0.05);
    }
}

#[test]
fn what_nobody_measured_is_allowed() {
    for margin in [Margin::Relative(0.95), Margin::Absolute(0.05)] {
        assert!(margin.allows(f32::NAN, 0.5) && margin.allows(0.9, f32::NAN));
    }
}

#[test]
fn each_guard_objects_to_its_own() {
    let mut examples = examples(6, 1, &[vec![0, 1]]);
    examples.documents[2].group = 0;
    examples.passages[3].text = examples.passages[1].text.to_uppercase().replace(' ', " - ");
    let asked = |config: GuardConfig| {
        let guards = Guards::new(&examples, config).expect("guards");
        (0..6)
            .map(|passage| guards.objection(&examples, 0, passage))
            .collect::<Vec<_>>()
    };
    let labelled = Some(Objection::Labelled);
    let (same, near) = (
        Some(Objection::SameDocument),
        Some(Objection::NearDuplicate),
    );
    assert_eq!(
        asked(GuardConfig::default()),
        [labelled, labelled, same, near, None, None]
    );
    let bare = GuardConfig {
        same_document: false,
        near_duplicate: None,
        margin: Margin::None,
    };
    assert_eq!(asked(bare), [labelled, labelled, None, None, None, None]);
}

#[test]
fn other_passages_of_a_positive_are_refused() {
    let examples = examples(3, 4, &[vec![1]]);
    let guards = Guards::new(&examples, GuardConfig::default()).expect("guards");
    let refused: Vec<u32> = (0..12)
        .filter(|p| guards.objection(&examples, 0, *p).is_some())
        .collect();
    assert_eq!(refused, [4, 5, 6, 7]);
}

#[test]
fn impossible_settings_are_refused() {
    let examples = examples(2, 1, &[vec![0]]);
    let default = GuardConfig::default();
    let bad = [
        GuardConfig {
            near_duplicate: Some(0.0),
            ..default
        },
        GuardConfig {
            margin: Margin::Relative(1.2),
            ..default
        },
        GuardConfig {
            margin: Margin::Absolute(f32::NAN),
            ..default
        },
    ];
    for config in bad {
        let message = Guards::new(&examples, config)
            .expect_err("an impossible setting")
            .to_string();
        assert!(message.contains("it has to be"), "{message}");
    }
}

#[test]
fn copies_point_to_the_first_of_them() {
    let long = |at: u32| {
        (0..6)
            .map(|part| crate::testing::text(at * 10 + part))
            .collect::<Vec<_>>()
            .join(". ")
    };
    let mut texts: Vec<String> = (0..40).map(long).collect();
    texts.push(texts[3].to_uppercase());
    texts.push(format!("{} and a little more", texts[7]));
    texts.push(texts[41].replacen("river", "lake", 1));
    texts.push(String::new());
    texts.push("...".into());
    let duplicates = Duplicates::new(texts.iter().map(String::as_str), 0.8);
    let firsts = duplicates.firsts(|at| texts[at as usize].as_str());
    let mut expected: Vec<u32> = (0..40).collect();
    expected.extend([3, 7, 7, 43, 43]);
    assert_eq!(firsts, expected);
}
