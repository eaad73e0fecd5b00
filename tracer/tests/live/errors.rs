//! What cannot be done is said in a line and by an exit code, and nothing is left behind.

use std::fs;

use crate::harness::{Folder, Target, Tracer, command, installed, skip, tracer_program};

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_process_that_is_not_there() {
    // Process ids end one below.
    let ended = Tracer::report(&["--pid", "4194304"], &[]).finish();
    let said = ended.failed_with(4);
    assert!(said.contains("there is no process 4194304"), "{said}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_command_that_is_not_there() {
    let ended = Tracer::launch(&["no-such-command-here"], &[("PATH", "/usr/bin:/bin")]).finish();
    let said = ended.failed_with(4);
    assert!(
        said.contains("there is no command `no-such-command-here`"),
        "{said}"
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_process_and_a_command() {
    let ended = Tracer::plain(&["--pid", "1", "--", "true"]).finish();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("two things to trace"),
        "{}",
        ended.stderr
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn an_output_that_cannot_be_written_is_said_before_anything_runs() {
    let folder = Folder::new();
    let output = folder.join("no-such-folder/report.json");
    let marker = folder.join("marker");
    let words = [
        "--output".as_ref(),
        output.as_os_str(),
        "--".as_ref(),
        "touch".as_ref(),
    ];
    let words: Vec<_> = words.into_iter().chain([marker.as_os_str()]).collect();
    let ended = Tracer::plain(&words).finish();
    let said = ended.failed_with(1);
    assert!(said.contains(&*output.to_string_lossy()), "{said}");
    assert!(
        folder.names().is_empty(),
        "nothing ran, nothing was left: {:?}",
        folder.names()
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_user_without_rights() {
    let Some(setpriv) = installed("setpriv") else {
        skip("no setpriv");
        return;
    };
    // A copy, because that user may not get to the original.
    let folder = Folder::new();
    let program = fs::read(tracer_program()).expect("it is readable");
    let program = folder.executable("tracer", &program);
    let output = Folder::new();
    let mut command = command(setpriv);
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command
        .args(["--bounding-set", "-all", "--inh-caps", "-all", "--"])
        .arg(program);
    command.arg("--output").arg(output.join("report.json"));
    command.args(["--pid", &std::process::id().to_string()]);
    let ended = Tracer::run(command).finish();
    let said = ended.failed_with(3);
    assert!(said.contains("cap_bpf") && said.contains("sudo"), "{said}");
    assert!(
        output.names().is_empty(),
        "left behind: {:?}",
        output.names()
    );
}

#[test]
#[cfg(target_arch = "x86_64")]
#[ignore = "loads probes into the kernel: needs root"]
fn programs_of_32_bits() {
    let folder = Folder::new();
    let program = folder.executable("small", &small_program());
    let runs = command(&program)
        .stdin(std::process::Stdio::null())
        .status();
    if !runs.is_ok_and(|status| status.success()) {
        skip("this kernel runs no 32-bit programs");
        return;
    }
    let mut target = Target::start(&mut command(&program));
    let ended = Tracer::report(&["--pid", &target.pid().to_string()], &[]).finish();
    let said = ended.failed_with(4);
    assert!(said.contains("32-bit"), "{said}");
    assert!(target.end().success(), "it went on undisturbed");

    let ended = Tracer::launch(&[&program], &[]).finish();
    let said = ended.failed_with(4);
    assert!(said.contains("32-bit"), "{said}");
}

/// An i386 program that reads its input once and ends.
#[cfg(target_arch = "x86_64")]
fn small_program() -> Vec<u8> {
    const ADDRESS: u32 = 0x0804_8000;
    const HEADERS: u16 = 52 + 32;
    #[rustfmt::skip]
    const CODE: [u8; 20] = [
        0x31, 0xdb,             // xor %ebx, %ebx
        0x6a, 0x01, 0x5a,       // push $1; pop %edx
        0x89, 0xe1,             // mov %esp, %ecx
        0x6a, 0x03, 0x58,       // push $3; pop %eax
        0xcd, 0x80,             // read(0, stack, 1)
        0x31, 0xdb,             // xor %ebx, %ebx
        0x6a, 0x01, 0x58,       // push $1; pop %eax
        0xcd, 0x80,             // exit(0)
        0xf4,                   // hlt
    ];
    let length = u32::from(HEADERS) + CODE.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    // Executable, for i386.
    half(&mut file, 2);
    half(&mut file, 3);
    // Version, entry, program headers, no section headers, no flags.
    for value in [1, ADDRESS + u32::from(HEADERS), 52, 0, 0] {
        word(&mut file, value);
    }
    // Sizes: this header, a program header and how many, section headers.
    for value in [52, 32, 1, 0, 0, 0] {
        half(&mut file, value);
    }
    // Load all of the file, readable and executable.
    for value in [1, 0, ADDRESS, ADDRESS, length, length, 5, 4096] {
        word(&mut file, value);
    }
    file.extend(CODE);
    file
}
