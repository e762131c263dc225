//! The source of this repository, read as text, for tests about how it is written.

use std::fs;
use std::path::{Path, PathBuf};

/// One file, by its name from the top of the repository.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// The module below `src` it belongs to.
    pub(crate) fn module(&self) -> String {
        let inside = self.name.strip_prefix("src/").unwrap_or(&self.name);
        inside.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_string()
    }

    /// Numbered lines without what stands behind `//`.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| {
            let trimmed = line.trim_start();
            let code = if trimmed.starts_with("//") { "" } else { line };
            (index + 1, code.split(" // ").next().unwrap_or_default())
        })
    }

    /// [`Source::code`] up to the tests at the end; nothing of a file of tests.
    pub(crate) fn code_before_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let of_tests = self.name.ends_with("/tests.rs") || self.name.ends_with("/contract.rs");
        let all = if of_tests { 0 } else { usize::MAX };
        self.code().take(all).take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }
}

/// Every Rust file below a folder of the repository, by name.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    files(folder).into_iter().filter(|source| source.name.ends_with(".rs")).collect()
}

/// Every file of text below a folder of the repository, by name.
pub(crate) fn files(folder: &str) -> Vec<Source> {
    let top = top();
    let mut found = Vec::new();
    let mut open = vec![top.join(folder)];
    while let Some(place) = open.pop() {
        let Ok(entries) = fs::read_dir(&place) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !BUILT.contains(&path.file_name().unwrap().to_string_lossy().as_ref()) {
                    open.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let name = path.strip_prefix(&top).unwrap().to_string_lossy().into_owned();
                found.push(Source { name, text });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Folders of what is built or fetched: not ours.
const BUILT: [&str; 7] = [".git", "__pycache__", "artifacts", "corpus", "node_modules", "target", "venv"];
