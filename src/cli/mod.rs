//! The command line: commands, configuration, the process.
//!
//! One file per group of commands. Data goes to stdout, messages to stderr; a command
//! ends with 0 done, 1 refused, 2 misuse, 3 could not find out (see `report.rs`).
//!
//! # Not here
//!
//! What the service does: the vault. What a route is: `http`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use self::report::{Exit, Failure, data};

mod backup;
mod batch;
mod bench;
mod certificate;
mod city;
mod client;
mod config;
mod demo;
mod failures;
mod hierarchy;
mod init;
mod keys;
mod log;
mod open;
mod report;
mod restore;
pub mod sample;
mod sample_file;
mod serve;
mod source;
mod token;
mod tour;
mod trusted;
mod types;
mod verify;

/// An electronic certificate (电子证照) vault: issue, carry, show, verify, revoke, prove
#[derive(Debug, Parser)]
#[command(name = "kabao", version, after_help = "Example: kabao demo --dir /tmp/kabao-demo")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    #[command(
        after_help = "Example: kabao serve --dir /var/lib/kabao --passphrase-file /etc/kabao/passphrase"
    )]
    Serve(serve::Serve),
    /// Run the service with sample data and a page to try it
    #[command(after_help = "Example: kabao demo --dir /tmp/kabao-demo")]
    Demo(demo::Demo),
    /// Live through the main job, told step by step, against a real server on loopback
    #[command(after_help = "Example: kabao tour --dir /tmp/kabao-tour")]
    Tour(tour::Tour),
    /// Make a new vault: keys, x509, configuration, empty database
    #[command(
        after_help = "Example: kabao init --dir /var/lib/kabao --url https://vault.example --passphrase-file p --department 11500199000000004P=市场监督管理局=Market"
    )]
    Init(init::Init),
    /// Keys: list, rotate, retire
    #[command(subcommand, after_help = "Example: kabao keys list --dir /var/lib/kabao")]
    Keys(keys::Command),
    /// Certificate types: list, show, check
    #[command(subcommand, name = "type", after_help = "Example: kabao type show driving_licence")]
    Type(types::Command),
    /// Certificates: issue, change, show, as a client of a running server
    #[command(
        subcommand,
        after_help = "Example: kabao certificate issue-batch rows.csv --url https://vault.example --token-file t --results done.ndjson"
    )]
    Certificate(certificate::Command),
    /// Verify a credential, an offline code or a photo of one, without a network
    #[command(
        after_help = "Examples:\n  kabao verify --fetch https://vault.example --out trust --anchor root.pem\n  kabao verify certificate.sd-jwt --trust trust/trust.jwt --status-dir trust --anchor root.pem"
    )]
    Verify(verify::Verify),
    /// The public log: audit it, show an entry, prove one
    #[command(subcommand, after_help = "Example: kabao log audit https://vault.example --state audit.state")]
    Log(log::Command),
    /// Copy a running vault
    #[command(
        after_help = "Example: kabao backup --url https://vault.example --token-file t --name 2026-03-03"
    )]
    Backup(backup::Backup),
    /// Put a backup in the place of a vault's database
    #[command(after_help = "Example: kabao restore --from /backups/2026-03-03 --dir /var/lib/kabao")]
    Restore(restore::Restore),
    /// Mint a bearer token with the vault's key store
    #[command(after_help = "Example: kabao token --dir /var/lib/kabao --registration auditor")]
    Token(token::Token),
    /// Measure this machine: what the vault reaches beside what its parts reach alone
    #[command(after_help = "Example: kabao bench")]
    Bench(bench::Bench),
}

/// Runs a command line and says how the process ends.
pub fn run<I>(arguments: I) -> ExitCode
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let outcome = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command.run(),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                data(error.render().to_string().trim_end());
                return ExitCode::SUCCESS;
            }
            _ => Err(misuse(&error)),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit().code()
        }
    }
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Demo(demo) => demo.run(),
            Self::Tour(tour) => tour.run(),
            Self::Init(init) => init.run(),
            Self::Keys(command) => command.run(),
            Self::Type(command) => command.run(),
            Self::Certificate(command) => command.run(),
            Self::Verify(verify) => verify.run(),
            Self::Log(command) => command.run(),
            Self::Backup(backup) => backup.run(),
            Self::Restore(restore) => restore.run(),
            Self::Token(token) => token.run(),
            Self::Bench(bench) => bench.run(),
        }
    }
}

/// clap's words in our form.
fn misuse(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let what: Vec<&str> = first.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let what = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        "which command?".to_owned()
    } else {
        what.join(" ")
    };
    let failure = Failure::misuse(what).hint("see `kabao --help`, or `--help` after the command");
    debug_assert_eq!(failure.exit(), Exit::Misuse);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound_and_every_command_ends_its_help_with_an_example() {
        use clap::CommandFactory;
        let mut tree = Cli::command();
        tree.build();
        tree.clone().debug_assert();
        let mut open = vec![tree];
        while let Some(command) = open.pop() {
            if command.get_name() == "help" {
                continue;
            }
            let help = command.clone().render_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
            open.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn misuse_is_told_in_our_own_form() {
        let error = Cli::try_parse_from(["kabao", "type", "show"]).unwrap_err();
        let failure = misuse(&error);
        assert_eq!(failure.exit(), Exit::Misuse);
        assert!(
            failure.to_string().starts_with("the following required arguments were not provided"),
            "{failure}"
        );
    }
}
