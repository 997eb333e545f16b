use anyhow::anyhow;

use super::*;

fn io(variables: &[(&str, &str)]) -> Io {
    Io {
        out: Box::new(std::io::sink()),
        err: Box::new(std::io::sink()),
        out_is_terminal: true,
        err_is_terminal: false,
        columns: 80,
        env: variables
            .iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        interrupt: Interrupt::default(),
    }
}

#[test]
fn colour_follows_the_option_then_the_environment_then_the_terminal() {
    let check = |variables: &[(&str, &str)], wanted, terminal, expected| {
        assert_eq!(
            io(variables).colour(wanted, terminal),
            expected,
            "{variables:?} {wanted:?}"
        );
    };
    check(&[], ColorArg::Auto, true, ColorChoice::Always);
    check(&[], ColorArg::Auto, false, ColorChoice::Never);
    check(
        &[("NO_COLOR", "1")],
        ColorArg::Auto,
        true,
        ColorChoice::Never,
    );
    check(
        &[("NO_COLOR", "")],
        ColorArg::Auto,
        true,
        ColorChoice::Always,
    );
    check(
        &[("NO_COLOR", "1")],
        ColorArg::Always,
        false,
        ColorChoice::AlwaysAnsi,
    );
    check(
        &[("TERM", "dumb")],
        ColorArg::Auto,
        true,
        ColorChoice::Never,
    );
    check(&[], ColorArg::Never, true, ColorChoice::Never);
}

#[test]
fn causes_are_said_once() {
    let error = anyhow!("disk full")
        .context("cannot write x: disk full")
        .context("indexing");
    assert_eq!(sentence(&error), "indexing: cannot write x: disk full");
}
