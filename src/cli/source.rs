//! Where published bytes are read: a server, or a directory laid out like one.
//!
//! The paths are the public routes without their first slash: `trust`, `status/0`,
//! `log/0/checkpoint`, `log/0/tile/…`.

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use futures_util::stream;

use super::client::Api;
use super::report::Failure;

/// A place of published bytes.
pub(super) enum Source {
    /// A server.
    Server(Api),
    /// A directory.
    Folder(PathBuf),
}

impl Source {
    /// A URL, or a directory.
    pub(super) fn open(text: &str) -> Result<Self, Failure> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Server(Api::public(text)?));
        }
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        Err(Failure::misuse(format!("`{text}` is neither a URL nor a directory")))
    }

    /// The bytes at a path; `None` when there are none.
    pub(super) async fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Server(api) => api.patiently(&format!("/{path}")).await,
            Self::Folder(folder) => {
                let place = folder.join(path);
                match std::fs::read(&place) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(Failure::file(&place, &error)),
                }
            }
        }
    }

    /// The bytes at a path that must be there.
    pub(super) async fn need(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let bytes = self.bytes(path).await?;
        bytes.ok_or_else(|| Failure::unknown(format!("there is no `{path}` in what is published")))
    }

    /// The text at a path that must be there.
    pub(super) async fn text(&self, path: &str) -> Result<String, Failure> {
        let bytes = self.need(path).await?;
        String::from_utf8(bytes).map_err(|_| Failure::refused(format!("`{path}` is no text")))
    }

    /// What is at each of these paths, in their order, several asked for at once.
    pub(super) fn many<'a>(
        &'a self,
        paths: impl Iterator<Item = String> + 'a,
    ) -> impl stream::Stream<Item = Result<Vec<u8>, Failure>> + 'a {
        stream::iter(paths).map(move |path| async move { self.need(&path).await }).buffered(AT_ONCE)
    }

    /// The paths of all status lists.
    pub(super) async fn lists(&self) -> Result<Vec<String>, Failure> {
        match self {
            Self::Server(_) => {
                let text = self.text("status").await?;
                let json: serde_json::Value =
                    serde_json::from_str(&text).map_err(|_| Failure::refused("`status` is no JSON"))?;
                let uris = json["status_lists"].as_array().cloned().unwrap_or_default();
                let number = |uri: &serde_json::Value| Some(uri.as_str()?.rsplit('/').next()?.to_owned());
                let numbers = uris.iter().map(number).collect::<Option<Vec<_>>>();
                let numbers = numbers.ok_or_else(|| Failure::refused("`status` names no lists"))?;
                Ok(numbers.into_iter().map(|number| format!("status/{number}")).collect())
            }
            Self::Folder(folder) => {
                let place = folder.join("status");
                let entries = std::fs::read_dir(&place).map_err(|error| Failure::file(&place, &error))?;
                let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
                let mut numbers: Vec<u32> = names.filter_map(|name| name.parse().ok()).collect();
                numbers.sort_unstable();
                Ok(numbers.into_iter().map(|number| format!("status/{number}")).collect())
            }
        }
    }
}

/// Requests under way at once.
const AT_ONCE: usize = 8;
