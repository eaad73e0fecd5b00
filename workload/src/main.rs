//! The workload on the C library's malloc, and on what is linked in beside that.

use std::process::ExitCode;

fn main() -> ExitCode {
    workload::run()
}
