//! The command line: one file per subcommand.

mod plot;
mod train;
mod ui;

use clap::Parser;

#[derive(Parser)]
enum Command {
    Train(train::Args),
}

fn main() {
    let Command::Train(args) = Command::parse();
    if let Err(error) = train::run(args) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
