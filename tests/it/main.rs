//! Does the whole of askance keep its promises? One module per theme.

mod evaluation;
mod house;
mod pipeline;
mod updates;
