#![cfg(unix)]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A folder with a file `a/b.txt` for each name; a name that ends in `/` makes a folder.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(path, "text").expect("a file");
    }
    folder
}

fn found(
    roots: &[PathBuf],
    options: &ReadOptions,
    skip: &[PathBuf],
) -> (Vec<PathBuf>, Vec<FileFailure>) {
    let (mut files, mut failures) = (Vec::new(), Vec::new());
    walk(roots, options, skip, |entry| {
        match entry {
            Ok(file) => files.push(file.path),
            Err(failure) => failures.push(failure),
        }
        ControlFlow::Continue(())
    })
    .expect("roots exist");
    (files, failures)
}

/// Names below the folder, failures not expected.
fn names(folder: &TempDir, options: &ReadOptions) -> Vec<String> {
    let (files, failures) = found(&[folder.path().to_path_buf()], options, &[]);
    assert_eq!(failures, []);
    let name = |path: &PathBuf| {
        path.strip_prefix(folder.path())
            .expect("below")
            .to_str()
            .expect("UTF-8")
            .to_owned()
    };
    files.iter().map(name).collect()
}

#[test]
fn files_come_sorted_and_ignore_rules_hold_outside_git() {
    let folder = folder(&[
        "b.txt",
        "a/z.txt",
        "a/y.log",
        "c/x.txt",
        ".hidden",
        ".git/config",
        "new\nline.txt",
    ]);
    fs::write(folder.path().join(".gitignore"), "*.log\nc/\n").expect("a file");
    assert_eq!(
        names(&folder, &ReadOptions::default()),
        ["a/z.txt", "b.txt", "new\nline.txt"]
    );
    let all = ReadOptions {
        hidden: true,
        respect_ignore: false,
        ..ReadOptions::default()
    };
    assert_eq!(
        names(&folder, &all),
        [
            ".gitignore",
            ".hidden",
            "a/y.log",
            "a/z.txt",
            "b.txt",
            "c/x.txt",
            "new\nline.txt"
        ]
    );
}

#[test]
fn links_are_not_followed_unless_they_are_the_root() {
    let folder = folder(&["real/a.txt"]);
    symlink(folder.path(), folder.path().join("real/loop")).expect("a link");
    symlink(
        folder.path().join("real/a.txt"),
        folder.path().join("real/copy.txt"),
    )
    .expect("a link");
    symlink(folder.path().join("real"), folder.path().join("root")).expect("a link");
    assert_eq!(names(&folder, &ReadOptions::default()), ["real/a.txt"]);
    let (files, _) = found(&[folder.path().join("root")], &ReadOptions::default(), &[]);
    assert_eq!(
        files,
        [folder
            .path()
            .canonicalize()
            .expect("exists")
            .join("real/a.txt")]
    );
}

#[test]
fn pipes_and_sockets_are_passed_over() {
    let folder = folder(&["a.txt"]);
    let made = std::process::Command::new("mkfifo")
        .arg(folder.path().join("pipe"))
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let _socket =
        std::os::unix::net::UnixListener::bind(folder.path().join("socket")).expect("a socket");
    assert_eq!(names(&folder, &ReadOptions::default()), ["a.txt"]);
    let error = walk(
        &[folder.path().join("pipe")],
        &ReadOptions::default(),
        &[],
        |_| ControlFlow::Continue(()),
    );
    assert!(matches!(error, Err(WalkError::Special { .. })));
}

#[test]
fn a_missing_root_is_named_before_anything_is_walked() {
    let folder = folder(&["a.txt"]);
    let missing = folder.path().join("missing");
    let roots = [folder.path().to_path_buf(), missing.clone()];
    let error =
        walk(&roots, &ReadOptions::default(), &[], |_| panic!("walked")).expect_err("missing");
    assert!(
        error.to_string().contains(missing.to_str().expect("UTF-8")),
        "{error}"
    );
}

#[test]
fn a_root_may_be_a_file_and_roots_may_overlap() {
    let folder = folder(&["a/b.txt", "a/.c.txt"]);
    let file = folder.path().join("a/./../a/b.txt");
    let hidden = folder.path().join("a/.c.txt");
    let roots = [
        file,
        folder.path().to_path_buf(),
        folder.path().join("a"),
        hidden,
    ];
    let (files, _) = found(&roots, &ReadOptions::default(), &[]);
    assert_eq!(
        files,
        [
            folder.path().join("a/b.txt"),
            folder.path().join("a/.c.txt")
        ]
    );
}

#[test]
fn skipped_folders_are_not_entered_and_a_break_ends_the_walk() {
    let folder = folder(&["a.txt", "collection/x.txt", "z.txt"]);
    let skip = [folder.path().join("collection")];
    let (files, _) = found(
        &[folder.path().to_path_buf()],
        &ReadOptions::default(),
        &skip,
    );
    assert_eq!(
        files,
        [folder.path().join("a.txt"), folder.path().join("z.txt")]
    );
    let mut seen = 0;
    walk(
        &[folder.path().to_path_buf()],
        &ReadOptions::default(),
        &[],
        |_| {
            seen += 1;
            ControlFlow::Break(())
        },
    )
    .expect("root exists");
    assert_eq!(seen, 1);
}

#[test]
fn names_that_are_not_utf8_fail_with_advice() {
    let folder = folder(&["a.txt"]);
    let name = std::ffi::OsStr::from_bytes(b"caf\xE9.txt");
    fs::write(folder.path().join(name), "text").expect("a file");
    let (files, failures) = found(&[folder.path().to_path_buf()], &ReadOptions::default(), &[]);
    assert_eq!(files.len(), 1);
    assert_eq!(failures[0].path, folder.path().join("caf\u{FFFD}.txt"));
    assert!(failures[0].reason.contains("rename"));
}

#[test]
fn a_folder_that_cannot_be_opened_is_a_failure_and_the_walk_goes_on() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder(&["locked/x.txt", "z.txt"]);
    let locked = folder.path().join("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).expect("own folder");
    // The superuser may enter it all the same.
    let may_enter = fs::read_dir(&locked).is_ok();
    let (files, failures) = found(&[folder.path().to_path_buf()], &ReadOptions::default(), &[]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).expect("own folder");
    assert!(files.contains(&folder.path().join("z.txt")));
    if may_enter {
        assert_eq!(failures, []);
    } else {
        assert_eq!(failures[0].path, locked);
    }
}

#[test]
fn times_before_1970_are_negative() {
    let folder = folder(&["old.txt"]);
    let path = folder.path().join("old.txt");
    let old = UNIX_EPOCH - std::time::Duration::from_secs(10);
    fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_modified(old))
        .expect("own file");
    walk(&[path], &ReadOptions::default(), &[], |entry| {
        let file = entry.expect("a file");
        assert_eq!((file.size, file.mtime_ns), (4, -10_000_000_000));
        ControlFlow::Continue(())
    })
    .expect("root exists");
}

#[test]
fn a_walk_within_keeps_to_the_paths_and_to_the_rules() {
    let folder = folder(&["a/x.txt", "a/y.txt", "a/sub/z.txt", "ab.txt", "built/o.txt"]);
    fs::write(folder.path().join(".gitignore"), "built/\n").expect("a file");
    let within = |paths: &[&str]| {
        let within: Within = paths.iter().map(|path| folder.path().join(path)).collect();
        let mut files = Vec::new();
        let roots = [folder.path().to_path_buf()];
        walk_within(
            &roots,
            Some(&within),
            &ReadOptions::default(),
            &[],
            |entry| {
                let file = entry.expect("readable").path;
                files.push(file.strip_prefix(folder.path()).expect("below").to_owned());
                ControlFlow::Continue(())
            },
        )
        .expect("the root exists");
        files
    };
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(within(&["a/x.txt"]), paths(&["a/x.txt"]));
    assert_eq!(
        within(&["a"]),
        paths(&["a/sub/z.txt", "a/x.txt", "a/y.txt"])
    );
    assert_eq!(
        within(&["a/sub/z.txt", "ab.txt"]),
        paths(&["a/sub/z.txt", "ab.txt"])
    );
    assert_eq!(within(&["built/o.txt", "gone.txt", "a/x"]), paths(&[]));
}

#[test]
fn a_persons_own_patterns_are_followed_like_those_of_gitignore() {
    let folder = folder(&[
        "a.log",
        "keep.log",
        "b/c.log",
        "b/d.txt",
        "node_modules/e.txt",
    ]);
    let options = ReadOptions {
        ignore: ["*.log", "!keep.log", "node_modules/"]
            .map(str::to_owned)
            .into(),
        respect_ignore: false,
        ..ReadOptions::default()
    };
    assert_eq!(names(&folder, &options), ["b/d.txt", "keep.log"]);
}

#[test]
fn paths_below_another_are_not_named_twice() {
    let within: Within = ["/a/b", "/a", "/a/b/c", "/ab"].into_iter().collect();
    let kept: Vec<&Path> = within.paths().collect();
    assert_eq!(kept, [Path::new("/a"), Path::new("/ab")]);
    assert!(within.contains(Path::new("/a/x")) && !within.contains(Path::new("/abc")));
}
