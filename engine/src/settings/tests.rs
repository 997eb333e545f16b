use super::*;

fn read(text: &str) -> Result<Settings, SettingsError> {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join(FILE), text).expect("written");
    Settings::read(dir.path(), Some(Path::new("/home/me")))
}

#[test]
fn no_file_is_all_defaults() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Settings::read(dir.path(), None).expect("reads");
    assert!(!settings.is_there);
    assert_eq!(settings.read_options(), ReadOptions::default());
}

#[test]
fn every_setting_is_read() {
    let settings = read(
        "roots = [\"/data\", \"~/notes\"]\nignore = [\"*.log\"]\nhidden = true\ngitignore = false\nmax_size = \"1M\"\n\
         encoder = \"minilm\"\npassage_tokens = 128\noverlap_tokens = 0\n",
    )
    .expect("reads");
    assert_eq!(
        settings.roots,
        [Path::new("/data"), Path::new("/home/me/notes")]
    );
    assert_eq!(settings.encoder.as_deref(), Some("minilm"));
    let options = settings.read_options();
    assert!(options.hidden && !options.respect_ignore);
    assert_eq!(
        (options.max_file_bytes, options.ignore),
        (1 << 20, vec!["*.log".to_owned()])
    );
    assert_eq!(options.passages.max_tokens, Some(128));
    assert_eq!(options.passages.overlap_tokens, Some(0));
}

#[test]
fn the_example_above_is_valid() {
    let example: String = include_str!("../settings.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .skip_while(|line| *line != "```toml")
        .skip(1)
        .take_while(|line| *line != "```")
        .map(|line| format!("{line}\n"))
        .collect();
    let settings = read(&example).expect("reads");
    for name in KNOWN
        .split([',', ' '])
        .filter(|name| !name.is_empty() && *name != "and")
    {
        assert!(
            example.contains(&format!("{name} = ")),
            "{name} is not shown"
        );
    }
    assert_eq!(
        settings.read_options().max_file_bytes,
        ReadOptions::default().max_file_bytes
    );
}

#[test]
fn what_is_wrong_is_named_with_file_and_setting() {
    let cases = [
        (
            "root = []",
            "root: there is no such setting; there are roots",
        ),
        ("roots = \"/a\"", "roots: \"/a\" is no list"),
        ("roots = [\"notes\"]", "roots: notes has to be a whole path"),
        ("hidden = 1", "hidden: 1 is neither true nor false"),
        ("max_size = \"big\"", "max_size: 'big' is no size"),
        ("max_size = -1", "max_size: -1 is no size"),
        (
            "passage_tokens = 4",
            "passage_tokens: 4 is no whole number from 32 to 512",
        ),
        (
            "passage_tokens = 64\noverlap_tokens = 20",
            "overlap_tokens: 20 is more than a quarter",
        ),
        ("encoder = \" \"", "encoder: \" \" is no text"),
        ("ignore = [\"{a\"]", "ignore: "),
        ("hidden = true\nroots = [", "settings.toml, line 2"),
    ];
    for (text, part) in cases {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(part) && error.contains(FILE), "{error}");
    }
}

#[test]
fn a_home_that_nobody_knows_is_said() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join(FILE), "roots = [\"~/a\"]").expect("written");
    let error = Settings::read(dir.path(), None)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("home folder"), "{error}");
}
