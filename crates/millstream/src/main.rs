//! The program: one module per stage of the picture in ARCHITECTURE.md, and the commands around them.

mod board;
mod cli;
mod data_dir;
mod failpoint;
mod pipeline;
mod server;
mod stop;
mod view;

fn main() -> std::process::ExitCode {
    cli::main()
}
