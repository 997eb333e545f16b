//! What is on the screen, and what does a key do to it?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine::report::{Hit, SearchResponse, Status};
use engine::request::{Mode, SearchRequest};
use jiff::Zoned;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::filters;
use super::line::Line;
use super::preview::{Preview, words};
use super::worker::{Answer, Ask};

/// Hits that are listed.
const LISTED: usize = 100;
/// Rows that a page key scrolls the preview by.
const PAGE: usize = 8;

/// What has to be done outside the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Leave.
    Quit,
    /// Ask the worker.
    Ask(Ask),
    /// Open the file in the system's program.
    Open(PathBuf),
    /// Open the file in the editor, at a line.
    Edit(PathBuf, u32),
}

/// Which input line takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The question.
    Query,
    /// The filters.
    Filters,
}

/// Everything on the screen.
pub struct App {
    /// The question.
    pub query: Line,
    /// The filters.
    pub filters: Line,
    /// Where keys go.
    pub focus: Focus,
    /// How is ranked.
    pub mode: Mode,
    /// The answer that is shown.
    pub response: Option<SearchResponse>,
    /// Index of the chosen hit.
    pub selected: usize,
    /// Text around the chosen hit.
    pub preview: Option<Preview>,
    /// Rows the preview is scrolled from where the hit starts.
    pub scroll: isize,
    /// Whether the keys are explained.
    pub help: bool,
    /// What went wrong or was done, until the next key.
    pub message: Option<String>,
    /// Documents in the collection, for the greeting.
    pub documents: u64,
    /// Paths below it are shown without it.
    pub current: PathBuf,
    now: Zoned,
    has_vectors: bool,
    /// Number of the last search that was asked for.
    asked: u64,
    /// Number of the last search whose last word came.
    answered: u64,
    /// Whether the person chose a hit; otherwise the first one is chosen.
    moved: bool,
}

impl App {
    /// An empty screen over a collection.
    pub fn new(status: &Status, now: Zoned, current: &Path) -> Self {
        let has_vectors = status.encoder.is_some();
        Self {
            query: Line::default(),
            filters: Line::default(),
            focus: Focus::Query,
            mode: if has_vectors {
                Mode::Hybrid
            } else {
                Mode::Bm25
            },
            response: None,
            selected: 0,
            preview: None,
            scroll: 0,
            help: false,
            message: None,
            documents: status.documents,
            current: current.to_owned(),
            now,
            has_vectors,
            asked: 0,
            answered: 0,
            moved: false,
        }
    }

    /// Whether an answer is still to come.
    pub fn is_waiting(&self) -> bool {
        self.answered < self.asked
            || self.chosen().map(|hit| hit.passage) != self.preview.as_ref().map(|p| p.passage)
    }

    /// Shows a message until the next key.
    pub fn say(&mut self, message: String) {
        self.message = Some(message);
    }

    /// The hits that are listed.
    pub fn hits(&self) -> &[Hit] {
        self.response
            .as_ref()
            .map_or(&[], |response| &response.hits)
    }

    /// The chosen hit.
    pub fn chosen(&self) -> Option<&Hit> {
        self.hits().get(self.selected)
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        self.message = None;
        if self.help {
            self.help = false;
            return Vec::new();
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return self.control(key.code);
        }
        match key.code {
            KeyCode::Esc => self.escape(),
            KeyCode::Enter => self.open(),
            KeyCode::Tab | KeyCode::BackTab => self.switch_focus(),
            KeyCode::F(1) => self.explain(),
            KeyCode::Char('?') if self.query.is_blank() => self.explain(),
            KeyCode::Up => self.choose(self.selected.saturating_sub(1)),
            KeyCode::Down => self.choose(self.selected + 1),
            KeyCode::PageUp => self.scroll_by(-(PAGE as isize)),
            KeyCode::PageDown => self.scroll_by(PAGE as isize),
            code => self.edit_line(code),
        }
    }

    fn control(&mut self, code: KeyCode) -> Vec<Effect> {
        let KeyCode::Char(c) = code else {
            return Vec::new();
        };
        match c {
            'c' | 'd' | 'q' => vec![Effect::Quit],
            'p' | 'k' => self.choose(self.selected.saturating_sub(1)),
            'n' | 'j' => self.choose(self.selected + 1),
            'b' => self.scroll_by(-(PAGE as isize)),
            'f' => self.scroll_by(PAGE as isize),
            'e' | 'o' => self.edit(),
            't' => self.next_mode(),
            'u' => self.change(Line::clear),
            'w' => self.change(Line::delete_word),
            // Many terminals send this for backspace.
            'h' => self.change(Line::backspace),
            'a' => self.move_cursor(Line::home),
            _ => Vec::new(),
        }
    }

    fn edit_line(&mut self, code: KeyCode) -> Vec<Effect> {
        match code {
            KeyCode::Char(c) => self.change(|line| line.insert(c.encode_utf8(&mut [0; 4]))),
            KeyCode::Backspace => self.change(Line::backspace),
            KeyCode::Delete => self.change(Line::delete),
            KeyCode::Left => self.move_cursor(Line::left),
            KeyCode::Right => self.move_cursor(Line::right),
            KeyCode::Home => self.move_cursor(Line::home),
            KeyCode::End => self.move_cursor(Line::end),
            _ => Vec::new(),
        }
    }

    /// Takes pasted text.
    pub fn paste(&mut self, text: &str) -> Vec<Effect> {
        self.message = None;
        self.change(|line| line.insert(text))
    }

    fn line(&mut self) -> &mut Line {
        match self.focus {
            Focus::Query => &mut self.query,
            Focus::Filters => &mut self.filters,
        }
    }

    fn move_cursor(&mut self, how: impl FnOnce(&mut Line)) -> Vec<Effect> {
        how(self.line());
        Vec::new()
    }

    fn change(&mut self, how: impl FnOnce(&mut Line)) -> Vec<Effect> {
        let before = self.line().text().to_owned();
        how(self.line());
        if self.line().text() == before {
            return Vec::new();
        }
        self.search()
    }

    fn escape(&mut self) -> Vec<Effect> {
        if self.focus == Focus::Filters {
            return self.switch_focus();
        }
        match self.query.text().is_empty() {
            true => vec![Effect::Quit],
            false => self.change(Line::clear),
        }
    }

    fn explain(&mut self) -> Vec<Effect> {
        self.help = true;
        Vec::new()
    }

    fn switch_focus(&mut self) -> Vec<Effect> {
        self.focus = match self.focus {
            Focus::Query => Focus::Filters,
            Focus::Filters => Focus::Query,
        };
        Vec::new()
    }

    fn next_mode(&mut self) -> Vec<Effect> {
        if !self.has_vectors {
            self.say("this collection is searched by words; `askance model use NAME` adds search by meaning".to_owned());
            return Vec::new();
        }
        self.mode = match self.mode {
            Mode::Hybrid => Mode::Bm25,
            Mode::Bm25 => Mode::Dense,
            Mode::Dense => Mode::Hybrid,
        };
        self.search()
    }

    /// Asks what stands in the lines now.
    fn search(&mut self) -> Vec<Effect> {
        self.moved = false;
        self.asked += 1;
        if self.query.is_blank() {
            self.answered = self.asked;
            self.show(None);
            return Vec::new();
        }
        let filter = match filters::read(self.filters.text(), &self.now) {
            Ok(filter) => filter,
            Err(error) => {
                self.answered = self.asked;
                self.say(error.to_string());
                return Vec::new();
            }
        };
        let mut request = SearchRequest::new(self.query.text());
        request.mode = self.mode;
        request.limit = LISTED;
        request.filter = filter;
        vec![Effect::Ask(Ask::Search(self.asked, Box::new(request)))]
    }

    fn show(&mut self, response: Option<SearchResponse>) {
        let chosen = self.chosen().map(|hit| hit.passage).filter(|_| self.moved);
        self.response = response;
        let place = self
            .hits()
            .iter()
            .position(|hit| Some(hit.passage) == chosen);
        self.selected = place.unwrap_or(0);
        if self.response.is_none() {
            self.preview = None;
        }
    }

    /// Takes what the worker found. Answers to older questions are let go.
    pub fn answer(&mut self, answer: Answer) -> Vec<Effect> {
        match answer {
            Answer::Found {
                number,
                response,
                is_last,
            } if number == self.asked => {
                self.show(Some(*response));
                if is_last {
                    self.answered = number;
                }
                self.look()
            }
            Answer::Failed { number, error } if number == self.asked => {
                self.answered = number;
                self.say(error);
                Vec::new()
            }
            Answer::Preview(passage, text) => {
                self.show_preview(passage, text.as_deref());
                Vec::new()
            }
            Answer::Found { .. } | Answer::Failed { .. } => Vec::new(),
        }
    }

    fn show_preview(&mut self, passage: u32, text: Option<&engine::report::DocumentText>) {
        let Some(hit) = self.chosen().filter(|hit| hit.passage == passage) else {
            return;
        };
        let words: BTreeSet<String> = words(&hit.snippet);
        match text {
            Some(text) => self.preview = Some(Preview::new(passage, text, &words)),
            None => {
                self.preview = Some(Preview::gone(passage));
                self.say(
                    "this document changed or went since it was found; press a key to search again"
                        .to_owned(),
                );
            }
        }
        self.scroll = 0;
    }

    fn choose(&mut self, index: usize) -> Vec<Effect> {
        self.moved = true;
        self.selected = index.min(self.hits().len().saturating_sub(1));
        self.look()
    }

    /// Asks for the text around the chosen hit unless it is shown.
    fn look(&mut self) -> Vec<Effect> {
        let shown = self.preview.as_ref().map(|preview| preview.passage);
        match self.chosen().map(|hit| hit.passage) {
            Some(passage) if shown != Some(passage) => vec![Effect::Ask(Ask::Preview(passage))],
            Some(_) => Vec::new(),
            None => {
                self.preview = None;
                Vec::new()
            }
        }
    }

    fn scroll_by(&mut self, rows: isize) -> Vec<Effect> {
        self.scroll = self.scroll.saturating_add(rows);
        Vec::new()
    }

    fn open(&mut self) -> Vec<Effect> {
        let hit = self.chosen().map(|hit| Effect::Open(hit.path.clone()));
        hit.into_iter().collect()
    }

    fn edit(&mut self) -> Vec<Effect> {
        let hit = self
            .chosen()
            .map(|hit| Effect::Edit(hit.path.clone(), hit.line));
        hit.into_iter().collect()
    }
}

#[cfg(test)]
pub(in crate::tui) mod tests;
