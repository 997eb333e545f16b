//! Which groups of lines make up this source file?

use super::super::{BlockKind, Tracking};
use super::builder::Builder;
use super::text::{Decoded, Places, groups};

/// Groups of lines between blank lines; a group that goes on inside an item (it starts indented or with a closing
/// bracket) stays with the one before, up to this many bytes.
const MAX_GROUP_BYTES: usize = 4096;

/// One block a group. Comments stay with the code below them, since no blank line parts them.
pub(super) fn extract(decoded: &Decoded<'_>, out: &mut Builder) {
    let mut places = Places::new(decoded);
    let mut item: Option<std::ops::Range<usize>> = None;
    for group in groups(&decoded.text) {
        if out.is_full() {
            return;
        }
        let inside = decoded.text[group.clone()].starts_with([' ', '\t', '}', ')', ']']);
        item = match item {
            Some(item) if inside && group.end - item.start <= MAX_GROUP_BYTES => {
                Some(item.start..group.end)
            }
            Some(done) => {
                out.push(
                    BlockKind::Code,
                    &decoded.text[done.clone()],
                    places.at(done.start),
                    Tracking::Bytes,
                );
                Some(group)
            }
            None => Some(group),
        };
    }
    if let Some(done) = item {
        out.push(
            BlockKind::Code,
            &decoded.text[done.clone()],
            places.at(done.start),
            Tracking::Bytes,
        );
    }
}
