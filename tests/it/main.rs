//! What people rely on, tested through the public interface.
#![forbid(unsafe_code)]

mod catalogue;
mod crash;
mod floors;
mod http;
mod main_job;
mod secrets;
mod source;
mod tidy;
mod world;
