//! Do two processes get along on one collection?

use super::{Desk, Outcome};

/// Two writers: one works, the other is told who does. Readers find one state or the other all the while.
#[test]
fn a_second_writer_is_refused_and_readers_never_are() {
    let desk = Desk::indexed();
    let (mut worked, mut refused) = (0, 0);
    for round in 0..12 {
        for n in 0..40 {
            desk.write(
                &format!("{n}.txt"),
                &format!("The ferry of round{round} leaves."),
            );
        }
        let start = |arguments: &[&str]| {
            let mut command = desk.command(arguments);
            let piped = std::process::Stdio::piped;
            command
                .stdout(piped())
                .stderr(piped())
                .spawn()
                .expect("the binary starts")
        };
        let writers = [start(&["index", "files"]), start(&["index", "files"])];
        let reader = start(&[
            "search", "ferry", "--mode", "bm25", "--limit", "100", "--json",
        ]);
        let end =
            |child: std::process::Child| Outcome::of(child.wait_with_output().expect("it ends"));
        let found = end(reader);
        assert!(matches!(found.code, Some(0 | 1)), "{}", found.err);
        let answer = found.json();
        let hits = answer["hits"].as_array().expect("hits");
        let mut rounds: Vec<&str> = hits
            .iter()
            .filter_map(|hit| hit["snippet"].as_str()?.split(' ').nth(3))
            .collect();
        assert!(
            hits.len() == 40 || round == 0 && hits.is_empty(),
            "{} hits",
            hits.len()
        );
        rounds.dedup();
        assert!(rounds.len() <= 1, "a mixture: {rounds:?}");
        for outcome in writers.map(end) {
            match outcome.code {
                Some(0) => worked += 1,
                Some(2) => {
                    assert!(
                        outcome.err.contains("is being written by"),
                        "{}",
                        outcome.err
                    );
                    refused += 1;
                }
                other => panic!("{other:?}: {}", outcome.err),
            }
        }
        desk.run(&["index", "files"]).expect(0);
    }
    assert!(worked >= 12, "{worked} worked, {refused} were refused");
    desk.run(&["doctor"]).expect(0);
}
