//! Streams: one JSON object a line in, one result a line out, in order.
//!
//! Rows are taken in groups, so that they share a synced write, and the next group is
//! read when the results before it have been sent: a million rows need the memory of
//! one group. Rows are counted from 1, empty lines too. A row that is wrong has its
//! result and holds up no other.
//!
//! A client must read results while it sends rows, or send batches whose results fit
//! the socket's buffers (a few thousand rows).
//!
//! Who dribbles a line is not waited for: within `Limits::stream_read` there must be the
//! next byte, within twice that a whole line. The token is checked again for every group:
//! a stream ends when its token ends, or its registration.
//!
//! When the vault stops, or the token ends, the stream breaks off: what has no result is found out by
//! sending the batch again with the same key.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::App;
use super::body;
use super::caller::Standing;
use super::problem::Problem;
use super::router::Media;
use crate::vault::{Vault, VaultError};

/// One line that came in.
#[derive(Clone)]
pub(super) struct Row {
    /// Its number, from 1.
    pub(super) number: u64,
    line: Line,
}

#[derive(Clone)]
enum Line {
    Text(Bytes),
    TooLong,
}

impl Row {
    /// The row as a value of exactly this shape.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        match &self.line {
            Line::Text(text) => body::read(text),
            Line::TooLong => Err(Problem::too_large(LINE_BYTES_MAX)),
        }
    }
}

/// What becomes of one row.
pub(super) enum Answer {
    /// Nothing more can be told: the stream breaks off here.
    End,
    /// Its result, unless trying it again goes better.
    Later(Vec<u8>),
    /// Its result.
    Line(Vec<u8>),
}

/// What is done with rows.
pub(super) trait Rows: Send + Sync + 'static {
    /// Does the work of a group; one answer for each row, in order.
    fn work(&self, vault: &Vault, rows: Vec<Row>) -> Vec<Answer>;
}

/// A result as one line.
pub(super) fn line(result: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(result).expect("strings and numbers are always JSON");
    text.push(b'\n');
    text
}

/// Does the rows that can be read as one piece of work; every answer stands in its row's place.
///
/// `refused` and `result` write the line of a row that cannot be read, and of one that was done.
pub(super) fn in_place<O, T, L: Serialize>(
    rows: &[Row],
    read: impl Fn(&Row) -> Result<O, Problem>,
    work: impl FnOnce(Vec<O>) -> Vec<Result<T, VaultError>>,
    refused: impl Fn(u64, &Problem) -> L,
    result: impl Fn(u64, &Result<T, VaultError>) -> L,
) -> Vec<Answer> {
    let mut answers: Vec<Option<Answer>> = Vec::with_capacity(rows.len());
    let (mut places, mut orders) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        match read(row) {
            Ok(order) => {
                places.push(answers.len());
                orders.push(order);
                answers.push(None);
            }
            Err(problem) => answers.push(Some(Answer::Line(line(&refused(row.number, &problem))))),
        }
    }
    for (place, outcome) in places.into_iter().zip(work(orders)) {
        let line = line(&result(rows[place].number, &outcome));
        answers[place] = Some(match outcome {
            Err(VaultError::Overloaded) => Answer::Later(line),
            Err(VaultError::Stopped) => Answer::End,
            _ => Answer::Line(line),
        });
    }
    // One outcome came back for each order; were one missing, the stream must not go on.
    answers.into_iter().map(|answer| answer.unwrap_or(Answer::End)).collect()
}

/// The answer to a stream: results, as rows come in.
pub(super) fn answer(app: App, standing: Standing, rows: impl Rows, body: Body) -> Response {
    let wait = app.limits().stream_read;
    let lines = Lines {
        body,
        wait,
        buffer: Vec::new(),
        looked: 0,
        skipping: Skipping::No,
        number: 0,
        ended: Ended::No,
    };
    let state = Some((app, Arc::new(Work { standing, rows }), lines));
    let results = stream::unfold(state, |state| async {
        let (app, work, mut lines) = state?;
        let group = match lines.group().await {
            Ok(group) if group.is_empty() => return None,
            Ok(group) => group,
            Err(error) => return Some((Err(error), None)),
        };
        let (text, whole) = results(&app, &work, group).await;
        match whole {
            Whole::Yes => Some((Ok(Bytes::from(text)), Some((app, work, lines)))),
            Whole::No => Some((Err(io::ErrorKind::ConnectionAborted.into()), None)),
        }
    });
    body::typed(Media::Ndjson, Body::from_stream(results))
}

/// What is done, as long as who asked for it may ask.
struct Work<R> {
    standing: Standing,
    rows: R,
}

enum Whole {
    No,
    Yes,
}

/// Does the work of one group; what was turned away for want of room is tried again.
async fn results<R: Rows>(app: &App, work: &Arc<Work<R>>, group: Vec<Row>) -> (Vec<u8>, Whole) {
    let mut results: Vec<Option<Vec<u8>>> = vec![None; group.len()];
    let mut waiting: Vec<(usize, Row)> = group.into_iter().enumerate().collect();
    for attempt in 0..=ATTEMPTS_MAX {
        let batch: Vec<Row> = waiting.iter().map(|(_, row)| row.clone()).collect();
        let work = Arc::clone(work);
        let verb = move |vault: &Vault| work.standing.holds(vault).then(|| work.rows.work(vault, batch));
        let Ok(Some(answers)) = app.run(verb).await else { return (vec![], Whole::No) };
        let mut later = Vec::new();
        for ((place, row), answer) in waiting.into_iter().zip(answers) {
            match answer {
                Answer::End => return (vec![], Whole::No),
                Answer::Later(_) if attempt < ATTEMPTS_MAX => later.push((place, row)),
                Answer::Later(text) | Answer::Line(text) => results[place] = Some(text),
            }
        }
        waiting = later;
        if waiting.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE * (1 << attempt)).await;
    }
    let whole = if results.iter().all(Option::is_some) { Whole::Yes } else { Whole::No };
    (results.into_iter().flatten().flatten().collect(), whole)
}

/// The lines of a body, in groups.
struct Lines {
    body: Body,
    wait: Duration,
    buffer: Vec<u8>,
    /// So many bytes at the buffer's beginning hold no end of a line: nobody makes us look twice.
    looked: usize,
    skipping: Skipping,
    number: u64,
    ended: Ended,
}

/// Whether the rest of a line that was too long is being passed over.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Skipping {
    No,
    Yes,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Ended {
    No,
    Yes,
}

impl Lines {
    /// The next rows: as many as a group holds, or fewer when no more come for a moment. None at the end.
    async fn group(&mut self) -> io::Result<Vec<Row>> {
        let mut rows = Vec::new();
        let line_by = Instant::now() + self.wait * LINE_WAITS;
        let mut group_by = None;
        loop {
            self.split(&mut rows);
            if rows.len() >= GROUP || (self.ended == Ended::Yes && self.buffer.is_empty()) {
                return Ok(rows);
            }
            let until = if rows.is_empty() {
                line_by.min(Instant::now() + self.wait)
            } else {
                *group_by.get_or_insert_with(|| Instant::now() + LINGER)
            };
            match timeout_at(until, self.body.frame()).await {
                // A body that always has more, yet never a row.
                Ok(Some(Ok(_))) if rows.is_empty() && Instant::now() >= line_by => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Ok(None) => self.ended = Ended::Yes,
                // What broke off in the middle of a line is not a row.
                Ok(Some(Err(_))) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(_) if rows.is_empty() => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => return Ok(rows),
            }
        }
    }

    /// Takes whole lines out of the buffer, until the group is full.
    fn split(&mut self, rows: &mut Vec<Row>) {
        let mut start = 0;
        while rows.len() < GROUP {
            let rest = &self.buffer[start..];
            let looked = self.looked.min(rest.len());
            self.looked = 0;
            let (line, next) = match rest[looked..].iter().position(|byte| *byte == b'\n') {
                Some(at) => (&rest[..looked + at], start + looked + at + 1),
                // The last line may do without its end.
                None if self.ended == Ended::Yes && !rest.is_empty() => (rest, self.buffer.len()),
                None => {
                    self.looked = rest.len();
                    break;
                }
            };
            start = next;
            if self.skipping == Skipping::Yes {
                self.skipping = Skipping::No;
                continue;
            }
            self.number += 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > LINE_BYTES_MAX {
                rows.push(Row { number: self.number, line: Line::TooLong });
            } else if !line.iter().all(u8::is_ascii_whitespace) {
                rows.push(Row { number: self.number, line: Line::Text(Bytes::copy_from_slice(line)) });
            }
        }
        self.buffer.drain(..start);
        if rows.len() < GROUP && self.buffer.len() > LINE_BYTES_MAX {
            if self.skipping == Skipping::No {
                self.number += 1;
                rows.push(Row { number: self.number, line: Line::TooLong });
                self.skipping = Skipping::Yes;
            }
            self.buffer.clear();
            self.looked = 0;
        }
        // At the end, what is left of a line that was too long is nobody's row.
        if self.ended == Ended::Yes && self.skipping == Skipping::Yes {
            self.buffer.clear();
        }
    }
}

/// Rows that share one synced write.
const GROUP: usize = 256;

/// Bytes of one row: as one certificate sent alone.
pub(super) const LINE_BYTES_MAX: usize = 256 * 1024;

/// How many times as long as for the next byte we wait for a whole line.
const LINE_WAITS: u32 = 2;

/// How long a group that has begun waits for more.
const LINGER: Duration = Duration::from_millis(20);

/// How often a row is tried again that was turned away for want of room.
const ATTEMPTS_MAX: u32 = 6;

/// The first pause before that; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(text: &str, expected: &[(u64, Option<&str>)]) {
        // Byte by byte, so that lines are put together again from any pieces.
        let pieces: Vec<io::Result<Bytes>> =
            text.as_bytes().chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let body = Body::from_stream(stream::iter(pieces));
        let wait = Duration::from_secs(5);
        let mut lines = Lines {
            body,
            wait,
            buffer: vec![],
            looked: 0,
            skipping: Skipping::No,
            number: 0,
            ended: Ended::No,
        };
        let mut rows = Vec::new();
        loop {
            let group = lines.group().await.unwrap();
            if group.is_empty() {
                break;
            }
            assert!(group.len() <= GROUP);
            rows.extend(group);
        }
        let actual: Vec<(u64, Option<&str>)> = rows
            .iter()
            .map(|row| match &row.line {
                Line::Text(text) => (row.number, Some(std::str::from_utf8(text).unwrap())),
                Line::TooLong => (row.number, None),
            })
            .collect();
        assert_eq!(actual, expected);
    }

    #[tokio::test]
    async fn rows_are_numbered_as_an_editor_numbers_lines() {
        check("", &[]).await;
        check("{\"a\":1}\n\r\n  \n{\"b\":2}\r\n", &[(1, Some("{\"a\":1}")), (4, Some("{\"b\":2}"))]).await;
        check("1\n2", &[(1, Some("1")), (2, Some("2"))]).await;
    }

    #[tokio::test]
    async fn a_row_that_is_too_long_has_its_result_and_holds_up_no_other() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        check(&format!("1\n{long}\n3\n"), &[(1, Some("1")), (2, None), (3, Some("3"))]).await;
        check(&format!("{long}{long}\n2\n"), &[(1, None), (2, Some("2"))]).await;
        check(&format!("{long}{long}"), &[(1, None)]).await;
    }

    #[tokio::test]
    async fn many_rows_come_in_groups() {
        let text: String = (1..=600).map(|number| format!("{number}\n")).collect();
        let names: Vec<String> = (1..=600u64).map(|number| number.to_string()).collect();
        let expected: Vec<(u64, Option<&str>)> =
            (1..).zip(names.iter().map(|name| Some(name.as_str()))).collect();
        check(&text, &expected).await;
    }

    #[tokio::test]
    async fn a_line_that_dribbles_is_not_waited_for_and_holds_up_no_row_before_it() {
        let pause = Duration::from_millis(20);
        let dribble = stream::unfold(0_u32, move |place| async move {
            tokio::time::sleep(pause).await;
            let piece = if place == 0 { "1\n" } else { "x" };
            Some((Ok::<_, io::Error>(Bytes::from_static(piece.as_bytes())), place + 1))
        });
        let mut lines = Lines {
            body: Body::from_stream(dribble),
            wait: 5 * pause,
            buffer: vec![],
            looked: 0,
            skipping: Skipping::No,
            number: 0,
            ended: Ended::No,
        };
        let long = Duration::from_secs(20);
        let first = tokio::time::timeout(long, lines.group()).await.unwrap().unwrap();
        assert_eq!(first.len(), 1);
        let rest = tokio::time::timeout(long, lines.group()).await.unwrap();
        assert_eq!(rest.err().map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error_and_no_row() {
        let pieces: Vec<io::Result<Bytes>> =
            vec![Ok(Bytes::from_static(b"{\"half\"")), Err(io::ErrorKind::ConnectionReset.into())];
        let body = Body::from_stream(stream::iter(pieces));
        let wait = Duration::from_secs(5);
        let mut lines = Lines {
            body,
            wait,
            buffer: vec![],
            looked: 0,
            skipping: Skipping::No,
            number: 0,
            ended: Ended::No,
        };
        assert!(lines.group().await.is_err());
    }
}
