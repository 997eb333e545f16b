use proptest::prelude::*;

use super::*;
use crate::testing::examples;

fn provenance(corpus: &str) -> Provenance {
    Provenance {
        source: Source::Ance,
        encoder: "abc".into(),
        step: 100,
        seed: 3,
        corpus: corpus.into(),
        guards: GuardConfig::default(),
        mining: Mining {
            index: "exact".into(),
            recall: 1.0,
            recall_queries: 0,
            depth: 200,
            seconds: 0.5,
            guards: crate::guards::GuardCounts::default(),
        },
    }
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (any::<u32>(), -9.0f32..9.0, -1.0f32..1.0);
    let candidate = one.prop_map(|(passage, score, cosine)| Candidate {
        passage,
        score,
        cosine,
    });
    prop::collection::vec(candidate, 0..6)
}

fn pool() -> impl Strategy<Value = Pool> {
    let found = (candidates(), candidates());
    let found = found.prop_map(|(positives, candidates)| Found {
        positives,
        candidates,
    });
    prop::collection::vec(found, 0..8).prop_map(|queries| Pool { queries })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn reads_what_it_wrote(pool in pool()) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("mined.safetensors");
        write(&path, &pool, &provenance("c")).expect("written");
        let (read, origin) = read(&path, "c").expect("read");
        prop_assert_eq!(read, pool);
        prop_assert_eq!(origin, provenance("c"));
        prop_assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_changed_byte_is_noticed(pool in pool(), at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("mined.safetensors");
        write(&path, &pool, &provenance("c")).expect("written");
        let mut bytes = fs::read(&path).expect("a file");
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        fs::write(&path, bytes).expect("written");
        // The header's JSON has letters that decide nothing; the numbers are hashed.
        if let Ok((same, _)) = read(&path, "c") {
            prop_assert_eq!(same, pool);
        }
    }
}

#[test]
fn unmeasured_cosines_survive() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("bm25.safetensors");
    let unmeasured = Candidate {
        passage: 4,
        score: 2.5,
        cosine: f32::NAN,
    };
    let found = Found {
        positives: vec![unmeasured],
        candidates: Vec::new(),
    };
    write(
        &path,
        &Pool {
            queries: vec![found],
        },
        &provenance("c"),
    )
    .expect("written");
    let (read, _) = read(&path, "c").expect("read");
    assert!(read.queries[0].positives[0].cosine.is_nan());
}

#[test]
fn other_texts_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("mined.safetensors");
    let first = examples(3, 1, &[vec![0]]);
    let mut second = first.clone();
    second.passages[1].text.push('!');
    assert_ne!(corpus_hash(&first), corpus_hash(&second));
    write(&path, &Pool::default(), &provenance(&corpus_hash(&first))).expect("written");
    assert!(read(&path, &corpus_hash(&first)).is_ok());
    let refused = read(&path, &corpus_hash(&second));
    assert!(
        matches!(refused, Err(MinedError::OtherExamples { .. })),
        "{refused:?}"
    );
    fs::write(&path, b"nonsense").expect("written");
    assert!(matches!(read(&path, ""), Err(MinedError::Damaged { .. })));
}
