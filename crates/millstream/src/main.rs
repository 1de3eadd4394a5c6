//! The program: one module per stage of the picture in ARCHITECTURE.md, and the commands around them.

mod archive;
mod board;
mod chain;
mod clean;
mod cli;
mod clock;
mod data_dir;
mod dedup;
mod disk;
mod durable;
mod environment;
mod failpoint;
mod parity;
mod pipeline;
mod profile;
mod publishing;
mod receive;
mod redrive;
mod secret;
mod server;
mod source;
mod stop;
mod store;
mod stream;
mod supervise;
mod survey;
mod table;
mod users;
mod verify;
mod view;

fn main() -> std::process::ExitCode {
    // Who sets one of these wants another way.
    if environment::variables("MALLOC_").is_empty() && environment::variable("GLIBC_TUNABLES").is_none() {
        malloc_bounds::set();
    }
    cli::main()
}
