use super::*;

#[test]
fn context_stands_in_front_and_nothing_is_said_twice() {
    let path = ["Guide".to_owned(), "Setup".to_owned()];
    assert_eq!(encoder_text(None, &[], "body"), "body");
    assert_eq!(
        encoder_text(Some("T"), &path, "body"),
        "T\nGuide\nSetup\nbody"
    );
    assert_eq!(
        encoder_text(Some("Guide"), &path, "body"),
        "Guide\nSetup\nbody"
    );
    assert_eq!(
        encoder_text(Some("Guide"), &path, "Setup\n\nbody"),
        "Guide\nSetup\n\nbody"
    );
    assert_eq!(encoder_text(Some("Guide"), &path[..1], "Guide"), "Guide");
    assert_eq!(
        encoder_text(Some(" "), &path[..1], "Guidebook"),
        "Guide\nGuidebook"
    );
}

#[test]
fn the_estimate_counts_words_marks_and_unspaced_letters() {
    assert_eq!(default_count(""), 0);
    assert_eq!(default_count("  \n"), 0);
    assert_eq!(default_count("one two three"), 3);
    assert_eq!(default_count("a.b(c)"), 6);
    assert_eq!(default_count(&"x".repeat(70)), 10);
    assert_eq!(default_count("検索エンジン"), 6);
}
