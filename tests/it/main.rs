//! What people rely on, tested through the public interface.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod catalogue;
mod crash;
mod floors;
#[path = "../../fuzz/src/inputs.rs"]
#[expect(unreachable_pub, reason = "public for the targets of fuzz/")]
mod fuzz_inputs;
mod fuzz_seeds;
mod http;
mod main_job;
mod restore;
mod secrets;
mod source;
mod tidy;
mod trust;
mod world;
