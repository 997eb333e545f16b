//! What does `askance encode` do?

use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use engine::dataset::{Record, texts};
use engine::encoder::{Encoder, Role};
use storage::Task;
use storage::npy::NpyWriter;

use super::encoders;
use crate::Exit;
use crate::args::EncodeArgs;
use crate::output::bench::Encoded;
use crate::session::Session;

/// Bytes of text encoded together: enough to sort by length, little enough to stop within seconds.
const BATCH_BYTES: usize = 256 << 10;

/// Writes the vectors of the texts of a file.
pub fn run(args: &EncodeArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let models = session.models();
    let encoder = match &args.model {
        Some(name) => models.open(name)?,
        None => match encoders::default(&models)? {
            Some(encoder) => encoder,
            None => bail!("no encoder is chosen; give one with `--model NAME`"),
        },
    };
    let start = Instant::now();
    let texts = session.long(|task| encode(args, &encoder, task))?;
    let encoded = Encoded {
        file: args.out.clone(),
        texts,
        dimension: encoder.identity().dimension,
        encoder: encoder.identity().name.clone(),
        seconds: start.elapsed().as_secs_f64(),
    };
    session.screen.show(&encoded)?;
    session.screen.flush()?;
    session.talk.note(&encoded.rate());
    Ok(Exit::Done)
}

fn encode(args: &EncodeArgs, encoder: &Arc<dyn Encoder>, task: Task<'_>) -> anyhow::Result<usize> {
    let mut writer = NpyWriter::create(&args.out, encoder.identity().dimension)?;
    let (mut waiting, mut bytes, mut done) = (Vec::new(), 0, 0);
    for record in texts::read(&args.input)? {
        let text = Record::full_text(&record?);
        bytes += text.len();
        waiting.push(text);
        if bytes >= BATCH_BYTES {
            done += write(&mut writer, encoder, args.role.into(), &waiting, task)?;
            task.report("encoding texts", done as u64, 0);
            (waiting, bytes) = (Vec::new(), 0);
        }
    }
    write(&mut writer, encoder, args.role.into(), &waiting, task)?;
    Ok(writer.finish()?)
}

/// Encodes `texts` and writes their rows; returns how many.
fn write(
    writer: &mut NpyWriter,
    encoder: &Arc<dyn Encoder>,
    role: Role,
    texts: &[String],
    task: Task<'_>,
) -> anyhow::Result<usize> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    if texts.is_empty() {
        return Ok(0);
    }
    // Reported in texts of the file; the encoder's own counting would only alternate with it.
    let rows = encoder.encode(&texts, role, task.quiet())?;
    rows.rows().try_for_each(|row| writer.push(row))?;
    Ok(texts.len())
}
