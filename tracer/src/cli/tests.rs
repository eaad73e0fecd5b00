use super::{intent::*, *};
use crate::units::{Bytes, Pid};

fn trace(args: &str) -> Trace {
    match parse(args.split(' ')) {
        Ok(Intent::Trace(trace)) => trace,
        other => panic!("{args}: {other:?}"),
    }
}

fn refused(args: &str) -> String {
    let error = parse(args.split(' ')).expect_err(args);
    assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{args}");
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.to_owned()
}

#[test]
fn the_definition_is_consistent() {
    command().debug_assert();
}

#[test]
fn a_process_is_enough() {
    assert_eq!(
        trace("tracer --pid 1234"),
        Trace {
            run: Run {
                subject: Subject::Running(vec![Pid(1234)]),
                follow: true,
                duration: None,
                ring_size: Bytes(8 << 20),
                capture: Capture::Auto,
                stacks: StackWish {
                    most: Bytes(16 << 10),
                    threshold: Bytes(0),
                },
                max_events_per_second: None,
                max_cpu: None,
                heap: None,
            },
            view: View {
                events: false,
                format: Format::Text,
                output: Output::Standard,
                verbosity: Verbosity::Normal,
                color: Color::Auto,
                stacks: false,
                profiles: Profiles {
                    folded: None,
                    flamegraph: None,
                    pprof: None,
                    measure: Measure::Mapped,
                },
            },
            recording: None,
        }
    );
}

#[test]
fn processes_can_be_listed_and_count_once() {
    let subject = trace("tracer -p 3,1 -p 2 --pid=3").run.subject;
    assert_eq!(subject, Subject::Running(vec![Pid(3), Pid(1), Pid(2)]));
}

#[test]
fn what_follows_the_dashes_is_the_commands() {
    let trace = trace("tracer -vv --no-follow -o - -- ls --pid 7 -- -q");
    let args = ["--pid", "7", "--", "-q"].map(OsString::from).to_vec();
    assert_eq!(
        trace.run.subject,
        Subject::Command {
            program: "ls".into(),
            args
        }
    );
    assert_eq!(trace.view.verbosity, Verbosity::Debug);
    assert_eq!(trace.view.output, Output::Standard);
    assert!(!trace.run.follow);
}

#[test]
fn what_it_may_cost_can_be_said() {
    let run = trace("tracer -p 1 --max-cpu 5 --max-events-per-second 20000").run;
    assert_eq!(
        (run.max_cpu, run.max_events_per_second),
        (Some(5), Some(20_000))
    );
    assert!(refused("tracer -p 1 --max-events-per-second 0").contains("from 1 on"));
}

#[test]
fn everything_can_be_said() {
    let trace =
        trace("tracer -p 1 -d 500ms --events -f json -o out.json -q --ring-size 64 --color never");
    assert_eq!(trace.run.duration.map(|time| time.as_millis()), Some(500));
    assert!(trace.view.events);
    assert_eq!(trace.view.format, Format::Json);
    assert_eq!(trace.view.output, Output::File("out.json".into()));
    assert_eq!(trace.view.verbosity, Verbosity::Quiet);
    assert_eq!(trace.run.ring_size, Bytes(64 << 20));
    assert_eq!(trace.view.color, Color::Never);
}

#[test]
fn a_run_can_be_recorded_with_and_without_a_summary() {
    let recording = |limit| Recording {
        file: "run.trace".into(),
        limit: Bytes(limit),
    };
    let traced = trace("tracer --record run.trace --record-size 3 -o - -p 1");
    assert_eq!(traced.recording, Some(recording(3 << 20)));
    let args = "tracer record -o run.trace --no-follow -q -- ls -o x";
    let Ok(Intent::Record(record)) = parse(args.split(' ')) else {
        panic!("{args}");
    };
    assert_eq!(record.recording, recording(1 << 30));
    assert_eq!(record.verbosity, Verbosity::Quiet);
    assert!(!record.run.follow);
    let args = ["-o", "x"].map(OsString::from).to_vec();
    let program = "ls".into();
    assert_eq!(record.run.subject, Subject::Command { program, args });
}

#[test]
fn a_recorded_run_can_be_shown_as_a_traced_one() {
    for (file, source) in [
        ("run.trace", Source::File("run.trace".into())),
        ("-", Source::Standard),
    ] {
        let args = format!("tracer report {file} --events -f json -o out.json -v");
        let Ok(Intent::Report(report)) = parse(args.split(' ')) else {
            panic!("{args}");
        };
        assert_eq!(report.source, source);
        assert!(report.view.events);
        assert_eq!(report.view.format, Format::Json);
        assert_eq!(report.view.output, Output::File("out.json".into()));
        assert_eq!(report.view.verbosity, Verbosity::Verbose);
    }
}

#[test]
fn a_host_can_be_asked_about() {
    let args = "tracer doctor -f json -o host.json";
    let Ok(Intent::Doctor(doctor)) = parse(args.split(' ')) else {
        panic!("{args}");
    };
    assert_eq!(doctor.format, Format::Json);
    assert_eq!(doctor.output, Output::File("host.json".into()));
    assert!(refused("tracer doctor -p 1").contains("unexpected argument"));
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    for (args, expected) in [
        (
            "tracer",
            "error: nothing to trace: give a running process with --pid, or a command after --",
        ),
        (
            "tracer -p 1 -- ls",
            "error: two things to trace: give either --pid or a command after --, not both",
        ),
        (
            "tracer -p 0",
            "error: invalid value '0' for '--pid <PID>': a process id is a number from 1 to 4194304",
        ),
        (
            "tracer -p 1 -d 0",
            "error: invalid value '0' for '--duration <TIME>': \
             give seconds above zero, or a unit: 10, 500ms, 2m, 1h",
        ),
        (
            "tracer -p 1 --ring-size 3",
            "error: invalid value '3' for '--ring-size <MIB>': \
             give a power of two from 1 to 1024, in MiB",
        ),
        ("tracer ls", "error: unexpected argument 'ls' found"),
        (
            "tracer record -o run.trace",
            "error: nothing to trace: give a running process with --pid, or a command after --",
        ),
        (
            "tracer -p 1 --record x -o x",
            "error: one file for the summary and the recording: \
             give --output and --record a file each",
        ),
        (
            "tracer record -p 1",
            "error: the following required arguments were not provided:",
        ),
        (
            "tracer record -o - -p 1",
            "error: invalid value '-' for '--output <FILE>': a recording needs a file: \
             standard output is the command's and the summary's",
        ),
        (
            "tracer -p 1 --record x --record-size 0",
            "error: invalid value '0' for '--record-size <MIB>': \
             give a number from 1 to 1048576, in MiB",
        ),
        (
            "tracer -p 1 -q -v",
            "error: the argument '--quiet' cannot be used with '--verbose...'",
        ),
    ] {
        assert_eq!(refused(args), expected);
    }
}

#[test]
fn help_tells_of_exit_codes_and_fits_a_terminal() {
    let text = command().render_long_help().to_string();
    for exit in Exit::ALL {
        let begin = exit.meaning().split(',').next().unwrap_or_default();
        assert!(
            text.contains(&format!("  {} {begin}", exit.code())),
            "{text}"
        );
    }
    assert!(!text.contains("--generate"), "{text}");
    let version = parse(["tracer", "--version"]).expect_err("it prints");
    assert_eq!(version.exit_code(), 0);
}

#[test]
fn papers_are_made() {
    use generate::Paper;
    assert_eq!(
        parse(["tracer", "--generate", "man"]).ok(),
        Some(Intent::Generate(Paper::Man))
    );
    for (paper, sign) in [
        (Paper::Man, ".SH \"EXIT STATUS\""),
        (Paper::Man, ".SH \"TRACER RECORD\""),
        (Paper::Bash, "complete -F _tracer"),
        (Paper::Zsh, "#compdef tracer"),
        (Paper::Fish, "complete -c tracer"),
        (Paper::Elvish, "edit:completion:arg-completer[tracer]"),
    ] {
        let mut bytes = Vec::new();
        generate::write(paper, &mut bytes).expect("memory takes all");
        let text = String::from_utf8(bytes).expect("it is text");
        assert!(text.contains(sign), "{text}");
        assert!(
            text.contains("ring-size") || text.contains("ring\\-size"),
            "{text}"
        );
    }
}

#[test]
fn colours_obey_the_terminal_only_if_asked() {
    assert!(Color::Auto.wanted(true, false));
    assert!(!Color::Auto.wanted(true, true));
    assert!(!Color::Auto.wanted(false, false));
    assert!(Color::Always.wanted(false, true));
    assert!(!Color::Never.wanted(true, false));
}
