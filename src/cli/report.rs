//! How the command line talks: data on stdout, messages on stderr, and how it ends.
//!
//! A [`Failure`] ends a command. It is printed once, by [`crate::cli::run`], as
//! `kabao: error: <what>`, an empty line, and `hint: …` where there is one.
//!
//! # Not here
//!
//! No colours: output is read by people, by pipes and by screen readers.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// How a command ends when it is not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Exit {
    /// 1: it was refused, or what was checked is not good.
    Refused,
    /// 2: the command was not meant like this.
    Misuse,
    /// 3: it could not be found out.
    Unknown,
}

impl Exit {
    /// The process's exit code.
    pub(super) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused => 1,
            Self::Misuse => 2,
            Self::Unknown => 3,
        })
    }
}

/// Why a command was not done.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    exit: Exit,
    what: String,
    hint: Option<String>,
}

impl Failure {
    /// It was refused.
    pub(super) fn refused(what: impl fmt::Display) -> Self {
        Self { exit: Exit::Refused, what: what.to_string(), hint: None }
    }

    /// The command was not meant like this.
    pub(super) fn misuse(what: impl fmt::Display) -> Self {
        Self { exit: Exit::Misuse, what: what.to_string(), hint: None }
    }

    /// It could not be found out.
    pub(super) fn unknown(what: impl fmt::Display) -> Self {
        Self { exit: Exit::Unknown, what: what.to_string(), hint: None }
    }

    /// With what the reader can do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With what the reader can do about it, where anything is known.
    pub(super) fn maybe_hint(self, hint: Option<&str>) -> Self {
        Self { hint: hint.map(str::to_owned).or(self.hint), ..self }
    }

    /// A file that cannot be used.
    pub(super) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::unknown(format!("cannot use `{}`: {error}", path.display()))
    }

    /// How the process ends.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells it, on stderr.
    pub(super) fn tell(&self) {
        say(format!("kabao: error: {}", self.what));
        if let Some(hint) = &self.hint {
            say(format!("\nhint: {hint}"));
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// A line of data, on stdout. A reader that went away is not our failure.
pub(super) fn data(line: impl fmt::Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// A message for people, on stderr.
pub(super) fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A progress bar over so many steps, drawn on stderr when that is a terminal.
pub(super) fn progress(length: u64, unit: &str) -> indicatif::ProgressBar {
    if !io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let shape = match unit {
        "bytes" => "{bar:40} {bytes}/{total_bytes} {elapsed} {eta} left {msg}",
        _ => "{bar:40} {pos}/{len} {elapsed} {eta} left {msg}",
    };
    let bar = indicatif::ProgressBar::new(length);
    match indicatif::ProgressStyle::with_template(shape) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_design() {
        assert_eq!(Failure::refused("no").exit(), Exit::Refused);
        assert_eq!(Failure::misuse("no").exit(), Exit::Misuse);
        assert_eq!(Failure::unknown("no").hint("look").exit(), Exit::Unknown);
        assert_eq!(Failure::refused("no").to_string(), "no");
    }
}
