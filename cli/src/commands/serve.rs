//! What does `askance serve` do?

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, bail};
use engine::Engine;
use serde_json::{Value, json};

use crate::Exit;
use crate::args::ServeArgs;
use crate::output::{Page, Report};
use crate::serve::{Server, Settings, fresh_token};
use crate::session::Session;

/// Serves the collection until Ctrl-C.
pub fn run(args: &ServeArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let token = token(args)?;
    if !args.host.is_loopback() && token.is_none() {
        bail!(
            "listening on {} lets others reach your files, so it needs a token; add, for example, `--token {}`",
            args.host,
            fresh_token()?
        );
    }
    let engine = Engine::open(&session.places.collection)?;
    let settings = Settings {
        address: SocketAddr::new(args.host, args.port),
        names: args.allow_host.clone(),
        token,
        ..Settings::default()
    };
    let server = Server::bind(engine, session.models(), settings)?;
    let listening = Listening { url: server.url() };
    session.screen.show(&listening)?;
    session.screen.flush()?;
    session.talk.note("press Ctrl-C to stop");
    if args.open
        && let Err(error) = open::that_detached(server.private_url())
    {
        session
            .talk
            .note(&format!("no browser could be started: {error}"));
    }
    session.interrupt().during(|stop| server.run(stop))?;
    Ok(Exit::Done)
}

/// The token that was given, checked.
fn token(args: &ServeArgs) -> anyhow::Result<Option<String>> {
    let given = match (&args.token, &args.token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(file)) => {
            let text = fs::read_to_string(file)
                .with_context(|| format!("--token-file: cannot read {}", file.display()))?;
            Some(text.lines().next().unwrap_or_default().trim().to_owned())
        }
        (None, None) => None,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    match given {
        Some(token) if token.len() < 16 || !token.chars().all(plain) => bail!(
            "the token has to have at least 16 letters, digits, '-', '_', '.' or '~'; for example {}",
            fresh_token()?
        ),
        given => Ok(given),
    }
}

struct Listening {
    url: String,
}

impl Report for Listening {
    fn json(&self) -> Value {
        json!({"url": self.url})
    }

    fn human(&self, page: &mut Page<'_>) -> std::io::Result<()> {
        use std::io::Write;
        writeln!(page, "{}", self.url)
    }
}
