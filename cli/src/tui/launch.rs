//! How is a hit opened elsewhere?

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Opens the file in the program the system has for it. What to tell the person.
pub fn open(path: &Path) -> String {
    let name = path.display();
    if !path.exists() {
        return format!(
            "{name} is not there any more; `askance index` brings the collection up to date"
        );
    }
    match open::that_detached(path) {
        Ok(()) => format!("opened {name}"),
        Err(_) => format!("no program here opens {name}; Ctrl-E opens it in $EDITOR"),
    }
}

/// Opens the file in $VISUAL or $EDITOR at a line and waits. What to tell the person.
pub fn edit(path: &Path, line: u32) -> String {
    let name = path.display();
    if !path.exists() {
        return format!(
            "{name} is not there any more; `askance index` brings the collection up to date"
        );
    }
    let set = |name| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.trim().is_empty())
    };
    let Some(editor) = set("VISUAL").or_else(|| set("EDITOR")) else {
        return "set EDITOR to your editor to open files in it".to_owned();
    };
    let mut words = editor.split_whitespace();
    let Some(program) = words.next() else {
        return "EDITOR names no program".to_owned();
    };
    let ended = Command::new(program)
        .args(words)
        .args(place(program, path, line))
        .status();
    match ended {
        Ok(status) if status.success() => format!(
            "edited {name}; changes are found after `askance index`, or at once with `askance watch`"
        ),
        Ok(status) => format!("{program} ended with {status}"),
        Err(error) => format!("cannot start {program}: {error}"),
    }
}

/// The arguments that make `program` open `path` at `line`, in the way that program knows.
fn place(program: &str, path: &Path, line: u32) -> Vec<OsString> {
    let program = Path::new(program)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let file = path.as_os_str().to_owned();
    if line == 0 {
        return vec![file];
    }
    let mut at_line = file.clone();
    at_line.push(format!(":{line}"));
    match &*program {
        "vi" | "vim" | "nvim" | "view" | "nano" | "emacs" | "emacsclient" | "micro" | "kak"
        | "joe" | "mg" | "gedit" => {
            vec![format!("+{line}").into(), file]
        }
        "code" | "codium" | "cursor" => vec!["--goto".into(), at_line],
        "hx" | "helix" | "subl" | "zed" => vec![at_line],
        _ => vec![file],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_editor_is_told_the_line_in_its_way() {
        let args = |program, line| {
            let args = place(program, Path::new("/a b.md"), line);
            args.iter()
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(args("/usr/bin/vim", 12), ["+12", "/a b.md"]);
        assert_eq!(args("code", 12), ["--goto", "/a b.md:12"]);
        assert_eq!(args("hx", 12), ["/a b.md:12"]);
        assert_eq!(args("ed", 12), ["/a b.md"]);
        assert_eq!(args("vim", 0), ["/a b.md"]);
    }

    #[test]
    fn a_file_that_went_is_said() {
        assert!(open(Path::new("/no/such/file")).contains("not there any more"));
        assert!(edit(Path::new("/no/such/file"), 3).contains("not there any more"));
    }
}
