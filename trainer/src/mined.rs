//! Where did these negatives come from, and are they still the ones that were written?
//!
//! A mined file is a safetensors file, so that any tool opens it: for positives and for candidates the number of each
//! query (`offsets`, n + 1), `passages`, `scores` and `cosines`, side by side. Its metadata holds the [`Provenance`] and a
//! hash of the numbers. It is written aside, synced and renamed; a file under its name is whole.
