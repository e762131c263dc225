//! Parse, run, report.

use std::process::ExitCode;

fn main() -> ExitCode {
    kabao::cli::run(std::env::args_os())
}
