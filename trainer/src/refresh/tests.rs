use burn::tensor::Device;

use super::*;
use crate::examples::Options;
use crate::oracle::open;

fn examples() -> Arc<Examples> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/beir");
    Arc::new(Examples::from_beir(&corpus, &Options::default()).expect("the small corpus"))
}

fn numbers(encoded: &Encoded) -> Vec<f32> {
    let rows = encoded.passages.iter().flat_map(|(_, row)| row);
    let queries = encoded.queries.iter().chain(&encoded.dev).copied();
    rows.chain(queries).collect()
}

#[test]
fn all_places_give_the_same_vectors() {
    let dir = tempfile::tempdir().expect("a folder");
    let examples = examples();
    let (encoder, values) = open("bert");
    let snapshot = Snapshot {
        step: 7,
        values: Arc::new(values),
    };
    let ways = [
        (Place::Cpu, false),
        (Place::Cpu, true),
        (Place::Device(Device::flex(), None), false),
    ];
    let vectors = ways.map(|(place, beside)| {
        let (encoder, examples) = (Arc::clone(&encoder), Arc::clone(&examples));
        let mut inferencer = Inferencer::new(encoder, examples, place, [beside, true], dir.path());
        let now = inferencer
            .start(snapshot.clone(), Task::silent())
            .expect("vectors");
        assert_eq!(now.is_none(), beside);
        let encoded = match now {
            Some(encoded) => encoded,
            None => {
                // A second snapshot has to wait for the first.
                let later = Snapshot {
                    step: 9,
                    ..snapshot.clone()
                };
                let refused = inferencer.start(later, Task::silent()).expect("no vectors");
                assert!(refused.is_none() && inferencer.in_flight() == Some(7));
                let finished = inferencer.finished(true).expect("vectors");
                finished.expect("what was begun")
            }
        };
        assert_eq!(encoded.snapshot.step, 7);
        assert_eq!(encoded.passages.len(), examples_len(&inferencer));
        numbers(&encoded)
    });
    for other in &vectors[1..] {
        assert!(crate::oracle::difference(&vectors[0], other) < 1e-5);
    }
}

fn examples_len(inferencer: &Inferencer) -> usize {
    inferencer.work.examples.passages.len()
}

#[test]
fn the_cancel_flag_stops_the_encoding() {
    let dir = tempfile::tempdir().expect("a folder");
    let (encoder, values) = open("bert");
    let mut inferencer =
        Inferencer::new(encoder, examples(), Place::Cpu, [false, true], dir.path());
    let cancel = AtomicBool::new(true);
    let snapshot = Snapshot {
        step: 0,
        values: Arc::new(values),
    };
    let stopped = inferencer.start(snapshot, Task::new(&|_| {}, &cancel));
    assert!(matches!(
        stopped,
        Err(RefreshError::Cancelled(_) | RefreshError::Encode(EncodeError::Cancelled(_)))
    ));
}
