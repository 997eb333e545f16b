//! How do examples become a better encoder? Not written yet: the crate holds its place between `engine` and `cli`.
