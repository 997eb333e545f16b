use crate::Interrupt;
use crate::args::ColorArg;

use super::*;

fn places(collection: Option<&str>, variables: &[(&str, &str)]) -> Places {
    let global = GlobalArgs {
        collection: collection.map(PathBuf::from),
        json: false,
        quiet: false,
        color: ColorArg::Auto,
    };
    let io = Io {
        out: Box::new(std::io::sink()),
        err: Box::new(std::io::sink()),
        out_is_terminal: false,
        err_is_terminal: false,
        columns: 0,
        env: variables
            .iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        interrupt: Interrupt::default(),
    };
    Places::resolve(&global, &io).expect("the current folder exists")
}

#[test]
fn the_option_wins_over_the_variable_over_the_default() {
    let home = ("ASKANCE_HOME", "/h");
    let variable = ("ASKANCE_COLLECTION", "/v");
    assert_eq!(
        places(Some("/o"), &[home, variable]).collection,
        Path::new("/o")
    );
    assert_eq!(places(None, &[home, variable]).collection, Path::new("/v"));
    assert_eq!(
        places(None, &[home, ("ASKANCE_COLLECTION", "")]).collection,
        Path::new("/h/data/collections/default")
    );
}

#[test]
fn a_collection_may_be_called_by_its_name() {
    let home = ("ASKANCE_HOME", "/h");
    let named = places(Some("@work"), &[home]).collection;
    assert_eq!(named, Path::new("/h/data/collections/work"));
    for name in ["@", "@..", "@a/b", "@.hidden"] {
        assert!(
            collection(Path::new(name), Path::new("/c"), Path::new("/")).is_err(),
            "{name}"
        );
    }
}

#[test]
fn what_is_typed_wins_over_the_settings() {
    let settings = Settings {
        hidden: Some(true),
        gitignore: Some(true),
        max_file_bytes: Some(5),
        ..Settings::default()
    };
    let typed = ReadArgs {
        hidden: false,
        no_ignore: true,
        max_size: Some(7),
    };
    let both = read_options(&typed, &settings).expect("resolves");
    assert!(both.hidden && !both.respect_ignore && both.max_file_bytes == 7);
    let alone = read_options(&ReadArgs::default(), &settings).expect("resolves");
    assert!(alone.respect_ignore && alone.max_file_bytes == 5);
}

#[test]
fn everything_lies_below_askance_home() {
    let places = places(None, &[("ASKANCE_HOME", "/h")]);
    for dir in [
        &places.collection,
        &places.models,
        &places.cache,
        &places.state,
    ] {
        assert!(dir.starts_with("/h"), "{}", dir.display());
    }
}

#[test]
fn each_path_has_its_own_cached_collection() {
    let places = places(None, &[("ASKANCE_HOME", "/h")]);
    let of = |path: &str| places.collection_in(Path::new(path));
    assert_eq!(of("/a/b"), of("/a/b"));
    assert_ne!(of("/a/b"), of("/a/c"));
    assert!(of("/a/b").starts_with("/h/cache"));
}

#[test]
fn a_missing_path_is_named_as_typed() {
    let error = existing(Path::new("no/such/folder")).expect_err("it does not exist");
    assert_eq!(
        error.to_string(),
        "there is no file or folder no/such/folder"
    );
}

#[test]
#[cfg(unix)]
fn a_gone_file_keeps_its_name_below_the_real_folder() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let real = dir.path().canonicalize().expect("it exists").join("real");
    std::fs::create_dir(&real).expect("an empty folder");
    std::os::unix::fs::symlink(&real, dir.path().join("link")).expect("a symlink");
    assert_eq!(
        perhaps_gone(Path::new("link/x/gone.md"), dir.path()),
        real.join("x/gone.md")
    );
}
