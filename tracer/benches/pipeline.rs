//! What an event costs in user space, stage by stage. Each iteration handles a thousand.

mod program;

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use program::{PAGE, Program, ROUND};
use tracer::{
    event::{Event, decode::decode},
    space::{Space, piece::Provenance},
    track::{Accepted, Tracked},
    units::PageSize,
};

const SIZE: PageSize = PageSize(PAGE);

fn events(program: &mut Program) -> Vec<Event> {
    let records = program.round();
    let decoded = records.iter().map(|record| decode(record.bytes(), SIZE));
    decoded.map(|event| event.expect("a good record")).collect()
}

fn bytes(program: &mut Program) -> Vec<u8> {
    let records = program.round();
    let mut bytes = Vec::new();
    for record in &records {
        let record = record.bytes();
        bytes.extend((record.len() as u64).to_ne_bytes());
        bytes.extend(record);
    }
    bytes
}

/// Each record in turn, as the ring hands them out.
fn each(mut ring: &[u8], mut take: impl FnMut(&[u8])) {
    while let Some((len, rest)) = ring.split_first_chunk::<8>() {
        let (record, rest) =
            rest.split_at(usize::try_from(u64::from_ne_bytes(*len)).expect("small"));
        take(record);
        ring = rest;
    }
}

fn tracked() -> Tracked {
    let mut tracked = Tracked::unread(SIZE, Provenance::PreExisting);
    assert_eq!(tracked.offer(&Program::reading(), true), Accepted::Exact);
    tracked
}

fn stages(criterion: &mut Criterion) {
    let mut time = |name: &str, work: &mut dyn FnMut(&mut criterion::Bencher<'_>)| {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(ROUND as u64));
        group.bench_function("thousand", |bencher| work(bencher));
        group.finish();
    };
    let mut program = Program::new(1);
    let ring = bytes(&mut program);
    time("decode", &mut |bencher| {
        bencher.iter(|| each(&ring, |record| drop(black_box(decode(record, SIZE)))));
    });

    let mut space = read_space();
    let mut program = Program::new(1);
    time("apply", &mut |bencher| {
        bencher.iter_batched(
            || events(&mut program),
            |events| {
                events.iter().for_each(|event| {
                    black_box(space.apply(event));
                });
                events
            },
            BatchSize::SmallInput,
        );
    });

    let (mut model, mut program) = (tracked(), Program::new(1));
    time("track", &mut |bencher| {
        bencher.iter_batched(
            || events(&mut program),
            |events| events.into_iter().for_each(|event| model.take(event)),
            BatchSize::SmallInput,
        );
    });
    check(&model);

    for (name, threads) in [("capture to ledger", 1), ("storm of threads", 4)] {
        let (mut model, mut program) = (tracked(), Program::new(threads));
        time(name, &mut |bencher| {
            bencher.iter_batched(
                || bytes(&mut program),
                |ring| {
                    each(&ring, |record| {
                        model.take(decode(record, SIZE).expect("a good record"))
                    });
                    ring
                },
                BatchSize::SmallInput,
            );
        });
        check(&model);
    }
}

/// What was timed was the work it was meant to be.
fn check(model: &Tracked) {
    assert!(
        !model.wants_reading(),
        "the model was doubted: {:?}",
        model.reconciler()
    );
    assert_eq!(model.reconciler().sums().mismatches, 0);
}

fn read_space() -> Space {
    tracked().space().clone()
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = stages
}
criterion_main!(benches);
