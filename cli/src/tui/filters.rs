//! What does the filter line mean?
//!
//! `type:md,pdf path:*/notes/* after:30d before:2026-01-01`, as the options of `askance search` of the same names.

use engine::request::Filter;
use jiff::Zoned;

use crate::date;

/// Reads the line; several of a kind add up.
///
/// # Errors
/// One sentence that names the part that is not understood.
pub fn read(line: &str, now: &Zoned) -> anyhow::Result<Filter> {
    let mut filter = Filter::default();
    for part in line.split_whitespace() {
        match part.split_once(':') {
            // Half a filter is no filter yet: the person is still typing.
            Some((_, "")) => {}
            Some(("type", list)) => {
                let extension = |ext: &str| ext.trim_start_matches('.').to_owned();
                filter
                    .extensions
                    .extend(list.split(',').filter(|ext| !ext.is_empty()).map(extension));
            }
            Some(("path", glob)) => filter.paths.push(glob.to_owned()),
            Some(("after", date)) => filter.after = Some(date::parse("after", date, now)?),
            Some(("before", date)) => filter.before = Some(date::parse("before", date, now)?),
            _ => anyhow::bail!(
                "'{part}' is no filter; write type:md, path:*/notes/*, after:30d or before:2026-01-01"
            ),
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_add_up() {
        let now = Zoned::now();
        let filter = read(
            "type:md,.txt path:*/a/* type:pdf after:2026-01-02 before:",
            &now,
        )
        .expect("reads");
        assert_eq!(filter.extensions, ["md", "txt", "pdf"]);
        assert_eq!(filter.paths, ["*/a/*"]);
        assert!(filter.after.is_some() && filter.before.is_none());
        assert_eq!(read("  ", &now).expect("reads"), Filter::default());
    }

    #[test]
    fn what_is_no_filter_is_named() {
        let now = Zoned::now();
        for (line, part) in [
            ("md", "'md' is no filter"),
            ("size:3", "'size:3'"),
            ("after:soon", "no date"),
        ] {
            let refusal = read(line, &now).expect_err(line).to_string();
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}
