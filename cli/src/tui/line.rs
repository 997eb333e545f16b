//! What stands in an input line, and where is the cursor?

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Longest input in characters.
const LONGEST: usize = 1000;

/// One line of input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// Byte offset of the cursor, on a character boundary.
    cursor: usize,
}

impl Line {
    /// What stands in it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing but white space stands in it.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Puts characters in at the cursor; control characters become spaces.
    pub fn insert(&mut self, text: &str) {
        let room = LONGEST.saturating_sub(self.text.chars().count());
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.chars().take(room).map(plain).collect();
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
    }

    /// Removes the character before the cursor.
    pub fn backspace(&mut self) {
        let start = self.before();
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    /// Removes the character at the cursor.
    pub fn delete(&mut self) {
        let end = self.after();
        self.text.replace_range(self.cursor..end, "");
    }

    /// Removes the word before the cursor, and the spaces between.
    pub fn delete_word(&mut self) {
        let head = self.text[..self.cursor].trim_end();
        let start = head.rfind(' ').map_or(0, |space| space + 1);
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// One character to the left.
    pub fn left(&mut self) {
        self.cursor = self.before();
    }

    /// One character to the right.
    pub fn right(&mut self) {
        self.cursor = self.after();
    }

    /// To the start.
    pub fn home(&mut self) {
        self.cursor = 0;
    }

    /// To the end.
    pub fn end(&mut self) {
        self.cursor = self.text.len();
    }

    fn before(&self) -> usize {
        let last = self.text[..self.cursor].chars().next_back();
        self.cursor - last.map_or(0, char::len_utf8)
    }

    fn after(&self) -> usize {
        let next = self.text[self.cursor..].chars().next();
        self.cursor + next.map_or(0, char::len_utf8)
    }

    /// The part that fits into `width` columns with the cursor in it, and the cursor's column there.
    pub fn visible(&self, width: usize) -> (&str, u16) {
        let room = width.saturating_sub(1);
        let mut start = 0;
        let mut column = self.text[..self.cursor].width();
        for (at, c) in self.text.char_indices() {
            if column <= room {
                break;
            }
            column -= c.width().unwrap_or(0);
            start = at + c.len_utf8();
        }
        (
            &self.text[start..],
            u16::try_from(column).unwrap_or(u16::MAX),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let mut line = Line::default();
        line.insert(text);
        line
    }

    #[test]
    fn editing_keeps_to_characters() {
        let mut line = line("größe");
        line.left();
        line.backspace();
        assert_eq!(line.text(), "gröe");
        line.home();
        line.right();
        line.delete();
        assert_eq!(line.text(), "göe");
        line.end();
        line.right();
        line.delete();
        line.insert("x");
        assert_eq!(line.text(), "göex");
        line.clear();
        line.backspace();
        assert_eq!(line, Line::default());
    }

    #[test]
    fn words_are_deleted_with_their_spaces() {
        let mut line = line("standing desk  ");
        line.delete_word();
        assert_eq!(line.text(), "standing ");
        line.delete_word();
        line.delete_word();
        assert_eq!(line.text(), "");
    }

    #[test]
    fn what_is_pasted_stays_on_one_line_and_within_bounds() {
        assert_eq!(line("a\nb\u{1b}[31m").text(), "a b [31m");
        assert_eq!(line(&"x".repeat(5000)).text().len(), LONGEST);
    }

    #[test]
    fn the_cursor_stays_in_view() {
        let mut line = line("0123456789");
        assert_eq!(line.visible(20), ("0123456789", 10));
        assert_eq!(line.visible(5), ("6789", 4));
        line.home();
        assert_eq!(line.visible(5), ("0123456789", 0));
    }
}
