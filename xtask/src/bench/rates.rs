//! How many events a second arrive without loss, and what happens above.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Bench;
use super::attached::Attached;
use super::pacer::{PAIR, Pacer};
use super::section::{Section, Table};
use super::spread::grouped;
use super::variant::How;

const TRACER: How = How::Tracer(&["--capture", "tracepoints"]);
/// Pairs a second that two threads make together.
const RATES: [u32; 7] = [25_000, 50_000, 100_000, 150_000, 200_000, 300_000, 400_000];
/// Threads that make them as fast as they can.
const THREADS: [usize; 4] = [1, 2, 4, 8];
const SECONDS: f64 = 3.0;

/// What one load came to.
struct Load {
    made_per_second: f64,
    received: u64,
    lost: u64,
    processor: f64,
}

/// Rising rates, then threads without a pause.
pub fn measure(bench: &Bench) -> Result<Section> {
    let mut section = Section::new("rates", "Events a second");
    section.about.push(
        "Threads map and unmap, at a rate or as fast as they can, while the tracer follows with \
         its usual ring of 8 MiB. All of them share the processors of the machine with it. Each \
         load lasts about three seconds."
            .into(),
    );
    let columns = [
        "load",
        "calls made, 1/s",
        "events received",
        "lost",
        "lost, %",
        "tracer, % of a processor",
    ];
    let mut table = Table::new("", &columns);
    let mut best: f64 = 0.0;
    let mut is_lossless = true;
    let paced = RATES.iter().map(|rate| (2, Some(rate / 2)));
    let flat = THREADS.iter().map(|threads| (*threads, None));
    for (threads, rate) in paced.chain(flat) {
        if bench.is_over() {
            section
                .remarks
                .push("the time was over before the last loads".into());
            break;
        }
        let load = one(bench, threads, rate)?;
        let all = load.received + load.lost;
        is_lossless &= load.lost == 0;
        if is_lossless && rate.is_some() {
            best = best.max(load.made_per_second);
        }
        let name = match rate {
            Some(rate) => format!(
                "{threads} threads, {} pairs/s asked",
                grouped(u64::from(rate) * 2)
            ),
            None => format!("{threads} threads, as fast as they can"),
        };
        table.row([
            name,
            grouped(load.made_per_second as u64),
            grouped(load.received),
            grouped(load.lost),
            format!("{:.2}", 100.0 * load.lost as f64 / all.max(1) as f64),
            format!("{:.0}", 100.0 * load.processor),
        ]);
        if bench.quick {
            break;
        }
    }
    section.figures.insert("lossless rate".into(), best);
    section.tables.push(table);
    section.remarks.push(
        "What is lost is counted by call and processor, every map is read anew after it, and the \
         report says when it was not observed."
            .into(),
    );
    Ok(section)
}

fn one(bench: &Bench, threads: usize, rate: Option<u32>) -> Result<Load> {
    let mut pacer = Pacer::start(bench, threads, 0)?;
    let seconds = if bench.quick { 0.2 } else { SECONDS };
    let per_thread = match rate {
        Some(rate) => (f64::from(rate) * seconds) as u32,
        None => pacer.count_for(PAIR, seconds)?,
    };
    let attached = Attached::start(bench, TRACER, pacer.pid())?;
    let (begun, processor) = (Instant::now(), attached.processor());
    let each = match rate {
        Some(rate) => pacer.time_at(PAIR, per_thread, rate)?,
        None => pacer.time(PAIR, per_thread)?,
    };
    let took = begun.elapsed().as_secs_f64();
    let processor = (attached.processor() - processor) / took.max(0.01);
    sleep(Duration::from_millis(200));
    let delivered = attached.stop(|_| {})?;
    Ok(Load {
        made_per_second: 2.0 * threads as f64 * 1e9 / each,
        received: delivered.received,
        lost: delivered.lost,
        processor,
    })
}
