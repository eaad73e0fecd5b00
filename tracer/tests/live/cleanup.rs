//! A tracer that is gone leaves nothing in the kernel, however it went.

use nix::sys::signal::Signal;

use crate::harness::{Target, Tracer, bpf_programs, bpf_programs_of, command, wait_for};

fn leaves_nothing_after(signal: Signal) {
    let mut target = Target::start(&mut command("cat"));
    // Without a file to write: killed, it could not take its draft away.
    let tracer = Tracer::plain(&["--quiet", "--pid", &target.pid().to_string()]);
    tracer.wait_until_observed(&[target.pid()]);
    let held = bpf_programs_of(tracer.pid());
    assert!(held.len() >= 5, "it has programs in the kernel: {held:?}");
    assert!(held.is_subset(&bpf_programs()), "{held:?}");
    tracer.signal(signal);
    let ended = tracer.finish();
    assert_eq!(
        ended.code.is_some(),
        signal != Signal::SIGKILL,
        "{:?}",
        ended.code
    );
    // The kernel frees them a little later.
    wait_for("the programs to go", || {
        held.is_disjoint(&bpf_programs()).then_some(())
    });
    assert!(target.end().success(), "it went on undisturbed");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn after_its_end() {
    leaves_nothing_after(Signal::SIGINT);
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn after_being_killed() {
    leaves_nothing_after(Signal::SIGKILL);
}
