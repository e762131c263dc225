//! The rows of a batch, read one by one from CSV or NDJSON.
//!
//! Rows count from 1; the line of names of a CSV is not a row. A row that is no row
//! (not JSON, too long, too few cells) is a result of its own, not the end of the batch.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use crate::cli::report::Failure;
use crate::cli::sample_file::HEAD;

/// One row.
pub(super) struct Row {
    number: u64,
    bytes: usize,
    order: Result<Json, String>,
}

impl Row {
    /// Its number, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// About so many bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its idempotency key.
    pub(super) fn request(&self, batch: &str) -> String {
        format!("{batch}/{}", self.number)
    }

    /// The order with its key.
    pub(super) fn order(&self, batch: &str) -> Json {
        let mut order = self.order.clone().unwrap_or(Json::Null);
        if let Json::Object(members) = &mut order {
            members.insert("request".into(), self.request(batch).into());
        }
        order
    }

    /// The result of a row that is none, which is not sent.
    pub(super) fn fault(&self, batch: &str) -> Option<Json> {
        let reason = self.order.as_ref().err()?;
        Some(json!({
            "row": self.number, "request": self.request(batch), "code": "batch/malformed", "reason": reason,
        }))
    }
}

/// A file of rows.
pub(super) struct Rows {
    source: Source,
    number: u64,
    total: u64,
    position: u64,
}

enum Source {
    Csv { reader: Box<csv::Reader<File>>, names: Vec<String> },
    Lines(Box<dyn BufRead>),
}

impl Rows {
    /// Opens a file; `-` is NDJSON from stdin.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            let source = Source::Lines(Box::new(BufReader::new(io::stdin())));
            return Ok(Self { source, number: 0, total: 0, position: 0 });
        }
        let failed = |error: io::Error| Failure::file(path, &error);
        let file = File::open(path).map_err(failed)?;
        let total = file.metadata().map_err(failed)?.len();
        let source = match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => csv_source(path, file)?,
            Some("ndjson" | "jsonl" | "json") => Source::Lines(Box::new(BufReader::new(file))),
            _ => {
                return Err(Failure::misuse(format!("`{}` is neither .csv nor .ndjson", path.display()))
                    .hint("`kabao certificate sample` shows what rows look like"));
            }
        };
        Ok(Self { source, number: 0, total, position: 0 })
    }

    /// Bytes of the file; 0 when that is not known.
    pub(super) fn bytes_total(&self) -> u64 {
        self.total
    }

    /// Bytes read so far; rows where the total is not known.
    pub(super) fn position(&self) -> u64 {
        if self.total > 0 { self.position } else { self.number }
    }

    /// Reads over rows that are done.
    pub(super) fn skip_to(&mut self, row: u64) -> Result<(), Failure> {
        while self.number < row {
            if self.next_row()?.is_none() {
                return Err(Failure::misuse(format!(
                    "the results file holds {row} rows, the batch only {}",
                    self.number
                ))
                .hint("use the results file of this batch, or a new one"));
            }
        }
        Ok(())
    }

    /// The next row; `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Row>, Failure> {
        let read = match &mut self.source {
            Source::Csv { reader, names } => {
                let read = csv_row(reader, names);
                self.position = reader.position().byte();
                read
            }
            Source::Lines(lines) => line(lines.as_mut(), &mut self.position),
        };
        let read = read.map_err(|error| Failure::unknown(format!("the batch cannot be read: {error}")))?;
        let Some((bytes, order)) = read else { return Ok(None) };
        self.number += 1;
        Ok(Some(Row { number: self.number, bytes, order }))
    }
}

/// A name for a batch that has none: the same file has the same name, and another has another.
pub(super) fn fingerprint(path: &Path) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::file(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(b"kabao/batch/2\0");
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        context.update(&buffer[..read]);
    }
    Ok(format!("batch-{}", &hex::encode(context.finish())[..16]))
}

type Read1 = Option<(usize, Result<Json, String>)>;

fn csv_source(path: &Path, file: File) -> Result<Source, Failure> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).buffer_capacity(1 << 16).from_reader(file);
    let wrong = |what: String| Failure::misuse(format!("`{}`: {what}", path.display()));
    let names = reader.headers().map_err(|_| wrong("the first line has no names of columns".into()))?;
    let names: Vec<String> =
        names.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
    if names.len() > COLUMNS_MAX {
        return Err(wrong(format!("more than {COLUMNS_MAX} columns")));
    }
    for needed in ["type", "holder_code_type", "holder_code", "holder_name", "number"] {
        if !names.iter().any(|name| name == needed) {
            return Err(wrong(format!("there is no column `{needed}`"))
                .hint("`kabao certificate sample` shows what rows look like"));
        }
    }
    let mut sorted = names.clone();
    sorted.sort();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(wrong(format!("the column `{}` is there twice", pair[0])));
    }
    Ok(Source::Csv { reader: Box::new(reader), names })
}

fn csv_row(reader: &mut csv::Reader<File>, names: &[String]) -> io::Result<Read1> {
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(false) => return Ok(None),
        Ok(true) => {}
        Err(error) if error.is_io_error() => return Err(io::Error::other(error.to_string())),
        Err(_) => return Ok(Some((0, Err("is not UTF-8".into())))),
    }
    let bytes = record.as_slice().len();
    if bytes > ROW_BYTES_MAX {
        return Ok(Some((0, Err(format!("has more than {ROW_BYTES_MAX} bytes")))));
    }
    if record.len() != names.len() {
        let reason = format!("has {} cells where the first line has {}", record.len(), names.len());
        return Ok(Some((bytes, Err(reason))));
    }
    let mut head: [&str; HEAD.len()] = [""; HEAD.len()];
    let mut fields = Map::new();
    for (name, cell) in names.iter().zip(record.iter()) {
        let cell = cell.trim();
        match HEAD.iter().position(|known| known == name) {
            Some(place) => head[place] = cell,
            None if cell.is_empty() => {}
            None => {
                fields.insert(name.clone(), cell.into());
            }
        }
    }
    Ok(Some((bytes, order(head, fields))))
}

/// The order of a row of a CSV.
fn order(head: [&str; HEAD.len()], fields: Map<String, Json>) -> Result<Json, String> {
    let [kind, code_types, codes, names, number, issue_date, valid_from, valid_until] = head;
    let codes: Vec<&str> = codes.split('|').map(str::trim).collect();
    let names: Vec<&str> = names.split('|').map(str::trim).collect();
    let code_types: Vec<&str> = code_types.split('|').map(str::trim).collect();
    if names.len() != codes.len() {
        return Err(format!("has {} holder names for {} holder codes", names.len(), codes.len()));
    }
    if code_types.len() != 1 && code_types.len() != codes.len() {
        return Err(format!("has {} holder code types for {} holder codes", code_types.len(), codes.len()));
    }
    let holders: Vec<Json> = codes
        .iter()
        .zip(&names)
        .enumerate()
        .map(|(place, (code, name))| {
            let code_type = code_types.get(place).or(code_types.first()).copied().unwrap_or_default();
            json!({ "code_type": code_type, "code": code, "name": name })
        })
        .collect();
    let mut row = json!({ "type": kind, "holders": holders, "number": number, "fields": fields });
    for (key, value) in [("issue_date", issue_date), ("valid_from", valid_from), ("valid_until", valid_until)]
    {
        if !value.is_empty() {
            row[key] = value.into();
        }
    }
    Ok(row)
}

fn line(lines: &mut dyn BufRead, position: &mut u64) -> io::Result<Read1> {
    loop {
        let mut bytes = Vec::new();
        let limit = u64::try_from(ROW_BYTES_MAX + 1).unwrap_or(u64::MAX);
        let read = lines.take(limit).read_until(b'\n', &mut bytes)?;
        *position += u64::try_from(read).unwrap_or(0);
        if read == 0 {
            return Ok(None);
        }
        if read > ROW_BYTES_MAX {
            *position += skip_line(lines)?;
            return Ok(Some((0, Err(format!("has more than {ROW_BYTES_MAX} bytes")))));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let order = match serde_json::from_slice::<Json>(&bytes) {
            Ok(Json::Object(members)) => Ok(Json::Object(members)),
            Ok(_) => Err("is not a JSON object".into()),
            Err(error) => Err(format!("is not JSON: column {}", error.column())),
        };
        return Ok(Some((read, order)));
    }
}

/// Reads over the rest of a line that is too long, in constant memory.
fn skip_line(lines: &mut dyn BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = lines.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        lines.consume(used);
        skipped += u64::try_from(used).unwrap_or(0);
        if end.is_some() || used == 0 {
            return Ok(skipped);
        }
    }
}

/// Columns of one CSV: all fields of all types fit. Our own choice.
const COLUMNS_MAX: usize = 8192;

/// Bytes of one row: a certificate with long tables fits. Our own choice; the server has its own.
const ROW_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(name: &str, text: &str) -> (tempfile::TempDir, Rows) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let rows = Rows::open(&path).unwrap();
        (directory, rows)
    }

    #[test]
    fn a_csv_row_becomes_an_order_and_empty_cells_are_nothing() {
        let text = "type,holder_code_type,holder_code,holder_name,number,valid_until,sex,unused\n\
                    marriage_certificate,111,A|B,甲|乙,J1,,男,\n";
        let (_directory, mut rows) = rows("r.csv", text);
        let order = rows.next_row().unwrap().unwrap().order("b");
        assert_eq!(order["holders"][1], json!({ "code_type": "111", "code": "B", "name": "乙" }));
        assert_eq!(order["fields"], json!({ "sex": "男" }));
        assert_eq!(order["request"], "b/1");
        assert!(order.get("valid_until").is_none());
        assert!(rows.next_row().unwrap().is_none());
    }

    #[test]
    fn a_row_that_is_none_is_a_result_and_not_the_end() {
        let (_directory, mut rows) = rows("r.ndjson", "{\"type\":1}\nnot json\n\n[]\n{}");
        let faults: Vec<bool> =
            std::iter::from_fn(|| rows.next_row().unwrap()).map(|row| row.fault("b").is_some()).collect();
        assert_eq!(faults, [false, true, true, false]);
    }

    #[test]
    fn a_line_without_end_costs_no_memory() {
        let long = format!("{}\n{{}}\n", "x".repeat(ROW_BYTES_MAX + 10));
        let (_directory, mut rows) = rows("r.ndjson", &long);
        assert!(rows.next_row().unwrap().unwrap().fault("b").is_some());
        assert!(rows.next_row().unwrap().unwrap().fault("b").is_none());
        assert!(rows.next_row().unwrap().is_none());
    }

    #[test]
    fn a_csv_without_its_columns_is_refused_before_anything_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("r.csv");
        std::fs::write(&path, "type,number\na,b\n").unwrap();
        assert!(Rows::open(&path).is_err());
    }

    #[test]
    fn files_that_differ_only_at_their_end_are_two_batches() {
        let directory = tempfile::tempdir().unwrap();
        let name = |end: &str| {
            let path = directory.path().join("r.ndjson");
            std::fs::write(&path, format!("{}{end}", "x".repeat(2 << 20))).unwrap();
            fingerprint(&path).unwrap()
        };
        assert_ne!(name("a"), name("b"));
        assert_eq!(name("a"), name("a"));
    }
}
