//! Writes down what a session learns of a world while it learns it.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;
use zerocopy::IntoBytes as _;

use super::{
    header::Header,
    item::{Answer, Item, Question},
    log::{Kept, Limit, Log, Store, WhyStopped},
};
use crate::{
    attribute::evidence::{HeapWalk, PageCensus, Resident, Settings},
    cost::OwnCost,
    event::{PidFd, StackSlice, stack},
    heap::{Look, Sums},
    report::Target,
    space::{reading::Reading, vma::Vma},
    units::{Addr, Nanos, PageSize, Pid, Span},
    world::{
        Calls, CodeFile, CodeNews, ElfFacts, Limits, Losses, Memory, Subject, Symbols, Turn,
        Unwound, World,
    },
};

/// Turns after which what waits is written, so that little is lost if the tracer is killed.
const TURNS_PER_FLUSH: u32 = 5;
/// Bytes that are written at the next turn.
const WORTH_A_FLUSH: usize = 2048;
/// Ticks until object files are asked about the first time, and between two times at most.
/// The time between doubles: symbol tables can be large.
const FIRST_CHECKPOINT: u32 = 10;
const LONGEST_CHECKPOINT: u32 = 3000;

/// A world whose answers are written down.
pub struct Recorder<W, S> {
    world: W,
    log: Log<S>,
    unflushed: u32,
    /// Ticks until the next checkpoint, and how many there were before.
    checkpoint: (u32, u32),
}

impl<W: World, S: Store> Recorder<W, S> {
    /// Begins a recording of `world`; what `store` has is overwritten. `kernel` and `boot_id`
    /// are the running kernel's.
    pub fn begin(world: W, store: S, limit: Limit, kernel: String, boot_id: String) -> Self {
        let header = Header::of(&world, kernel, boot_id);
        Self {
            world,
            log: Log::begin(store, limit, &header),
            unflushed: 0,
            checkpoint: (FIRST_CHECKPOINT, FIRST_CHECKPOINT),
        }
    }

    /// Ends the recording; gives back the world.
    pub fn end(self) -> (W, Kept) {
        (self.world, self.log.end())
    }

    fn note<A: Serialize>(&mut self, question: Question, key: &impl Serialize, answer: &A) {
        if self.log.stopped().is_some() {
            return;
        }
        // Plain data with text as keys: becomes JSON always.
        let (Ok(key), Ok(value)) = (serde_json::to_vec(key), serde_json::to_vec(answer)) else {
            return;
        };
        self.log.put(Item::Answer(Answer {
            question,
            key: &key,
            value: &value,
        }));
    }

    fn note_result<A: Serialize>(
        &mut self,
        question: Question,
        key: &impl Serialize,
        answer: &Result<A>,
    ) {
        let plain = answer.as_ref().map_err(|error| format!("{error:#}"));
        self.note(question, key, &plain);
    }

    fn count_tick(&mut self) -> bool {
        let (left, before) = self.checkpoint;
        self.checkpoint = match left.saturating_sub(1) {
            0 => {
                let next = (before * 2).min(LONGEST_CHECKPOINT);
                (next, next)
            }
            left => (left, before),
        };
        left <= 1
    }
}

impl<W: World, S: Store> World for Recorder<W, S> {
    fn subject(&self) -> Subject {
        self.world.subject()
    }

    fn page_size(&self) -> PageSize {
        self.world.page_size()
    }

    fn limits(&self) -> Limits {
        self.world.limits()
    }

    fn notes(&self) -> Vec<String> {
        self.world.notes()
    }

    fn details(&self) -> Vec<String> {
        self.world.details()
    }

    fn wait(&mut self, listening: bool) -> Turn {
        self.unflushed += 1;
        if self.unflushed >= TURNS_PER_FLUSH || self.log.waiting() >= WORTH_A_FLUSH {
            self.unflushed = 0;
            self.log.flush();
        }
        let mut turn = self.world.wait(listening);
        if let Turn::Tick { .. } = turn
            && self.log.stopped().is_none()
        {
            let checkpoint = self.count_tick();
            turn = Turn::Tick { checkpoint };
        }
        self.log.put(Item::Turn(turn));
        turn
    }

    fn drain(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let log = &mut self.log;
        let drained = self.world.drain(most, |record| {
            // What was found on a stack is an answer of the world; the stack itself is not kept.
            match stack::without_content(record) {
                // And it is no event.
                Some(bare) => log.put(Item::Record(bare.as_bytes())),
                None => log.record(record),
            }
            take(record);
        });
        self.log.put(Item::Drained);
        drained
    }

    fn closing_notes(&mut self) -> Vec<String> {
        let mut notes = self.world.closing_notes();
        // Now, so that what fails is known before the report is written.
        self.log.flush();
        notes.extend(self.log.stopped().map(|why| match why {
            WhyStopped::Limit(limit) => {
                format!("the recording reached its limit of {limit}: what came later is not in it")
            }
            WhyStopped::Failed(why) => {
                format!("the recording could not be written: {why}; what came later is not in it")
            }
        }));
        notes
    }

    fn now(&mut self) -> Nanos {
        let answer = self.world.now();
        self.note(Question::Now, &(), &answer);
        answer
    }

    fn check_observable(&mut self, pid: Pid) -> Result<()> {
        let answer = self.world.check_observable(pid);
        self.note_result(Question::CheckObservable, &pid, &answer);
        answer
    }

    fn add_target(&mut self, pid: Pid) -> Result<()> {
        let answer = self.world.add_target(pid);
        self.note_result(Question::AddTarget, &pid, &answer);
        answer
    }

    fn remove_target(&mut self, pid: Pid) {
        self.world.remove_target(pid);
    }

    fn calls(&mut self, pid: Pid) -> Result<Calls> {
        let answer = self.world.calls(pid);
        self.note_result(Question::Calls, &pid, &answer);
        answer
    }

    fn losses(&mut self) -> Result<Losses> {
        let answer = self.world.losses();
        self.note_result(Question::Losses, &(), &answer);
        answer
    }

    fn own_cost(&mut self) -> Option<OwnCost> {
        let answer = self.world.own_cost();
        self.note(Question::OwnCost, &(), &answer);
        answer
    }

    fn cpu_used(&mut self) -> Option<u64> {
        let answer = self.world.cpu_used();
        self.note(Question::CpuUsed, &(), &answer);
        answer
    }

    fn words(&mut self) -> Vec<String> {
        let answer = self.world.words();
        self.note(Question::Words, &(), &answer);
        answer
    }

    fn hold(&mut self) -> Result<Pid> {
        let answer = self.world.hold();
        self.note_result(Question::Hold, &(), &answer);
        answer
    }

    fn load(&mut self) -> Result<()> {
        let answer = self.world.load();
        self.note_result(Question::Load, &(), &answer);
        answer
    }

    fn resume(&mut self) -> Result<()> {
        let answer = self.world.resume();
        self.note_result(Question::Resume, &(), &answer);
        answer
    }

    fn target(&mut self, pid: Pid) -> Target {
        let answer = self.world.target(pid);
        self.note(Question::Target, &pid, &answer);
        answer
    }

    fn settings(&mut self, pid: Pid) -> Settings {
        let answer = self.world.settings(pid);
        self.note(Question::Settings, &pid, &answer);
        answer
    }

    fn memory(&mut self, pid: Pid) -> Result<Memory> {
        let answer = self.world.memory(pid);
        self.note_result(Question::Memory, &pid, &answer);
        answer
    }

    fn reading(&mut self, pid: Pid) -> Result<Reading> {
        let answer = self.world.reading(pid);
        self.note_result(Question::Reading, &pid, &answer);
        answer
    }

    fn maps(&mut self, pid: Pid) -> Result<Vec<Vma>> {
        let answer = self.world.maps(pid);
        self.note_result(Question::Maps, &pid, &answer);
        answer
    }

    fn residency(&mut self, pid: Pid) -> Result<Vec<Resident>> {
        let answer = self.world.residency(pid);
        self.note_result(Question::Residency, &pid, &answer);
        answer
    }

    fn pages(&mut self, pid: Pid, spans: &[Span]) -> Result<PageCensus> {
        let answer = self.world.pages(pid, spans);
        // The answer names its ranges; a process is asked about once.
        self.note_result(Question::Pages, &pid, &answer);
        answer
    }

    fn heap_walk(&mut self, pid: Pid, heap: Span) -> Option<HeapWalk> {
        let answer = self.world.heap_walk(pid, heap);
        self.note(Question::HeapWalk, &(pid, heap), &answer);
        answer
    }

    fn is_alive(&mut self, pid: Pid) -> bool {
        let answer = self.world.is_alive(pid);
        self.note(Question::IsAlive, &pid, &answer);
        answer
    }

    fn is_32_bit(&mut self, pid: Pid) -> bool {
        let answer = self.world.is_32_bit(pid);
        self.note(Question::Is32Bit, &pid, &answer);
        answer
    }

    fn pid_of_pidfd(&mut self, holder: Pid, fd: PidFd) -> Option<Pid> {
        let answer = self.world.pid_of_pidfd(holder, fd);
        self.note(Question::PidOfPidFd, &(holder, fd.0), &answer);
        answer
    }

    fn code(&mut self, pid: Pid, news: CodeNews) {
        self.world.code(pid, news);
    }

    fn unwind(&mut self, stack: &StackSlice) -> Unwound {
        let answer = self.world.unwind(stack);
        self.note(Question::Unwind, &(stack.pid, stack.key), &answer);
        answer
    }

    fn symbols(&mut self, pid: Pid, file: &CodeFile, offsets: &[u64]) -> Result<Symbols, String> {
        let answer = self.world.symbols(pid, file, offsets);
        self.note(Question::Symbols, &(pid, file), &answer);
        answer
    }

    fn made_code(&mut self, pid: Pid, addresses: &[Addr]) -> Vec<(Addr, String)> {
        let answer = self.world.made_code(pid, addresses);
        self.note(Question::MadeCode, &pid, &answer);
        answer
    }

    fn object_file(
        &mut self,
        pid: Pid,
        path: &str,
        inode: u64,
        offsets: &BTreeSet<u64>,
    ) -> Result<ElfFacts, String> {
        let answer = self.world.object_file(pid, path, inode, offsets);
        self.note(Question::ObjectFile, &(pid, path, inode), &answer);
        answer
    }

    fn heap_look(&mut self, pid: Pid) -> Option<Look> {
        let answer = self.world.heap_look(pid);
        if answer.is_some() {
            self.note(Question::HeapLook, &pid, &answer);
        }
        answer
    }

    fn heap_executed(&mut self, pid: Pid) {
        self.world.heap_executed(pid);
    }

    fn heap_sums(&mut self, pid: Pid, spans: &[Span]) -> Option<Sums> {
        let answer = self.world.heap_sums(pid, spans);
        if answer.is_some() {
            self.note(Question::HeapSums, &pid, &answer);
        }
        answer
    }
}
