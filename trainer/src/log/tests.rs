use std::fs;

use super::*;

fn step(at: u64) -> Event {
    Event::Step(Step {
        step: at,
        loss: 0.5 / (at + 1) as f64,
        negatives: BTreeMap::from([(Source::Ance, 3)]),
        ..Step::default()
    })
}

fn eval(at: u64) -> Event {
    Event::Eval(Eval {
        step: at,
        ndcg: 0.7,
        mrr: 0.6,
        queries: 10,
        took: 1.0,
    })
}

fn events(dir: &Path) -> Vec<Event> {
    read(dir)
        .expect("a log")
        .into_iter()
        .map(|line| line.event)
        .collect()
}

#[test]
fn reads_what_it_wrote() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = Event::Config(Config {
        step: 0,
        steps: 9,
        settings: serde_json::json!({"lr": 2e-5, "batch": 64}),
    });
    let refresh = Event::Refresh(Refresh {
        step: 1,
        encoder_step: 0,
        source: Source::Ance,
        index: "ivfpq".into(),
        encode_seconds: 1.0,
        index_seconds: 0.5,
        mine_seconds: 0.25,
        miner_recall: Some(0.97),
        guards: GuardCounts::default(),
    });
    let note = Event::Note {
        step: 1,
        text: "halved the micro-batch to 8".into(),
    };
    let all = vec![config, eval(0), step(0), refresh, step(1), note];
    let mut log = Log::create(dir.path()).expect("a new log");
    all.iter()
        .for_each(|event| log.write(event.clone()).expect("written"));
    assert_eq!(events(dir.path()), all);
    let text = fs::read_to_string(dir.path().join(FILE)).expect("text");
    let line: serde_json::Value =
        serde_json::from_str(text.lines().nth(2).expect("a line")).expect("JSON");
    assert_eq!(
        (&line["event"], &line["step"], &line["negatives"]["ance"]),
        (&"step".into(), &0.into(), &3.into())
    );
    assert!(line["seconds"].is_f64());
}

#[test]
fn resuming_cuts_off_what_is_done_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut log = Log::create(dir.path()).expect("a new log");
    let all = [eval(0), step(0), step(1), eval(2), step(2), step(3)];
    all.iter()
        .for_each(|event| log.write(event.clone()).expect("written"));
    log.file.write_all(b"{\"event\":\"st").expect("half a line");
    let before = read(dir.path()).expect("a log")[3].seconds;
    let mut log = Log::resume(dir.path(), 2).expect("the log");
    log.write(step(2)).expect("written");
    assert_eq!(
        events(dir.path()),
        [eval(0), step(0), step(1), eval(2), step(2)]
    );
    assert!(read(dir.path()).expect("a log")[4].seconds >= before);
}

#[test]
fn a_broken_line_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(
        dir.path().join(FILE),
        "{\"event\":\"note\",\"seconds\":1,\"step\":0,\"text\":\"a\"}\nnonsense\n",
    )
    .expect("written");
    let error = read(dir.path()).expect_err("a broken line").to_string();
    assert!(error.contains("line 2") && error.contains(FILE), "{error}");
}

#[test]
fn a_loss_that_was_no_number_can_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut log = Log::create(dir.path()).expect("a new log");
    let broken = Step {
        loss: f64::NAN,
        grad_norm: f64::INFINITY,
        grad_norm_by_source: BTreeMap::from([(Source::Random, f64::NAN)]),
        ..Step::default()
    };
    log.write(Event::Step(broken)).expect("written");
    let Event::Step(read) = &events(dir.path())[0] else {
        panic!("not a step")
    };
    assert!(read.loss.is_nan() && read.grad_norm.is_nan());
    assert!(read.grad_norm_by_source[&Source::Random].is_nan());
}
