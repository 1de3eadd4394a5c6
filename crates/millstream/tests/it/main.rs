//! Drives the real program: each test has a pipeline of its own in a temporary folder, on a port of its own.

mod commands;
mod http;
mod program;
mod stop;
mod wire;
