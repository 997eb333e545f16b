use engine::report::{DocumentText, PassageText, Snippet};

use super::*;

pub(in crate::tui) fn hit(passage: u32, title: &str, text: &str) -> Hit {
    let at = text.find("heron");
    Hit {
        rank: passage as usize,
        score: 1.0,
        path: format!("/home/me/notes/{title}.md").into(),
        title: title.to_owned(),
        heading: String::new(),
        line: 3,
        end_line: 5,
        page: 0,
        byte: None,
        passage,
        snippet: Snippet {
            text: text.to_owned(),
            highlights: at.map(|at| at..at + 5).into_iter().collect(),
        },
        explain: Default::default(),
    }
}

pub(in crate::tui) fn app() -> App {
    let status = Status {
        documents: 12,
        ..Status::default()
    };
    App::new(&status, Zoned::now(), Path::new("/home/me"))
}

pub(in crate::tui) fn found(number: u64, hits: Vec<Hit>) -> Answer {
    Answer::Found {
        number,
        response: Box::new(SearchResponse {
            hits,
            mode: Mode::Bm25,
            ..SearchResponse::default()
        }),
        is_last: true,
    }
}

pub(in crate::tui) fn type_in(app: &mut App, text: &str) -> Vec<Effect> {
    text.chars()
        .flat_map(|c| press(app, KeyCode::Char(c)))
        .collect()
}

pub(in crate::tui) fn press(app: &mut App, code: KeyCode) -> Vec<Effect> {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn control(app: &mut App, c: char) -> Vec<Effect> {
    app.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL))
}

#[test]
fn every_letter_asks_and_only_the_newest_answer_is_shown() {
    let mut app = app();
    let asked = type_in(&mut app, "heron");
    assert_eq!(asked.len(), 5);
    assert!(app.is_waiting());
    assert!(app.answer(found(3, vec![hit(1, "old", "x")])).is_empty());
    assert!(app.hits().is_empty());
    let effects = app.answer(found(5, vec![hit(7, "new", "a heron")]));
    assert_eq!(effects, [Effect::Ask(Ask::Preview(7))]);
    assert_eq!(app.hits().len(), 1);
}

#[test]
fn a_chosen_hit_stays_chosen_when_the_order_changes() {
    let mut app = app();
    type_in(&mut app, "h");
    app.answer(found(
        1,
        vec![hit(1, "a", ""), hit(2, "b", ""), hit(3, "c", "")],
    ));
    press(&mut app, KeyCode::Down);
    app.answer(found(
        1,
        vec![hit(3, "c", ""), hit(2, "b", ""), hit(1, "a", "")],
    ));
    assert_eq!(app.chosen().map(|hit| hit.passage), Some(2));
    // Without a choice the first hit is the best one.
    type_in(&mut app, "e");
    app.answer(found(2, vec![hit(3, "c", ""), hit(2, "b", "")]));
    assert_eq!(app.selected, 0);
}

#[test]
fn choosing_keeps_within_the_list() {
    let mut app = app();
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Up);
    assert_eq!(app.selected, 0);
    type_in(&mut app, "h");
    app.answer(found(1, vec![hit(1, "a", ""), hit(2, "b", "")]));
    for _ in 0..5 {
        control(&mut app, 'n');
    }
    assert_eq!(app.selected, 1);
    assert_eq!(
        press(&mut app, KeyCode::Enter),
        [Effect::Open("/home/me/notes/b.md".into())]
    );
    assert_eq!(
        control(&mut app, 'e'),
        [Effect::Edit("/home/me/notes/b.md".into(), 3)]
    );
}

#[test]
fn escape_clears_then_leaves() {
    let mut app = app();
    type_in(&mut app, "h");
    app.answer(found(1, vec![hit(1, "a", "")]));
    assert!(press(&mut app, KeyCode::Esc).is_empty());
    assert!(app.hits().is_empty() && app.query.is_blank() && !app.is_waiting());
    assert_eq!(press(&mut app, KeyCode::Esc), [Effect::Quit]);
    assert_eq!(control(&mut app, 'c'), [Effect::Quit]);
}

#[test]
fn filters_are_part_of_the_question() {
    let mut app = app();
    type_in(&mut app, "h");
    press(&mut app, KeyCode::Tab);
    let asked = type_in(&mut app, "type:md");
    let Some(Effect::Ask(Ask::Search(_, request))) = asked.last() else {
        panic!("{asked:?}");
    };
    assert_eq!(request.filter.extensions, ["md"]);
    type_in(&mut app, " after:soon");
    assert!(
        app.message
            .as_ref()
            .is_some_and(|message| message.contains("no date")),
        "{:?}",
        app.message
    );
    assert_eq!(app.query.text(), "h");
}

#[test]
fn a_document_that_went_is_said() {
    let mut app = app();
    type_in(&mut app, "h");
    app.answer(found(1, vec![hit(4, "a", "")]));
    app.answer(Answer::Preview(4, None));
    assert!(
        app.message
            .as_ref()
            .is_some_and(|message| message.contains("went"))
    );
    assert!(!app.is_waiting());
}

#[test]
fn ranking_by_meaning_is_offered_only_where_it_is_possible() {
    let mut app = app();
    control(&mut app, 't');
    assert_eq!(app.mode, Mode::Bm25);
    assert!(
        app.message
            .as_ref()
            .is_some_and(|message| message.contains("model use"))
    );
}

/// The text around passage `passage`, as the worker hands it over.
pub(in crate::tui) fn around(passage: u32, text: &str) -> Answer {
    let shown = PassageText {
        passage,
        text: text.to_owned(),
        line: 3,
        ..PassageText::default()
    };
    let part = DocumentText {
        passages: vec![shown],
        ..DocumentText::default()
    };
    Answer::Preview(passage, Some(Box::new(part)))
}
