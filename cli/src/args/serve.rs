//! What was typed after `askance serve`?

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;

/// `askance serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Port to listen on; 0 takes any that is free
    #[arg(long, short, value_name = "PORT", default_value_t = 7411)]
    pub port: u16,
    /// Address to listen on; any but this computer's own needs a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = parse_host)]
    pub host: IpAddr,
    /// Name that browsers may call this server by, beside localhost and addresses; repeat for more
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Secret that every request has to bring; others on this computer may see it in the list of processes
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    pub token: Option<String>,
    /// File whose first line is the token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Open the page in the browser
    #[arg(long)]
    pub open: bool,
}

fn parse_host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        _ => text
            .parse()
            .map_err(|_| "write an address such as 127.0.0.1, ::1 or 0.0.0.0".to_owned()),
    }
}
