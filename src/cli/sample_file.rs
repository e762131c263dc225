//! `kabao certificate sample`: rows of samples, as CSV or NDJSON on stdout.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use clap::{Args, ValueEnum};
use serde_json::Value as Json;

use super::report::Failure;
use super::sample;
use crate::catalog::{Catalog, CertificateType};
use crate::domain::time::Date;
use crate::vault::clock::{Clock, SystemClock};
use crate::vault::issue::IssueOrder;

/// Sample rows.
#[derive(Args, Debug)]
pub(super) struct Sample {
    /// How many types (spread over the catalogue), or slugs parted by commas
    #[arg(long, default_value = "20", value_name = "N|SLUGS")]
    types: String,
    /// How many rows
    #[arg(long, default_value_t = 100, value_name = "M")]
    rows: u64,
    /// Counter of the first row: other counters give other holders and numbers
    #[arg(long, default_value_t = 1, value_name = "N")]
    first: u64,
    /// Form of the rows
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    format: Form,
}

/// The forms of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Form {
    /// A line of names, then a line for each certificate.
    Csv,
    /// A JSON object on each line.
    Ndjson,
}

impl Sample {
    /// Writes them.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let catalog = Catalog::embedded()?;
        let types = self.pick(&catalog)?;
        let today = SystemClock.now().date();
        let mut out = BufWriter::new(io::stdout().lock());
        let written = match self.format {
            Form::Csv => self.csv(&types, today, &mut out),
            Form::Ndjson => self.ndjson(&types, today, &mut out),
        };
        match written.and_then(|()| out.flush()) {
            // The reader went away: it has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::unknown(format!("cannot write: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    fn pick<'a>(&self, catalog: &'a Catalog) -> Result<Vec<&'a CertificateType>, Failure> {
        let all = catalog.types();
        if let Ok(count) = self.types.parse::<usize>() {
            let count = count.clamp(1, all.len());
            return Ok((0..count).map(|place| &all[place * all.len() / count]).collect());
        }
        let found = self.types.split(',').map(|slug| {
            let unknown = || Failure::misuse(format!("there is no certificate type `{slug}`"));
            catalog.find(slug).ok_or_else(|| unknown().hint("`kabao type list` shows the types"))
        });
        found.collect()
    }

    fn orders<'a>(
        &self,
        types: &'a [&CertificateType],
        today: Date,
    ) -> impl Iterator<Item = IssueOrder> + 'a {
        let first = self.first;
        let length = u64::try_from(types.len()).unwrap_or(1).max(1);
        (first..first.saturating_add(self.rows)).map(move |n| {
            let place = usize::try_from(n % length).unwrap_or(0);
            sample::order(types[place], n, today)
        })
    }

    fn ndjson(&self, types: &[&CertificateType], today: Date, out: &mut impl Write) -> io::Result<()> {
        for order in self.orders(types, today) {
            writeln!(out, "{}", sample::to_json(&order))?;
        }
        Ok(())
    }

    fn csv(&self, types: &[&CertificateType], today: Date, out: &mut impl Write) -> io::Result<()> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut names: Vec<&str> = HEAD.to_vec();
        for field in types.iter().flat_map(|kind| kind.fields()) {
            places.entry(&field.key).or_insert_with(|| {
                names.push(&field.key);
                names.len() - 1
            });
        }
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(&names)?;
        for order in self.orders(types, today) {
            let mut cells = vec![String::new(); names.len()];
            let join = |part: fn(&crate::vault::issue::OrderHolder) -> &str| {
                order.holders.iter().map(part).collect::<Vec<_>>().join("|")
            };
            let date = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
            let head = [
                order.certificate_type.clone(),
                join(|holder| &holder.code_type),
                join(|holder| &holder.code),
                join(|holder| &holder.name),
                order.number.clone(),
                date(order.issue_date),
                date(order.valid_from),
                date(order.valid_until),
            ];
            for (cell, value) in cells.iter_mut().zip(head) {
                *cell = value;
            }
            for (key, value) in &order.fields {
                if let Some(place) = places.get(key.as_str()) {
                    cells[*place] = cell(value);
                }
            }
            writer.write_record(&cells)?;
        }
        writer.flush()
    }
}

/// A value as a cell holds it; lists are parted as people part them.
fn cell(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) if items.iter().all(Json::is_string) => {
            items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join("、")
        }
        Json::Bool(true) => "是".into(),
        Json::Bool(false) => "否".into(),
        other => other.to_string(),
    }
}

/// The columns that every batch has.
pub(super) const HEAD: [&str; 8] = [
    "type",
    "holder_code_type",
    "holder_code",
    "holder_name",
    "number",
    "issue_date",
    "valid_from",
    "valid_until",
];
