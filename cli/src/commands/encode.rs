//! What does `askance encode` do?

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use anyhow::bail;
use engine::dataset::{DatasetError, Record, texts};
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

/// Reads, encodes and writes; reading goes on while a batch is encoded.
fn encode(args: &EncodeArgs, encoder: &Arc<dyn Encoder>, task: Task<'_>) -> anyhow::Result<usize> {
    let mut writer = NpyWriter::create(&args.out, encoder.identity().dimension)?;
    let total = texts::count(&args.input)?;
    thread::scope(|scope| {
        let (sender, batches) = sync_channel(2);
        scope.spawn(move || {
            let failed = read(&args.input, |batch| sender.send(Ok(batch)).is_ok()).err();
            // The receiver is gone when encoding failed or was cancelled.
            failed.map(|error| sender.send(Err(error)).ok())
        });
        let mut done = 0;
        for batch in batches {
            let batch: Vec<String> = batch?;
            write(&mut writer, encoder, args.role.into(), &batch, task)?;
            done += batch.len() as u64;
            task.report("encoding texts", done, total);
        }
        Ok(writer.finish()?)
    })
}

/// Hands the texts of `path` on in batches for as long as `take` wants them.
fn read(path: &Path, mut take: impl FnMut(Vec<String>) -> bool) -> Result<(), DatasetError> {
    let (mut waiting, mut bytes) = (Vec::new(), 0);
    for record in texts::read(path)? {
        let text = Record::full_text(&record?);
        bytes += text.len();
        waiting.push(text);
        if bytes >= BATCH_BYTES {
            bytes = 0;
            if !take(std::mem::take(&mut waiting)) {
                return Ok(());
            }
        }
    }
    if !waiting.is_empty() {
        take(waiting);
    }
    Ok(())
}

/// Encodes `texts` and writes their rows.
fn write(
    writer: &mut NpyWriter,
    encoder: &Arc<dyn Encoder>,
    role: Role,
    texts: &[String],
    task: Task<'_>,
) -> anyhow::Result<()> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // Reported in texts of the file; the encoder's own counting would only alternate with it.
    let rows = encoder.encode(&texts, role, task.quiet())?;
    Ok(rows.rows().try_for_each(|row| writer.push(row))?)
}
