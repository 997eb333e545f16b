use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::guards::{GuardConfig, Guards};
use crate::negatives::{Draw, Mixture, Pools, Source};
use crate::testing::examples;

/// Runs `steps` batches of random negatives from where the sampler stands.
fn run(sampler: &mut Sampler, examples: &Examples, count: usize, steps: usize) -> Vec<Batch> {
    let guards = Guards::new(examples, GuardConfig::default()).expect("guards");
    let mixture = Mixture::only(Source::Random, Draw::Uniform);
    let negatives = Negatives {
        examples,
        guards: &guards,
        mixture: &mixture,
        pools: &Pools::default(),
        count,
    };
    (0..steps).map(|_| sampler.next(&negatives)).collect()
}

fn config(batch: usize) -> SamplerConfig {
    SamplerConfig {
        batch,
        max_pairs: None,
        seed: 7,
    }
}

/// Labels of up to 20 queries over 30 documents, some queries with many positives.
fn labels() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(
        prop_oneof![
            4 => prop::collection::vec(0u32..30, 1..3),
            1 => prop::collection::vec(0u32..30, 5..12),
        ],
        1..20,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_hold_different_queries_with_their_own_positives(labels in labels(), batch in 1usize..12) {
        let examples = examples(30, 1, &labels);
        let mut sampler = Sampler::new(&examples, config(batch), 2).expect("a sampler");
        for batch in run(&mut sampler, &examples, 2, 12) {
            let different: HashSet<u32> = batch.queries.iter().copied().collect();
            prop_assert_eq!(different.len(), batch.len());
            prop_assert!(!batch.is_empty());
            for ((query, positive), negatives) in batch.queries.iter().zip(&batch.positives).zip(&batch.negatives) {
                let query = &examples.queries[*query as usize];
                prop_assert!(query.is_positive(*positive));
                prop_assert_eq!(negatives.len(), 2);
                prop_assert!(negatives[0].passage != negatives[1].passage);
                prop_assert!(negatives.iter().all(|negative| !query.is_positive(negative.passage)));
            }
        }
    }

    #[test]
    fn an_epoch_gives_every_pair_once(labels in labels(), batch in 1usize..12) {
        let examples = examples(30, 1, &labels);
        let mut sampler = Sampler::new(&examples, config(batch), 1).expect("a sampler");
        let mut times: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        let mut pairs = 0;
        // What waits goes first, one of a query in a batch.
        while pairs < 3 * sampler.pairs() + batch * batch {
            let given = run(&mut sampler, &examples, 1, 1).remove(0);
            pairs += given.len();
            for pair in given.queries.iter().zip(&given.positives) {
                *times.entry((*pair.0, *pair.1)).or_default() += 1;
            }
            // What was read and not given out yet waits.
            let Position { epoch, read, waiting, .. } = sampler.position();
            prop_assert_eq!(pairs + waiting.len(), *epoch as usize * sampler.pairs() + read);
            prop_assert!(waiting.len() < sampler.pairs() + batch);
        }
        let epochs = sampler.position().epoch as usize + 1;
        prop_assert!(times.values().all(|times| *times <= epochs));
        prop_assert!(times.len() == sampler.pairs());
    }

    #[test]
    fn a_resumed_run_is_the_unbroken_run(labels in labels(), batch in 1usize..12, stop in 0usize..9) {
        let examples = examples(30, 1, &labels);
        let mut unbroken = Sampler::new(&examples, config(batch), 2).expect("a sampler");
        let all = run(&mut unbroken, &examples, 2, 12);
        let mut first = Sampler::new(&examples, config(batch), 2).expect("a sampler");
        run(&mut first, &examples, 2, stop);
        let saved = serde_json::to_string(first.position()).expect("a position is data");
        let mut second = Sampler::new(&examples, config(batch), 2).expect("a sampler");
        second.resume(serde_json::from_str(&saved).expect("what was written")).expect("its own position");
        prop_assert_eq!(run(&mut second, &examples, 2, 12 - stop), &all[stop..]);
        prop_assert_eq!(second.position(), unbroken.position());
    }
}

#[test]
fn shared_positives_keep_out_of_each_others_batch() {
    // Pairs of queries share a document; a batch of half the queries can hold one of each.
    let labels: Vec<Vec<u32>> = (0..40).map(|at| vec![at / 2]).collect();
    let examples = examples(20, 1, &labels);
    let mut sampler = Sampler::new(&examples, config(10), 1).expect("a sampler");
    let batches = run(&mut sampler, &examples, 1, 40);
    let shared = batches.iter().filter(|batch| {
        let different: HashSet<u32> = batch.positives.iter().copied().collect();
        different.len() < batch.len()
    });
    // Only the ends of epochs may have no choice.
    assert!(shared.count() <= 10);
    assert!(batches.iter().all(|batch| batch.len() == 10));
}

#[test]
fn seeds_and_epochs_differ() {
    let labels: Vec<Vec<u32>> = (0..20).map(|at| vec![at]).collect();
    let examples = examples(20, 1, &labels);
    let with = |seed| {
        let config = SamplerConfig { seed, ..config(20) };
        let mut sampler = Sampler::new(&examples, config, 1).expect("a sampler");
        run(&mut sampler, &examples, 1, 2)
    };
    let batches = with(7);
    assert_ne!(batches[0].queries, batches[1].queries);
    assert_ne!(batches[0].negatives, batches[1].negatives);
    assert_ne!(batches, with(8));
    assert_eq!(batches, with(7));
}

#[test]
fn pairs_are_thinned_out_once() {
    let labels: Vec<Vec<u32>> = (0..4).map(|at| (at..at + 10).collect()).collect();
    let examples = examples(20, 1, &labels);
    let config = SamplerConfig {
        max_pairs: Some(12),
        ..config(2)
    };
    let mut sampler = Sampler::new(&examples, config, 1).expect("a sampler");
    assert_eq!(
        (sampler.pairs(), sampler.steps(2.0), sampler.steps(0.0)),
        (12, 12, 1)
    );
    let batches = run(&mut sampler, &examples, 1, 30);
    let seen: HashSet<(u32, u32)> = batches
        .iter()
        .flat_map(|batch| {
            batch
                .queries
                .iter()
                .copied()
                .zip(batch.positives.iter().copied())
        })
        .collect();
    assert_eq!(seen.len(), 12);
}

#[test]
fn what_cannot_be_sampled_is_refused() {
    let examples = examples(3, 1, &[vec![0]]);
    assert_eq!(
        Sampler::new(&examples, config(4), 3).err(),
        Some(SamplerError::FewDocuments {
            wanted: 3,
            documents: 3
        })
    );
    assert_eq!(
        Sampler::new(&examples, config(0), 1).err(),
        Some(SamplerError::Zero { name: "the batch" })
    );
    let mut sampler = Sampler::new(&examples, config(4), 2).expect("a sampler");
    let foreign = Position {
        read: 9,
        ..Position::default()
    };
    assert_eq!(
        sampler.resume(foreign),
        Err(SamplerError::Position { found: 9, pairs: 1 })
    );
    // Two negatives are all that three documents have.
    assert_eq!(run(&mut sampler, &examples, 2, 1)[0].negatives[0].len(), 2);
}
