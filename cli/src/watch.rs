//! How does a collection follow its files as they change?
//!
//! `source` is told by the system what changed, `pending` gathers it until things are quiet, `follow` brings the
//! collection up to date, `roots` notices folders that vanish and return, and `ease` says when to leave the machine alone.

pub mod ease;
mod follow;
pub mod pending;
pub mod roots;
mod source;
mod told;

pub use follow::Follower;
pub use source::How;
pub use told::{Listener, Plan, Told};
