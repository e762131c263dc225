//! Reading and writing the files of a key store.
//!
//! What [`write_file`] returned from would survive a crash; before it returns, the
//! old file is there or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::keys::soft::error::KeyStoreError;

/// Reads a file of at most [`FILE_MAX`] bytes.
pub(super) fn read_file(path: &Path) -> Result<String, KeyStoreError> {
    let io = |error: std::io::Error| KeyStoreError::io(path, &error);
    let limit = u64::try_from(FILE_MAX + 1).expect("a small constant");
    let mut text = String::new();
    let length = File::open(path).map_err(io)?.take(limit).read_to_string(&mut text).map_err(io)?;
    if length > FILE_MAX {
        return Err(KeyStoreError::TooMuch { what: "one key file" });
    }
    Ok(text)
}

/// Replaces or makes a file (mode 0600), whole or not at all.
pub(super) fn write_file(directory: &Path, name: &str, text: &str) -> Result<(), KeyStoreError> {
    // A name that no reader takes for a key; one that a crash left behind is overwritten.
    let part = directory.join(format!(".{name}.part"));
    let io = |error: std::io::Error| KeyStoreError::io(&directory.join(name), &error);
    match fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(io)?;
    file.write_all(text.as_bytes()).map_err(io)?;
    file.sync_all().map_err(io)?;
    fs::rename(&part, directory.join(name)).map_err(io)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

/// A key file has about 1 KiB. Our own choice.
pub(super) const FILE_MAX: usize = 16 * 1024;
