//! Mappings over mappings: what moves VmSize, and what does not.

use crate::{
    attribute::{
        explanation::{Explanation, GrowthRow, VerdictCode},
        testing::*,
    },
    event::Syscall,
    units::{Addr, Bytes, Span},
};

const SCUDO: &[At] = &[
    (LIBC, "mmap64"),
    (PROGRAM, "_ZN5scudo3mapEPvmPKcmPNS_15MapPlatformDataE"),
];
const BEGIN: Addr = Addr(0x7c00_0000_0000);

fn row<'e>(explanation: &'e Explanation, owner: &str) -> Option<&'e GrowthRow> {
    explanation.growth.iter().find(|row| row.owner.0 == owner)
}

fn moved(explanation: &Explanation, owner: &str) -> (Bytes, Bytes) {
    let row = row(explanation, owner);
    row.map_or((Bytes(0), Bytes(0)), |row| (row.mapped, row.unmapped))
}

#[test]
fn what_an_owner_maps_over_its_reservation_is_neither_growth_nor_release() {
    let mut world = World::dynamic(&[]);
    world.mmap_at(SCUDO, BEGIN, GIB, NONE, NORESERVE);
    world.mmap_at(SCUDO, BEGIN, 64 * MIB, RW, FIXED);
    world.mmap_at(SCUDO, BEGIN, 32 * MIB, NONE, FIXED);
    let large = world.mmap(SCUDO, 900 * MIB, RW, PLAIN);
    world.munmap(large, 900 * MIB);
    world.munmap(BEGIN, GIB);
    let explanation = world.explain();
    let whole = Bytes(GIB + 900 * MIB);
    assert_eq!(moved(&explanation, "scudo"), (whole, whole));
    let calls = &row(&explanation, "scudo").expect("it moved").calls;
    assert_eq!(calls.as_slice(), [(Syscall::Mmap, 4, whole)]);
    let verdict = &explanation.verdict;
    assert_eq!(verdict.code, VerdictCode::Shrank);
    let told = format!("Scudo returned {whole} of what it had mapped");
    assert!(verdict.summary.contains(&told), "{}", verdict.summary);
}

#[test]
fn an_older_reservation_of_nobody_known_is_that_of_who_maps_over_it() {
    let old = vma(Span::new(BEGIN, GIB), "---p", "");
    let mut world = World::with(&[PROGRAM, LIBC], &[old]);
    world.mmap_at(SCUDO, BEGIN, 64 * MIB, RW, FIXED);
    let explanation = world.explain();
    assert_eq!(moved(&explanation, "scudo"), (Bytes(0), Bytes(0)));
    assert_eq!(moved(&explanation, "unknown"), (Bytes(0), Bytes(0)));
    assert_eq!(owned(&explanation, "scudo"), Bytes(64 * MIB));
}

#[test]
fn what_takes_the_place_of_another_owners_memory_counts_for_both() {
    let mut world = World::dynamic(&[]);
    world.mmap_at(SCUDO, BEGIN, GIB, NONE, NORESERVE);
    world.mmap_at(OWN, BEGIN, 64 * MIB, RW, FIXED);
    let explanation = world.explain();
    let taken = Bytes(64 * MIB);
    assert_eq!(moved(&explanation, "scudo"), (Bytes(GIB), taken));
    assert_eq!(moved(&explanation, "application"), (taken, Bytes(0)));
}
