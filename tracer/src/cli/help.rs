//! What stands below the options in the help text and the man page.

use super::exit::Exit;

/// Below `-h`.
pub const SHORT: &str = "Examples:
  sudo tracer --pid 1234
  sudo tracer -- env LD_PRELOAD=libjemalloc.so.2 ./server --port 80

More with --help.";

/// Commands, and below each what it does, set in further.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "sudo tracer --pid 1234",
        "Trace a running process until Ctrl-C, then say why its VmSize is what it is.",
    ),
    (
        "sudo tracer --pid 1234,1240 --duration 2m",
        "Two processes and their children, for two minutes.",
    ),
    (
        "sudo tracer -- env LD_PRELOAD=libjemalloc.so.2 ./server --port 80",
        "Start a command with another allocator and trace all of its life.",
    ),
    (
        "sudo tracer --pid 1234 --format json --output report.json",
        "A document for programs, described in docs/json.md.",
    ),
    (
        "sudo tracer --pid 1234 --events --format json | jq 'select(.call == \"munmap\")'",
        "Each call as a line of JSON, the summary as the last line.",
    ),
    (
        "sudo tracer record --output run.trace --pid 1234",
        "Record a run, to explain it later or elsewhere.",
    ),
    (
        "tracer report run.trace",
        "Explain a recorded run. Needs no privileges.",
    ),
    (
        "sudo tracer audit",
        "Rank all processes of this host, and say of each what its VmSize consists of.",
    ),
    (
        "sudo tracer serve",
        "The same all the time, as metrics for Prometheus at http://127.0.0.1:9435/metrics.",
    ),
    (
        "sudo tracer doctor",
        "Tell what this kernel and this user allow, and what is used instead.",
    ),
];

const NOT_PASSED_ON: &str = "The exit code of CMD is not passed on.";

const CODE_COLUMN: usize = 4;
const TEXT_WIDTH: usize = 80 - CODE_COLUMN;

/// Below `--help`: examples and exit codes.
pub fn long() -> String {
    let mut text = "Examples:".to_owned();
    for (command, effect) in EXAMPLES {
        text += &format!("\n  {command}\n      {effect}");
    }
    text += "\n\nExit codes:";
    for exit in Exit::ALL {
        let mut begin = format!("  {} ", exit.code());
        for line in wrapped(exit.meaning()) {
            text += &format!("\n{begin}{line}");
            begin = " ".repeat(CODE_COLUMN);
        }
    }
    text + "\n  " + NOT_PASSED_ON
}

/// The same as sections of a man page, in roff.
pub fn roff() -> String {
    let mut text = ".SH EXAMPLES\n".to_owned();
    for (command, effect) in EXAMPLES {
        text += &format!(".TP\n\\fB{}\\fR\n{}\n", escaped(command), escaped(effect));
    }
    text += ".SH \"EXIT STATUS\"\n";
    for exit in Exit::ALL {
        text += &format!(
            ".TP\n\\fB{}\\fR\n{}\n",
            exit.code(),
            escaped(exit.meaning())
        );
    }
    text + ".PP\n" + NOT_PASSED_ON + "\n"
}

/// `text` as roff shows it unchanged.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
}

/// `text` in lines that fit beside the codes.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= TEXT_WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
