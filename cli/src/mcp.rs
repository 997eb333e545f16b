//! What does a chat assistant see of the collections?
//!
//! Five tools over the Model Context Protocol (<https://modelcontextprotocol.io>). All of them only read, and only what is
//! indexed. Whatever comes from the person's files is quoted between marks that no file can know, since it may hold
//! sentences written to mislead an assistant.

mod ask;
mod http;
mod lines;
mod server;
mod show;

pub use http::http;
pub use lines::stdio;
pub use server::Assistant;
