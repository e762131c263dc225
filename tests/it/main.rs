//! What people rely on, tested through the public interface.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod canary;
mod catalogue;
mod crash;
mod durable;
mod floors;
#[path = "../../fuzz/src/inputs.rs"]
#[expect(unreachable_pub, reason = "public for the targets of fuzz/")]
mod fuzz_inputs;
mod fuzz_seeds;
mod http;
mod kill;
mod main_job;
mod outside;
mod race;
mod refuse;
mod restart;
mod restore;
mod secrets;
mod service;
mod source;
mod tidy;
mod trust;
mod world;
