//! How is the screen drawn?

use engine::report::Hit;
use engine::request::Mode;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Padding, Paragraph};

use super::app::{App, Focus};
use crate::output::hits::{anchor, headline};
use crate::output::text::{Run, duration, escape, wrap, wrap_plain};
use crate::talk::shown;

/// From this width on, hits and preview stand side by side.
const WIDE: u16 = 100;
/// Rows of a hit: headline, place, two of text.
const HIT_ROWS: usize = 4;

/// The styles, with colour or without (<https://no-color.org>).
pub struct Theme {
    title: Style,
    place: Style,
    matched: Style,
    dim: Style,
    chosen: Style,
    accent: Style,
}

impl Theme {
    /// Styles; without colour, weight and reversal alone tell things apart.
    pub fn new(colour: bool) -> Self {
        let plain = Style::new();
        let tint =
            |style: Style, colour_of: Color| if colour { style.fg(colour_of) } else { style };
        Self {
            title: plain.add_modifier(Modifier::BOLD),
            place: tint(plain, Color::Cyan),
            matched: tint(plain.add_modifier(Modifier::BOLD), Color::Yellow),
            dim: plain.add_modifier(Modifier::DIM),
            chosen: plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
            accent: tint(plain.add_modifier(Modifier::BOLD), Color::Green),
        }
    }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, app: &App, theme: &Theme) {
    let filters = app.focus == Focus::Filters || !app.filters.text().is_empty();
    let rows = [
        Constraint::Length(1),
        Constraint::Length(u16::from(filters)),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [query, filter, rule, body, status] = Layout::vertical(rows).areas(frame.area());
    input(frame, query, app, Focus::Query, theme);
    if filters {
        input(frame, filter, app, Focus::Filters, theme);
    }
    frame.render_widget(
        Block::new().borders(Borders::TOP).border_style(theme.dim),
        rule,
    );
    match app.hits().is_empty() {
        true => empty(frame, body, app, theme),
        false => answer(frame, body, app, theme),
    }
    frame.render_widget(status_line(app, status.width, theme), status);
    if app.help {
        help(frame, theme);
    }
}

/// One input line with its label, and the cursor if it has the focus.
fn input(frame: &mut Frame<'_>, area: Rect, app: &App, which: Focus, theme: &Theme) {
    let (label, line, hint) = match which {
        Focus::Query => (
            " search ",
            &app.query,
            "words, a question, \"quoted words\", +must, -not",
        ),
        Focus::Filters => (
            " filter ",
            &app.filters,
            "type:md,pdf path:*/notes/* after:30d before:2026-01-01",
        ),
    };
    let label_width = label.len() as u16 + 1;
    let (text, cursor) = line.visible(area.width.saturating_sub(label_width).into());
    let has_focus = app.focus == which;
    let label_style = if has_focus { theme.chosen } else { theme.dim };
    let content = match text.is_empty() {
        true => Span::styled(hint, theme.dim),
        false => Span::raw(escape(text).into_owned()),
    };
    let spans = vec![Span::styled(label, label_style), Span::raw(" "), content];
    frame.render_widget(Line::from(spans), area);
    if has_focus && !app.help {
        frame.set_cursor_position((
            area.x + (label_width + cursor).min(area.width.saturating_sub(1)),
            area.y,
        ));
    }
}

/// What stands where there are no hits.
fn empty(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let waiting = app.is_waiting();
    let text = match (app.query.is_blank(), waiting) {
        (true, _) => format!("Type to search {} documents. F1 explains the keys.", app.documents),
        (false, true) => "…".to_owned(),
        (false, false) => "Nothing found. Other words may help, fewer filters (Tab), or another way of ranking (Ctrl-T).".to_owned(),
    };
    let width = usize::from(area.width).saturating_sub(8).max(1);
    let lines: Vec<_> = wrap_plain(&text, width)
        .into_iter()
        .map(|line| Line::styled(line, theme.dim))
        .collect();
    let top = area.height / 3;
    let rows = area.height.saturating_sub(top);
    let place = Rect::new(area.x, area.y + top, area.width, rows);
    frame.render_widget(Paragraph::new(lines).centered(), place);
}

/// Hits and preview, side by side or one above the other.
fn answer(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let wide = area.width >= WIDE;
    let halves = [
        Constraint::Percentage(if wide { 48 } else { 58 }),
        Constraint::Fill(1),
    ];
    let layout = if wide {
        Layout::horizontal(halves)
    } else {
        Layout::vertical(halves)
    };
    let [list, side] = layout.areas(area);
    hits(frame, list, app, theme);
    let edge = if wide { Borders::LEFT } else { Borders::TOP };
    let block = Block::new()
        .borders(edge)
        .border_style(theme.dim)
        .padding(Padding::left(u16::from(wide)));
    let inner = block.inner(side);
    frame.render_widget(block, side);
    preview(frame, inner, app, theme);
}

fn hits(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let width = usize::from(area.width);
    let room = usize::from(area.height);
    let shown = (room / HIT_ROWS).max(1);
    // The chosen hit stays in view, as far down as it was.
    let first = app.selected.saturating_sub(shown.saturating_sub(1));
    let mut lines = Vec::with_capacity(room + HIT_ROWS);
    for (index, hit) in app.hits().iter().enumerate().skip(first) {
        if lines.len() >= room {
            break;
        }
        hit_lines(hit, index == app.selected, app, width, theme, &mut lines);
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn hit_lines(
    hit: &Hit,
    is_chosen: bool,
    app: &App,
    width: usize,
    theme: &Theme,
    lines: &mut Vec<Line<'static>>,
) {
    let mark = if is_chosen {
        Span::styled("▌", theme.accent)
    } else {
        Span::raw(" ")
    };
    let room = width.saturating_sub(2).max(1);
    let row = |mut spans: Vec<Span<'static>>| {
        spans.insert(0, mark.clone());
        Line::from(spans)
    };
    let title = first_line(&format!("{} {}", hit.rank, headline(hit)), room);
    let title_style = if is_chosen { theme.chosen } else { theme.title };
    lines.push(row(vec![Span::styled(title, title_style)]));
    let place = format!("{}{}", shown(&hit.path, &app.current), anchor(hit));
    lines.push(row(vec![
        Span::raw("   "),
        Span::styled(last_columns(&place, room.saturating_sub(3)), theme.place),
    ]));
    for runs in best_lines(&wrap(&hit.snippet, room.saturating_sub(3).max(1))) {
        let mut spans = vec![Span::raw("   ")];
        spans.extend(runs.iter().map(|run| span(run, theme, Style::new())));
        lines.push(row(spans));
    }
}

/// Two lines of a snippet: from the first that holds a match, or the last two.
fn best_lines(lines: &[Vec<Run>]) -> Vec<Vec<Run>> {
    let hot = lines
        .iter()
        .position(|line| line.iter().any(|(_, hot)| *hot))
        .unwrap_or(0);
    let first = hot.min(lines.len().saturating_sub(2));
    let mut best: Vec<_> = lines.iter().skip(first).take(2).cloned().collect();
    best.resize(2, Vec::new());
    best
}

fn span((text, hot): &Run, theme: &Theme, plain: Style) -> Span<'static> {
    Span::styled(text.clone(), if *hot { theme.matched } else { plain })
}

/// The first line of a text that is wrapped at `width`, with an ellipsis if it goes on.
fn first_line(text: &str, width: usize) -> String {
    let mut lines = wrap_plain(text, width.saturating_sub(1).max(1)).into_iter();
    let first = lines.next().unwrap_or_default();
    match lines.next() {
        Some(_) => format!("{first}…"),
        None => first,
    }
}

/// The end of a path, which tells more than its start.
fn last_columns(path: &str, width: usize) -> String {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if path.width() <= width {
        return path.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let fits = |c: &char| {
        let columns = c.width().unwrap_or(0);
        let fits = columns <= room;
        room = room.saturating_sub(columns);
        fits
    };
    let kept: Vec<char> = path.chars().rev().take_while(fits).collect();
    format!("…{}", kept.into_iter().rev().collect::<String>())
}

/// The text around the chosen hit, the hit itself bright, what stands around it dim.
fn preview(frame: &mut Frame<'_>, area: Rect, app: &App, theme: &Theme) {
    let (Some(preview), Some(hit)) = (&app.preview, app.chosen()) else {
        return;
    };
    let width = usize::from(area.width).max(1);
    let (rows, start) = preview.rows(width);
    let head = format!("{}{}", shown(&hit.path, &app.current), anchor(hit));
    let mut lines = vec![Line::styled(last_columns(&head, width), theme.place)];
    let room = usize::from(area.height).saturating_sub(1);
    // Two rows of what comes before lead into the hit.
    let wanted = start.saturating_sub(2).saturating_add_signed(app.scroll);
    let first = wanted.min(rows.len().saturating_sub(room));
    for row in rows.iter().skip(first).take(room) {
        let plain = if row.is_hit { Style::new() } else { theme.dim };
        lines.push(row.runs.iter().map(|run| span(run, theme, plain)).collect());
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// What is going on, and the most useful keys.
fn status_line(app: &App, width: u16, theme: &Theme) -> Line<'static> {
    if let Some(message) = &app.message {
        return Line::styled(first_line(message, width.into()), theme.title);
    }
    let keys = " Enter open · Ctrl-E edit · Tab filter · F1 keys";
    let state = state(app);
    let gap = usize::from(width).saturating_sub(state.chars().count() + keys.chars().count());
    Line::styled(format!("{state}{}{keys}", " ".repeat(gap)), theme.dim)
}

fn state(app: &App) -> String {
    let Some(response) = &app.response else {
        return format!(" {}", mode_name(app.mode));
    };
    let milliseconds = response
        .timings_ms
        .iter()
        .fold(0.0, |sum, (_, ms)| sum + ms);
    let encoder = response
        .encoder
        .as_ref()
        .map(|encoder| format!(" · {}", escape(&encoder.name)));
    let more = if app.is_waiting() { " …" } else { "" };
    format!(
        " {} hits · {}{} · {}{more}",
        response.hits.len(),
        mode_name(response.mode),
        encoder.unwrap_or_default(),
        duration(milliseconds / 1e3)
    )
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Hybrid => "words and meaning",
        Mode::Bm25 => "words",
        Mode::Dense => "meaning",
    }
}

const KEYS: [(&str, &str); 12] = [
    ("↑ ↓", "choose a hit (also Ctrl-P, Ctrl-N)"),
    ("Enter", "open it in the system's program"),
    ("Ctrl-E", "open it in $EDITOR at its line"),
    ("PgUp PgDn", "scroll the preview (also Ctrl-B, Ctrl-F)"),
    ("Tab", "to the filters and back"),
    ("Ctrl-T", "rank by words and meaning, words, or meaning"),
    ("Ctrl-U", "clear the line; Ctrl-W a word"),
    ("Esc", "clear the query; leave if it is empty"),
    ("Ctrl-C", "leave"),
    ("\"a b\"", "words that stand together"),
    ("+a -b", "a must be there, b must not"),
    ("title:a", "look in titles; also heading: name: path:"),
];

fn help(frame: &mut Frame<'_>, theme: &Theme) {
    let area = frame.area();
    let (width, height) = (62.min(area.width), (KEYS.len() as u16 + 4).min(area.height));
    let place = Rect::new(
        (area.width - width) / 2,
        (area.height - height) / 2,
        width,
        height,
    );
    let block = Block::bordered()
        .title(" Keys ")
        .padding(Padding::uniform(1))
        .border_style(theme.accent);
    let line = |(key, what): &(&'static str, &'static str)| {
        Line::from(vec![
            Span::styled(format!("{key:<11}"), theme.title),
            Span::raw(*what),
        ])
    };
    frame.render_widget(Clear, place);
    frame.render_widget(
        Paragraph::new(KEYS.iter().map(line).collect::<Vec<_>>()).block(block),
        place,
    );
}

#[cfg(test)]
mod tests;
