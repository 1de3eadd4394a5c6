//! Drives the real program: each test has a pipeline of its own in a temporary folder, on a port of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod commands;
mod demo;
mod details;
mod drift;
mod http;
mod init;
mod login;
mod mistakes;
mod program;
mod redrive;
mod retry;
mod source;
mod stop;
mod wire;
