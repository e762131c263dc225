//! The results of a batch: one line for each row, in their order.
//!
//! The last whole line says how far the batch has come. A line cut short by a crash is
//! cut off when the file is opened.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::cli::report::Failure;

/// A results file, open at its end.
pub(super) struct Results {
    path: PathBuf,
    out: BufWriter<File>,
    last_row: u64,
    issued: u64,
    refused: u64,
}

impl Results {
    /// Opens the results of the batch of this name, new or to go on with.
    pub(super) fn open(path: &Path, batch: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file(path, &error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let (mut last_row, mut issued, mut refused, mut whole) = (0, 0, 0, 0_u64);
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if read == 0 || line.last() != Some(&b'\n') {
                break;
            }
            let foreign = || {
                Failure::misuse(format!("`{}` holds the results of something else", path.display()))
                    .hint("name another results file, or the batch's own with `--batch`")
            };
            let json: Json = serde_json::from_slice(&line).map_err(|_| foreign())?;
            let row = json.get("row").and_then(Json::as_u64).ok_or_else(foreign)?;
            let own = json.get("request").and_then(Json::as_str) == Some(&format!("{batch}/{row}"));
            if !own || row != last_row + 1 {
                return Err(foreign());
            }
            last_row = row;
            if json.get("identifier").is_some() {
                issued += 1
            } else {
                refused += 1
            }
            whole += u64::try_from(read).unwrap_or(0);
        }
        file.set_len(whole).map_err(failed)?;
        let mut out = BufWriter::new(file);
        io::Seek::seek(&mut out, io::SeekFrom::Start(whole)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), out, last_row, issued, refused })
    }

    /// Writes the result of the next row.
    pub(super) fn write(&mut self, line: &Json) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(|error| Failure::file(&self.path, &error))?;
        self.last_row += 1;
        if line.get("identifier").is_some() {
            self.issued += 1
        } else {
            self.refused += 1
        }
        Ok(())
    }

    /// Hands what was written to the system.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::file(&self.path, &error))
    }

    /// The last row that has a result.
    pub(super) fn last_row(&self) -> u64 {
        self.last_row
    }

    /// Rows that became certificates.
    pub(super) fn issued(&self) -> u64 {
        self.issued
    }

    /// Rows that did not.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_on_after_the_last_whole_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("done.ndjson");
        let mut results = Results::open(&path, "b").unwrap();
        results.write(&serde_json::json!({ "row": 1, "request": "b/1", "identifier": "i" })).unwrap();
        results.write(&serde_json::json!({ "row": 2, "request": "b/2", "code": "c" })).unwrap();
        results.flush().unwrap();
        drop(results);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"row\":3,").unwrap();

        let mut results = Results::open(&path, "b").unwrap();
        assert_eq!((results.last_row(), results.issued(), results.refused()), (2, 1, 1));
        results.write(&serde_json::json!({ "row": 3, "request": "b/3", "identifier": "i" })).unwrap();
        results.flush().unwrap();
        drop(results);
        assert_eq!(Results::open(&path, "b").unwrap().last_row(), 3);
    }

    #[test]
    fn the_results_of_another_batch_are_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("done.ndjson");
        std::fs::write(&path, "{\"row\":1,\"request\":\"a/1\"}\n").unwrap();
        assert!(Results::open(&path, "b").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"row\":1,\"request\":\"a/1\"}\n");
    }
}
