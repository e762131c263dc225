//! The real program on a real disk: killed, watched, searched, raced, restarted and refused.
//!
//! A binary of its own: these tests start processes, and a child holds its parent's file
//! locks until it has become another program. Beside tests that open a store again, that
//! would now and then look like a second user.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod canary;
mod durable;
mod kill;
mod outside;
mod race;
mod refuse;
mod restart;
mod service;
#[path = "../it/world.rs"]
#[expect(dead_code, reason = "the simulated world has more than these tests need")]
mod world;
