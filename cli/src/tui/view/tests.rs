use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

use super::super::app::tests::{app, around, found, hit, press, type_in};
use super::*;

/// The screen as text, row by row.
fn screen(
    app: &App,
    width: u16,
    height: u16,
    colour: bool,
) -> (Vec<String>, Terminal<TestBackend>) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal
        .draw(|frame| draw(frame, app, &Theme::new(colour)))
        .expect("draws");
    let buffer = terminal.backend().buffer();
    let row = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
            .trim_end()
            .to_owned()
    };
    ((0..height).map(row).collect(), terminal)
}

fn with_hits() -> App {
    let mut app = app();
    type_in(&mut app, "heron");
    app.answer(found(
        5,
        vec![
            hit(
                1,
                "Reeds",
                "In the morning a heron stood in the reeds and did not move.",
            ),
            hit(2, "Ponds", "No bird at all."),
        ],
    ));
    app.answer(around(
        1,
        "In the morning a heron stood\n    in the reeds\nand did not move.",
    ));
    app
}

#[test]
fn the_first_screen_says_what_to_do() {
    let (rows, _) = screen(&app(), 80, 24, true);
    assert!(
        rows[0].starts_with(" search  words, a question"),
        "{}",
        rows[0]
    );
    assert!(
        rows.iter()
            .any(|row| row.contains("Type to search 12 documents")),
        "{rows:#?}"
    );
    assert!(rows[23].ends_with("F1 keys"), "{}", rows[23]);
}

#[test]
fn hits_and_preview_stand_above_each_other_on_80_columns() {
    let (rows, _) = screen(&with_hits(), 80, 24, true);
    assert_eq!(rows[2], "▌1 Reeds");
    assert_eq!(rows[3], "▌   notes/Reeds.md:3");
    assert_eq!(
        rows[4],
        "▌   In the morning a heron stood in the reeds and did not move."
    );
    assert_eq!(rows[6], " 2 Ponds");
    let preview = rows
        .iter()
        .position(|row| row == "notes/Reeds.md:3")
        .expect("a preview");
    assert_eq!(
        rows[preview + 1..preview + 4],
        [
            "In the morning a heron stood",
            "    in the reeds",
            "and did not move."
        ]
    );
}

#[test]
fn and_side_by_side_on_140() {
    let (rows, _) = screen(&with_hits(), 140, 40, true);
    assert!(
        rows[2].starts_with("▌1 Reeds") && rows[2].contains("│ notes/Reeds.md:3"),
        "{}",
        rows[2]
    );
    assert!(rows[4].contains("│     in the reeds"), "{}", rows[4]);
}

#[test]
fn matches_are_marked_with_colour_and_without() {
    for (colour, foreground) in [(true, Color::Yellow), (false, Color::Reset)] {
        let (rows, terminal) = screen(&with_hits(), 80, 24, colour);
        let x = rows[4].find("heron").expect("the match") - "▌".len() + 1;
        let cell = &terminal.backend().buffer()[(x as u16, 4)];
        assert_eq!(cell.symbol(), "h");
        assert!(cell.modifier.contains(Modifier::BOLD));
        assert_eq!(cell.fg, foreground);
    }
    let (_, terminal) = screen(&with_hits(), 80, 24, false);
    let coloured = terminal
        .backend()
        .buffer()
        .content
        .iter()
        .find(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
    assert_eq!(coloured, None);
}

#[test]
fn no_control_character_of_a_file_is_drawn() {
    let mut app = app();
    type_in(&mut app, "x");
    let mut evil = hit(
        1,
        "t\u{1b}[2Jitle",
        "bell \u{7} and \u{9b}31m and \u{202e}turned",
    );
    evil.path = "/home/me/a\nb\u{1b}]0;x\u{7}.md".into();
    app.answer(found(1, vec![evil]));
    app.answer(around(1, "clear \u{1b}[2J the screen"));
    app.say("said \u{1b}[31m so".to_owned());
    let (rows, _) = screen(&app, 80, 24, true);
    let all = rows.concat();
    assert!(
        !all.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{all:?}"
    );
    assert!(
        all.contains("t\\e[2Jitle") && all.contains("clear \\e[2J the screen"),
        "{all}"
    );
    assert!(all.contains("a\\nb\\e]0;x"), "{all}");
}

#[test]
fn the_chosen_hit_stays_in_view() {
    let mut app = app();
    type_in(&mut app, "x");
    let many = (1..=30)
        .map(|i| hit(i, &format!("Title {i}"), "text"))
        .collect();
    app.answer(found(1, many));
    for _ in 0..20 {
        press(&mut app, KeyCode::Down);
    }
    let (rows, _) = screen(&app, 80, 24, true);
    assert!(
        rows.iter().any(|row| row.starts_with("▌21 Title 21")),
        "{rows:#?}"
    );
}

#[test]
fn a_tiny_terminal_is_drawn_on_too() {
    for (width, height) in [(1, 1), (5, 3), (20, 6), (100, 2)] {
        let mut app = with_hits();
        screen(&app, width, height, true);
        press(&mut app, KeyCode::F(1));
        screen(&app, width, height, true);
    }
}

#[test]
fn help_lies_over_everything_until_a_key_is_pressed() {
    let mut app = with_hits();
    press(&mut app, KeyCode::F(1));
    let (rows, _) = screen(&app, 80, 24, true);
    assert!(
        rows.iter()
            .any(|row| row.contains("open it in $EDITOR at its line")),
        "{rows:#?}"
    );
    press(&mut app, KeyCode::Down);
    assert!(!app.help && app.selected == 0);
}

#[test]
fn long_paths_keep_their_end() {
    assert_eq!(last_columns("/a/b/file.md:3", 9), "…ile.md:3");
    assert_eq!(last_columns("short", 9), "short");
}
