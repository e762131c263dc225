//! `kabao certificate issue-batch`: a file of any size to a running server.
//!
//! Rows go in chunks, two requests in flight, in constant memory. Every row is answered:
//! the results file holds one line for each, in their order, with the identifier or the
//! code and the faults.
//!
//! # Going on
//!
//! Every row carries an idempotency key, the batch's name and the row's number, so a
//! row that is sent twice is issued once. The results file says how far we came: run
//! again, we skip what it holds. A crash between the server's answer and the results
//! file only sends those rows once more.
//!
//! # Order of writes
//!
//! 1. the server issues      durable there before it answers
//! 2. the results file       in the order of rows; a line cut short is cut off at the next start

mod results;
mod rows;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use futures_util::stream;
use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Value as Json, json};

use self::results::Results;
use self::rows::{Row, Rows};
use super::client::{self, Api, Server, Trouble};
use super::report::{self, Failure, say};
use crate::domain::digest::Digest;

/// A batch of certificates to be issued.
#[derive(Args, Debug)]
pub(super) struct Batch {
    /// CSV or NDJSON file (by its ending; NDJSON from stdin with `-`)
    file: PathBuf,
    /// Where the result of each row is written (NDJSON)
    #[arg(long, value_name = "OUT.ndjson")]
    results: PathBuf,
    /// Name of the batch, part of every row's idempotency key; derived from the file if not given
    #[arg(long, value_name = "NAME")]
    batch: Option<String>,
    /// Rows in one request
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    chunk: u32,
    /// How long an unreachable or busy server is tried again, in seconds
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    patience: u64,
    #[command(flatten)]
    server: Server,
}

/// The rows of one request.
struct Chunk {
    rows: Vec<Row>,
    /// Bytes of the file read so far.
    position: u64,
}

/// What became of a chunk.
struct Done {
    lines: Vec<Json>,
    position: u64,
}

impl Batch {
    /// Issues it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let api = self.server.connect()?;
        self.run_with(&api)
    }

    /// The same with a client that is there already: for tests of the whole and for tours.
    fn run_with(&self, api: &Api) -> Result<(), Failure> {
        let name = self.name()?;
        let mut results = Results::open(&self.results, &name)?;
        let mut rows = Rows::open(&self.file)?;
        rows.skip_to(results.last_row())?;
        let bar = report::progress(rows.bytes_total(), if rows.bytes_total() > 0 { "bytes" } else { "rows" });
        if results.last_row() > 0 {
            say(format!("going on after row {}", results.last_row()));
        }
        let outcome = client::wait(self.send_all(api, &name, rows, &mut results, &bar));
        bar.finish_and_clear();
        results.flush()?;
        say(format!(
            "{} rows: {} issued, {} refused; results in {}",
            results.last_row(),
            results.issued(),
            results.refused(),
            self.results.display()
        ));
        outcome?;
        if results.refused() > 0 {
            let what = format!("{} rows were refused", results.refused());
            let hint = "the results file names row, field and reason; mend them and send them as a batch of their own";
            return Err(Failure::refused(what).hint(hint));
        }
        Ok(())
    }

    async fn send_all(
        &self,
        api: &Api,
        name: &str,
        rows: Rows,
        results: &mut Results,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let size = usize::try_from(self.chunk).unwrap_or(1000);
        let chunks = stream::unfold(rows, move |mut rows| async move {
            let chunk = take(&mut rows, size).transpose()?;
            Some((chunk, rows))
        });
        let sent = chunks.map(|chunk| async move { self.send(api, name, chunk?).await }).buffered(IN_FLIGHT);
        let mut sent = std::pin::pin!(sent);
        while let Some(done) = sent.next().await {
            let done = done?;
            for line in &done.lines {
                results.write(line)?;
            }
            results.flush()?;
            bar.set_position(done.position);
            bar.set_message(format!("row {}, {} refused", results.last_row(), results.refused()));
        }
        Ok(())
    }

    /// Sends a chunk until every row of it has an answer.
    async fn send(&self, api: &Api, name: &str, chunk: Chunk) -> Result<Done, Failure> {
        let mut lines: Vec<Option<Json>> = chunk.rows.iter().map(|row| row.fault(name)).collect();
        let mut tries = vec![0; lines.len()];
        let mut waited = Duration::ZERO;
        let patience = Duration::from_secs(self.patience);
        let mut pause = PAUSE_FIRST;
        loop {
            let open: Vec<usize> = (0..lines.len()).filter(|place| lines[*place].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let wait = match self.send_once(api, name, &chunk, &open, &mut lines, &mut tries).await {
                Ok(()) if lines.iter().all(Option::is_some) => break,
                Ok(()) => pause,
                Err(Trouble::Later(failure, after)) => {
                    let wait = after.unwrap_or(pause);
                    if waited + wait > patience {
                        return Err(failure.hint("run the same command again: it goes on where it stopped"));
                    }
                    wait
                }
                Err(Trouble::Never(failure)) => {
                    return Err(
                        failure.hint("mend this and run the same command again: it goes on where it stopped")
                    );
                }
            };
            tokio::time::sleep(wait).await;
            waited += wait;
            if waited > patience {
                return Err(Failure::unknown("the server was too busy for too long")
                    .hint("run the same command again: it goes on where it stopped"));
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(Done { lines: lines.into_iter().flatten().collect(), position: chunk.position })
    }

    async fn send_once(
        &self,
        api: &Api,
        name: &str,
        chunk: &Chunk,
        open: &[usize],
        lines: &mut [Option<Json>],
        tries: &mut [u32],
    ) -> Result<(), Trouble> {
        let mut body = Vec::new();
        for place in open {
            let row = &chunk.rows[*place];
            let order = row.order(name);
            body.extend_from_slice(order.to_string().as_bytes());
            body.push(b'\n');
        }
        // Names this very body: the rows carry the keys that matter.
        let request = Digest::of(&[name.as_bytes(), &body]).to_string();
        let body = Some(("application/x-ndjson", body));
        let answer = api.send(Method::POST, "/v1/certificates/batch", body, Some(&request)).await?;
        let answer = answer.good()?;
        take_answers(&String::from_utf8_lossy(&answer.body), name, chunk, open, lines, tries);
        Ok(())
    }

    fn name(&self) -> Result<String, Failure> {
        if let Some(name) = &self.batch {
            let shaped = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(shaped) {
                return Err(Failure::misuse(
                    "the batch's name must be 1 to 64 of A-Z, a-z, 0-9, `-`, `.` and `_`",
                ));
            }
            return Ok(name.clone());
        }
        if self.file == Path::new("-") {
            return Err(
                Failure::misuse("rows from stdin need a name for the batch").hint("give `--batch NAME`")
            );
        }
        rows::fingerprint(&self.file)
    }
}

/// The next chunk; `None` at the end of the file.
fn take(rows: &mut Rows, size: usize) -> Result<Option<Chunk>, Failure> {
    let mut chunk = Chunk { rows: Vec::with_capacity(size.min(1000)), position: 0 };
    let mut bytes = 0;
    while chunk.rows.len() < size && bytes < CHUNK_BYTES_MAX {
        let Some(row) = rows.next_row()? else { break };
        bytes += row.bytes();
        chunk.rows.push(row);
    }
    chunk.position = rows.position();
    Ok((!chunk.rows.is_empty()).then_some(chunk))
}

/// Takes the answers to the open rows of a chunk, in their order. An answer that was cut short leaves
/// rows open, which are sent again.
fn take_answers(
    text: &str,
    name: &str,
    chunk: &Chunk,
    open: &[usize],
    lines: &mut [Option<Json>],
    tries: &mut [u32],
) {
    for ((place, expected), line) in open.iter().zip(1_u64..).zip(text.lines()) {
        let Ok(result) = serde_json::from_str::<Json>(line) else { return };
        // The server counts the rows of the request. From one that is passed over on, nothing is known.
        if result.get("row").and_then(Json::as_u64) != Some(expected) {
            return;
        }
        tries[*place] += 1;
        lines[*place] = result_line(&chunk.rows[*place], name, &result, tries[*place]);
    }
}

/// The line for the results file; `None` when the row should be sent again.
fn result_line(row: &Row, name: &str, result: &Json, tries: u32) -> Option<Json> {
    let mut line = json!({ "row": row.number(), "request": row.request(name) });
    if let Some(identifier) = result.get("identifier").and_then(Json::as_str) {
        line["identifier"] = identifier.into();
        return Some(line);
    }
    let code = result.get("code").and_then(Json::as_str).unwrap_or("batch/no-answer");
    if PASSING.contains(&code) || (code == UNREADABLE && tries < UNREADABLE_TRIES_MAX) {
        return None;
    }
    line["code"] = code.into();
    for name in ["field", "reason"] {
        if let Some(value) = result.get(name) {
            line[name] = value.clone();
        }
    }
    // One problem stands in `field` and `reason` already.
    if let Some(errors) = result.get("errors").and_then(Json::as_array)
        && (errors.len() > 1 || line.get("reason").is_none())
    {
        line["errors"] = errors.clone().into();
    }
    Some(line)
}

/// Codes that pass: the same row may be taken a moment later.
const PASSING: &[&str] = &["vault/overloaded", "vault/stopped", "vault/clock-back", "http/busy"];

/// A row that could not be read or written: the disk may pass, a damaged record does not.
const UNREADABLE: &str = "vault/unreadable";

/// So often a row is sent before that is its result. Our own choice.
const UNREADABLE_TRIES_MAX: u32 = 4;

/// Requests in flight at once.
const IN_FLIGHT: usize = 2;

/// Bytes of rows in one request. Our own choice.
const CHUNK_BYTES_MAX: usize = 8 << 20;

/// The first pause before a chunk is sent again, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Longest name of a batch.
const NAME_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers to rows 1, 2 and 4 of a chunk, after so many tries.
    fn answered(text: &str, tries: u32) -> Vec<Option<Json>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("r.ndjson");
        std::fs::write(&path, "{}\n{}\n{}\n{}\n").unwrap();
        let mut rows = Rows::open(&path).unwrap();
        let chunk = take(&mut rows, 10).unwrap().unwrap();
        let mut lines = vec![None; 4];
        take_answers(text, "b", &chunk, &[0, 1, 3], &mut lines, &mut [tries; 4]);
        lines
    }

    #[test]
    fn an_answer_belongs_to_the_row_it_names() {
        let lines = answered("{\"row\":1,\"identifier\":\"i\"}\n{\"row\":3,\"identifier\":\"k\"}\n", 0);
        assert_eq!(lines.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, false]);
        let whole: String = (1..=3).map(|row| format!("{{\"row\":{row},\"identifier\":\"i\"}}\n")).collect();
        let lines = answered(&whole, 0);
        assert_eq!(lines[3].as_ref().unwrap()["row"], 4);
        assert!(lines[2].is_none());
    }

    #[test]
    fn a_row_that_stays_unreadable_holds_up_no_other() {
        let text = "{\"row\":1,\"code\":\"vault/unreadable\",\"reason\":\"r\"}\n";
        assert!(answered(text, 0)[0].is_none());
        assert_eq!(answered(text, UNREADABLE_TRIES_MAX - 1)[0].as_ref().unwrap()["code"], UNREADABLE);
        assert!(answered("{\"row\":1,\"code\":\"vault/overloaded\"}\n", 100)[0].is_none());
    }

    #[test]
    fn one_problem_is_told_once() {
        let text = r#"{"row":1,"code":"c","field":"f","reason":"r","errors":[{"field":"f","reason":"r"}]}"#;
        assert!(answered(text, 0)[0].as_ref().unwrap().get("errors").is_none());
        let two = r#"{"row":1,"code":"c","field":"f","reason":"r","errors":[{},{}]}"#;
        assert!(answered(two, 0)[0].as_ref().unwrap().get("errors").is_some());
    }
}
