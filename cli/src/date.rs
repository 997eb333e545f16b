//! Which moment does `--after` or `--before` mean?

use jiff::civil::Date;
use jiff::{Span, Timestamp, Zoned};

/// Unix seconds of `2026-03-01` (that day's start where the person is), of an RFC 3339 time, of `today` or `yesterday`,
/// or of an age before `now` such as `36h`, `7d`, `2w`, `6mo`, `1y`.
///
/// # Errors
/// One sentence that names the option and the forms it takes.
pub fn parse(option: &str, text: &str, now: &Zoned) -> anyhow::Result<i64> {
    let moment = day(text, now)
        .or_else(|| instant(text))
        .or_else(|| age(text, now));
    moment.map(Timestamp::as_second).ok_or_else(|| {
        anyhow::anyhow!("{option}: '{text}' is no date; write 2026-03-01, 2026-03-01T09:30:00Z, or an age such as 7d or 2w")
    })
}

fn day(text: &str, now: &Zoned) -> Option<Timestamp> {
    let date = match text {
        "today" => now.date(),
        "yesterday" => now.date().yesterday().ok()?,
        // jiff's parser also takes a date's prefix of a longer form; a day has exactly this length.
        _ if text.len() == "YYYY-MM-DD".len() => text.parse::<Date>().ok()?,
        _ => return None,
    };
    Some(date.to_zoned(now.time_zone().clone()).ok()?.timestamp())
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn age(text: &str, now: &Zoned) -> Option<Timestamp> {
    let starts_with_number = text.starts_with(|c: char| c.is_ascii_digit());
    let span = text.parse::<Span>().ok().filter(|_| starts_with_number)?;
    Some(now.checked_sub(span).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let now: Zoned = "2026-03-15T12:00:00+01:00[Europe/Berlin]"
            .parse()
            .expect("a valid time");
        let found = parse("--after", text, &now).ok();
        let expected = expected.map(|t| t.parse::<Timestamp>().expect("a valid time").as_second());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn days_begin_where_the_person_is() {
        check("2026-03-01", Some("2026-02-28T23:00:00Z"));
        check("today", Some("2026-03-14T23:00:00Z"));
        check("yesterday", Some("2026-03-13T23:00:00Z"));
    }

    #[test]
    fn instants_and_ages() {
        check("2026-03-01T09:30:00Z", Some("2026-03-01T09:30:00Z"));
        check("2026-03-01T09:30:00+02:00", Some("2026-03-01T07:30:00Z"));
        check("7d", Some("2026-03-08T11:00:00Z"));
        check("2w", Some("2026-03-01T11:00:00Z"));
        check("36h", Some("2026-03-13T23:00:00Z"));
        check("1mo", Some("2026-02-15T11:00:00Z"));
    }

    #[test]
    fn anything_else_is_one_clear_sentence() {
        for bad in [
            "",
            "soon",
            "2026-13-01",
            "2026-02-30",
            "7",
            "-7d",
            "99999999y",
            "7dd",
        ] {
            check(bad, None);
        }
        let error = parse("--after", "soon", &Zoned::now()).expect_err("no date");
        assert!(
            error
                .to_string()
                .starts_with("--after: 'soon' is no date; write "),
            "{error}"
        );
    }
}
