//! Parse, run, report.

fn main() {}
