//! Does the whole of askance keep its promises? One module per theme.

mod house;
