//! Process ids that are not what they seem: of other namespaces, of the dead.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::harness::{Running, Target, Tracer, command, installed, skip, tracer_program, wait_for};

/// A command in a pid namespace of its own, as in a container.
fn contained(program: &str) -> Option<Command> {
    let Some(unshare) = installed("unshare") else {
        skip("no unshare");
        return None;
    };
    let mut contained = command(unshare);
    contained.args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"]);
    contained.arg(program);
    let works = command("unshare")
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", "true"])
        .stdin(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        skip("no pid namespace can be made here");
        return None;
    }
    Some(contained)
}

fn only_child(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.trim().parse().ok()
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_process_in_a_container_is_shown_with_both_its_ids() {
    let Some(mut command) = contained("sh") else {
        return;
    };
    let target = Target::start(command.args(["-c", "echo ready; exec cat"]));
    target.lines.find_text("ready");
    let inner = wait_for("the contained process", || only_child(target.pid()));
    let tracer = Tracer::attach(&[inner, target.pid()]);
    let ended = tracer.interrupt();
    assert_eq!(ended.account_of(inner).ns_pid(), Some(1));
    let outer = ended.account_of(target.pid());
    assert_eq!(outer.ns_pid(), None, "its id is the same everywhere");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_container_from_its_beginning() {
    let Some(contained) = contained("sleep") else {
        return;
    };
    let words: Vec<_> = std::iter::once(contained.get_program())
        .chain(contained.get_args())
        .chain(["0.5".as_ref()])
        .collect();
    let ended = Tracer::launch(&words, &[]).finish();
    let accounts = ended.accounts();
    let inside = accounts.iter().find(|account| account.ns_pid().is_some());
    let account = inside.expect("the contained one");
    assert_eq!(account.ns_pid(), Some(1));
    assert_eq!(account.text("/target/comm"), "sleep");
}

/// It would observe whoever has these ids on the host.
#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn the_tracer_itself_refuses_to_run_in_a_container() {
    let tracer = tracer_program();
    let Some(mut command) = contained(&tracer.to_string_lossy()) else {
        return;
    };
    command.args(["--pid", "1"]);
    let ended = Tracer::run(command).finish();
    let said = ended.failed_with(5);
    assert!(
        said.contains("pid namespace") && said.contains("--pid=host"),
        "{said}"
    );
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_process_that_has_ended_and_was_not_waited_for() {
    let child = Running::start(command("true").stdin(Stdio::null()));
    let pid = child.pid();
    wait_for("the child to be a zombie", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.starts_with('Z').then_some(())
    });
    let ended = Tracer::report(&["--pid", &pid.to_string()], &[]).finish();
    let said = ended.failed_with(4);
    assert!(
        said.contains(&format!("process {pid} has ended: it is a zombie")),
        "{said}"
    );
}
