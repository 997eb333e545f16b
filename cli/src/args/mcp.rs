//! What was typed after `askance mcp`?

use clap::Args;

/// `askance mcp`.
#[derive(Debug, Args)]
pub struct McpArgs {
    /// Speak streamable HTTP on this port of 127.0.0.1 instead of stdin and stdout; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    pub http: Option<u16>,
}
