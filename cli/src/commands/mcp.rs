//! What does `askance mcp` do?

use std::sync::Arc;

use crate::Exit;
use crate::args::McpArgs;
use crate::mcp::{Assistant, http, stdio};
use crate::session::Session;
use crate::shelf::Shelf;

/// Speaks the protocol until the client hangs up, or until Ctrl-C.
pub fn run(args: &McpArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let assistant = Assistant::new(Arc::new(Shelf::new(&session.places)));
    match args.http {
        None => stdio(assistant)?,
        Some(port) => http(assistant, port, session)?,
    }
    Ok(Exit::Done)
}
