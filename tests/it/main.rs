//! What people rely on, tested through the public interface.
#![forbid(unsafe_code)]

mod crash;
mod main_job;
mod restore;
mod world;
