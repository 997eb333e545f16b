use std::io;
use std::sync::Arc;

use anstream::{AutoStream, ColorChoice};

use super::*;

/// A stream that is read after the talk is over.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("one thread").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn heard(columns: usize, quiet: bool) -> String {
    let heard = Heard::default();
    let stream: Box<dyn Write + Send> = Box::new(heard.clone());
    let talk = Talk::new(AutoStream::new(stream, ColorChoice::Never), columns, quiet);
    talk.note("a note");
    talk.warn(&Warning::Engine("two\nlines of some length".into()));
    talk.error("it \x1b[2J failed");
    let bytes = heard.0.lock().expect("one thread").clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn each_saying_is_one_line_outside_a_terminal() {
    let expected = "a note\nwarning: two\\nlines of some length\nerror: it \\e[2J failed\n";
    assert_eq!(heard(0, false), expected);
}

#[test]
fn quiet_keeps_warnings_and_errors() {
    assert!(heard(0, true).starts_with("warning: two"));
}

#[test]
fn a_terminal_gets_lines_of_its_width() {
    assert_eq!(
        heard(30, false),
        "a note\nwarning: two\\nlines of some\n         length\nerror: it \\e[2J failed\n"
    );
}

#[test]
fn paths_below_the_current_folder_are_short() {
    let check =
        |path, expected: &str| assert_eq!(shown(Path::new(path), Path::new("/home/me")), expected);
    check("/home/me/a/b.md", "a/b.md");
    check("/home/me", "/home/me");
    check("/etc/hosts", "/etc/hosts");
    check("/home/me/a\nb", "a\\nb");
}
