//! The program: one module per stage of the picture in ARCHITECTURE.md, and the commands around them.

mod board;
mod pipeline;
mod stop;
mod view;

fn main() {}
