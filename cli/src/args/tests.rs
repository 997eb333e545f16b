use clap::{CommandFactory, Parser};

use super::*;

fn search(arguments: &[&str]) -> SearchArgs {
    let typed = ["askance", "search"].iter().chain(arguments);
    match Cli::try_parse_from(typed).map(|cli| cli.command) {
        Ok(Some(Command::Search(search))) => search,
        other => panic!("not a search: {other:?}"),
    }
}

#[test]
fn the_command_tree_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn words_of_a_query_need_no_quotes() {
    assert_eq!(
        search(&["renew", "a", "passport"]).query.join(" "),
        "renew a passport"
    );
}

#[test]
fn a_query_may_start_with_a_minus_after_two() {
    assert_eq!(search(&["--", "-draft"]).query, ["-draft"]);
}

#[test]
fn types_may_be_listed_or_repeated() {
    let typed = search(&["x", "--type", "pdf,md", "--type", "txt"]);
    assert_eq!(typed.filter.extension, ["pdf", "md", "txt"]);
}

#[test]
fn fusion_takes_a_name_or_a_weight() {
    use engine::request::Fusion;
    let check =
        |text: &str, expected| assert_eq!(text.parse::<FusionArg>().ok().map(|f| f.0), expected);
    check("auto", Some(Fusion::Chosen));
    check("rrf", Some(Fusion::ReciprocalRank));
    check("0.25", Some(Fusion::Weighted(0.25)));
    check("1.5", None);
    check("NaN", None);
    check("fast", None);
}

#[test]
fn sizes_have_units() {
    assert_eq!(parse_size("512"), Ok(512));
    assert_eq!(parse_size("2k"), Ok(2048));
    assert_eq!(parse_size("64M"), Ok(64 << 20));
    assert_eq!(parse_size("1G"), Ok(1 << 30));
    for bad in ["", "M", "-1", "64X", "1.5G", "99999999999G"] {
        assert!(parse_size(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_command_shows_examples() {
    for command in Cli::command()
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
    {
        let help = command
            .get_after_help()
            .map(|h| h.to_string())
            .unwrap_or_default();
        assert!(
            help.contains(&format!("askance {}", command.get_name())),
            "{}",
            command.get_name()
        );
    }
}
