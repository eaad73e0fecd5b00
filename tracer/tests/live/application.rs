//! Memory that a program maps itself, beside what it has from malloc.

use crate::harness::{MIB, Stopped, Target, Tracer, command};

const PROGRAM: &str = r#"
import mmap, os

print("ready", flush=True)
os.read(0, 1)
own = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
own[0] = 1
from_malloc = bytearray(32 << 20)
print("done", flush=True)
os.read(0, 1)
"#;

#[test]
#[ignore = "loads probes into the kernel: needs root"]
fn is_the_applications_own() {
    let mut target = Target::start(command("python3").args(["-c", PROGRAM]));
    target.lines.find_text("ready");
    let tracer = Tracer::attach(&[target.pid()]);
    target.go();
    target.lines.find_text("done");
    let stopped = Stopped::new(target.pid());
    let picture = stopped.picture();
    let account = tracer.interrupt().account();
    drop(stopped);
    account.check_against(&picture);

    let own = account.ledger("application", "live-or-cached");
    assert!((64 * MIB..65 * MIB).contains(&own), "{own} {account}");
    let from_malloc = account.ledger("glibc", "live-or-cached");
    assert!(
        (32 * MIB..64 * MIB).contains(&from_malloc),
        "{from_malloc} {account}"
    );
    account.expect_verdict("not-released");
    assert!(account.finds("grew-by-application-mmap"), "{account}");
}
