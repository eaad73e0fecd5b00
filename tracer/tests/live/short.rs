//! Programs that end before anybody could read their map: what is told of them rests on events
//! alone.

use crate::harness::{Account, Folder, Tracer};

fn observe(words: &[&str]) -> Account {
    let mut tracer = Tracer::launch(words, &[]);
    tracer.close_stdin();
    let account = tracer.finish().account();
    account.check_trust();
    assert_eq!(account.text("/ending"), "exited", "{account}");
    let names: Vec<_> = account
        .list("/mappings")
        .iter()
        .map(|line| &line["name"])
        .collect();
    let has_libc = names
        .iter()
        .any(|name| name.to_string().contains("/libc.so.6"));
    assert!(
        has_libc,
        "the C library's name came with its mapping: {names:?}"
    );
    account
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn a_program_that_does_nothing() {
    let account = observe(&["true"]);
    // Files: itself and the C library.
    account.expect_verdict("not-released");
    assert!(account.calls("mmap") > 0, "{account}");
}

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn the_seed_without_a_pause() {
    let folder = Folder::new();
    let program = crate::seed::compile(&folder);
    let account = observe(&[&program.to_string_lossy()]);
    account.expect_verdict("shrank");
    assert!(account.calls("munmap") >= 8, "{account}");
}
