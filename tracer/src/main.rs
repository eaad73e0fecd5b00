//! The command `tracer`: see `tracer --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracer::app::main(std::env::args_os()).into()
}
