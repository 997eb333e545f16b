//! Does the whole of askance keep its promises? One module per theme.

mod crash;
mod damage;
mod erase;
mod evaluation;
mod house;
mod mutation;
mod pipeline;
mod soak;
