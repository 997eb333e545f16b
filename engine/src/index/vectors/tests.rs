use std::sync::Mutex;
use std::sync::mpsc::Sender;

use storage::matrix::MatrixSegment;

use super::*;
use crate::encoder::testing::HashingEncoder;
use crate::encoder::{Embeddings, EncoderIdentity};
use crate::index::stamp::stamp_of;

/// Encodes a batch each time it is let through.
struct Gated {
    inner: HashingEncoder,
    gate: Mutex<Receiver<()>>,
}

impl Encoder for Gated {
    fn identity(&self) -> &EncoderIdentity {
        self.inner.identity()
    }

    fn encode(
        &self,
        texts: &[&str],
        role: Role,
        task: Task<'_>,
    ) -> Result<Embeddings, EncodeError> {
        let gate = self.gate.lock().expect("one batch at a time");
        gate.recv().expect("the test lives longer");
        self.inner.encode(texts, role, task)
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.inner.count_tokens(text)
    }
}

fn vectors() -> (Vectors, Sender<()>) {
    let (open, gate) = channel();
    let (inner, gate) = (HashingEncoder::new(8), Mutex::new(gate));
    let encoder = Gated { inner, gate };
    let stamp = stamp_of(encoder.identity());
    (Vectors::new(stamp, Some(Arc::new(encoder)), None), open)
}

fn push(vectors: &mut Vectors, ids: std::ops::Range<u32>) {
    for id in ids {
        let text = format!("passage {id}");
        vectors.push(PassageId(id), text.clone(), text_hash(&text), None);
    }
}

#[test]
fn a_batch_is_encoded_while_the_next_one_fills_and_a_third_waits() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("segment");
    let (mut vectors, open) = vectors();
    let mut report = IndexReport::default();
    push(&mut vectors, 0..10);
    let task = Task::silent();
    // The gate is shut: this comes back only because nobody waits for the encoder.
    vectors
        .start(&file, &mut report, task)
        .expect("it is under way");
    push(&mut vectors, 10..15);
    assert_eq!(report.encoded, 0);

    // The next batch has to wait for the first, and can be called off; nothing is lost by that.
    let raised = AtomicBool::new(true);
    let stopped = vectors.start(&file, &mut report, Task::new(&|_| {}, &raised));
    assert!(matches!(stopped, Err(EngineError::Cancelled(_))));

    open.send(()).expect("the encoder waits");
    open.send(()).expect("it will wait again");
    vectors
        .flush(&file, &mut report, task)
        .expect("both are written");
    assert_eq!(report.encoded, 15);
    let (path, _) = vectors
        .finish_segment()
        .expect("it is closed")
        .expect("it has rows");
    assert_eq!(MatrixSegment::open(&path).expect("a segment").len(), 15);
}

#[test]
fn the_same_text_twice_in_a_batch_is_encoded_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("segment");
    let (mut vectors, open) = vectors();
    let mut report = IndexReport::default();
    for id in 0..3 {
        let text = "the same words".to_owned();
        vectors.push(PassageId(id), text.clone(), text_hash(&text), None);
    }
    open.send(()).expect("the encoder will wait");
    vectors
        .flush(&file, &mut report, Task::silent())
        .expect("written");
    assert_eq!(report.encoded, 3);
    let (path, _) = vectors
        .finish_segment()
        .expect("it is closed")
        .expect("it has rows");
    assert_eq!(MatrixSegment::open(&path).expect("a segment").len(), 3);
}

#[test]
fn an_encoder_that_fails_ends_the_run_with_its_error() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (mut vectors, open) = vectors();
    push(&mut vectors, 0..1);
    drop(open);
    let failed = vectors.flush(
        &dir.path().join("segment"),
        &mut IndexReport::default(),
        Task::silent(),
    );
    assert!(matches!(failed, Err(EngineError::Encode(_))), "{failed:?}");
}
