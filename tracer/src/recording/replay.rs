//! A world that is over: answers questions with what a recording has.
//!
//! Answers are found by question and key. Records of the ring and turns divide them: an
//! answer from before a turn is never given after it. So a session that asks what the
//! recording one asked gets the same in the same order; one that asks more, or a recording
//! that was cut short, gets "not recorded".

use std::{
    collections::{BTreeSet, VecDeque},
    io::Read,
};

use anyhow::{Result, anyhow, bail};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    header::Header,
    item::{Item, Question},
    log::WhyStopped,
    read::{Ending, NoRecording, Reader},
};
use crate::{
    attribute::evidence::{HeapWalk, PageCensus, Resident, Settings},
    cost::OwnCost,
    event::{PidFd, StackSlice},
    heap::{Look, Sums},
    report::Target,
    space::{reading::Reading, vma::Vma},
    units::{Addr, Nanos, PageSize, Pid, Span},
    world::{
        Calls, CodeFile, CodeNews, ElfFacts, Limits, Losses, Memory, Subject, Symbols, Turn,
        Unwound, World,
    },
};

/// Answers kept for questions that may come later, and their bytes.
const MOST_PASSED: usize = 1024;
const MOST_PASSED_BYTES: usize = 16 << 20;
const NOT_RECORDED: &str = "the recording does not tell";

/// A recording as a world.
pub struct Replay<R> {
    reader: Reader<R>,
    header: Header,
    /// Answers passed over while another was looked for.
    passed: VecDeque<Passed>,
    passed_bytes: usize,
    now: Nanos,
    missing: u64,
}

struct Passed {
    question: Question,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<R: Read> Replay<R> {
    /// Begins to read a recording.
    ///
    /// # Errors
    /// It is none, or not one that this build can read.
    pub fn open(source: R) -> Result<Self, NoRecording> {
        let (reader, header) = Reader::open(source)?;
        Ok(Self {
            reader,
            header,
            passed: VecDeque::new(),
            passed_bytes: 0,
            now: Nanos(0),
            missing: 0,
        })
    }

    /// Who recorded whom.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// How the recording ends; reads it to its end.
    pub fn ending(&mut self) -> &Ending {
        self.reader.ending()
    }

    fn ask<A: DeserializeOwned>(&mut self, question: Question, key: &impl Serialize) -> Option<A> {
        let found = self.find(question, key);
        self.missing += u64::from(found.is_none());
        found
    }

    fn ask_result<A: DeserializeOwned>(
        &mut self,
        question: Question,
        key: &impl Serialize,
    ) -> Result<A> {
        match self.ask::<Result<A, String>>(question, key) {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(why)) => Err(anyhow!(why)),
            None => bail!(NOT_RECORDED),
        }
    }

    fn find<A: DeserializeOwned>(&mut self, question: Question, key: &impl Serialize) -> Option<A> {
        let key = serde_json::to_vec(key).ok()?;
        let wanted = |passed: &Passed| passed.question == question && passed.key == key;
        if let Some(at) = self.passed.iter().position(wanted) {
            let passed = self.passed.remove(at)?;
            self.passed_bytes -= passed.key.len() + passed.value.len();
            return serde_json::from_slice(&passed.value).ok();
        }
        while let Some(Item::Answer(_) | Item::Unknown) = self.reader.peek() {
            let Some(Item::Answer(answer)) = self.reader.next() else {
                continue;
            };
            if answer.question == question && answer.key == key {
                return serde_json::from_slice(answer.value).ok();
            }
            let passed = Passed {
                question: answer.question,
                key: answer.key.to_vec(),
                value: answer.value.to_vec(),
            };
            self.passed_bytes += passed.key.len() + passed.value.len();
            self.passed.push_back(passed);
            while (self.passed.len() > MOST_PASSED || self.passed_bytes > MOST_PASSED_BYTES)
                && let Some(oldest) = self.passed.pop_front()
            {
                self.passed_bytes -= oldest.key.len() + oldest.value.len();
            }
        }
        None
    }

    /// What was not asked for by now is not asked for any more.
    fn forget_answers(&mut self) {
        self.passed.clear();
        self.passed_bytes = 0;
        while let Some(Item::Answer(_) | Item::Unknown) = self.reader.peek() {
            self.reader.next();
        }
    }
}

impl<R: Read> World for Replay<R> {
    fn subject(&self) -> Subject {
        self.header.subject()
    }

    fn page_size(&self) -> PageSize {
        self.header.page()
    }

    fn limits(&self) -> Limits {
        self.header.limits
    }

    fn notes(&self) -> Vec<String> {
        self.header.notes.clone()
    }

    fn details(&self) -> Vec<String> {
        self.header.details.clone()
    }

    /// Whoever listens: the recording goes on to its end.
    fn wait(&mut self, _listening: bool) -> Turn {
        loop {
            self.forget_answers();
            match self.reader.peek() {
                Some(Item::Turn(turn)) => {
                    self.reader.next();
                    return turn;
                }
                // The session that recorded took these in an earlier turn.
                Some(Item::Record(_)) => return Turn::Wake,
                Some(Item::Drained | Item::Answer(_) | Item::Unknown) => {
                    self.reader.next();
                }
                None => return Turn::End,
            }
        }
    }

    fn drain(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut drained = 0;
        loop {
            self.forget_answers();
            match self.reader.peek() {
                Some(Item::Record(record)) if drained < most => {
                    take(record);
                    drained += 1;
                    self.reader.next();
                }
                Some(Item::Drained) => {
                    self.reader.next();
                    return drained;
                }
                _ => return drained,
            }
        }
    }

    fn closing_notes(&mut self) -> Vec<String> {
        match self.reader.ending() {
            Ending::Whole if self.missing == 0 => Vec::new(),
            Ending::Whole => vec![format!(
                "{} questions were not asked by tracer {}, which made the recording: their \
                 answers are missing",
                self.missing, self.header.tracer
            )],
            Ending::Stopped(WhyStopped::Limit(limit)) => vec![format!(
                "the recording reached its limit of {limit} and ends before the run it is of"
            )],
            Ending::Stopped(WhyStopped::Failed(why)) => vec![format!(
                "the recording could not be written further ({why}) and ends before the run it \
                 is of"
            )],
            Ending::Damaged(damage) => {
                vec![format!("{damage}: this report is of what comes before")]
            }
        }
    }

    fn now(&mut self) -> Nanos {
        // Time stands still where none is recorded.
        self.now = self.ask(Question::Now, &()).unwrap_or(self.now);
        self.now
    }

    fn check_observable(&mut self, pid: Pid) -> Result<()> {
        self.ask_result(Question::CheckObservable, &pid)
    }

    fn add_target(&mut self, pid: Pid) -> Result<()> {
        self.ask_result(Question::AddTarget, &pid)
    }

    fn remove_target(&mut self, _pid: Pid) {}

    fn calls(&mut self, pid: Pid) -> Result<Calls> {
        self.ask_result(Question::Calls, &pid)
    }

    fn losses(&mut self) -> Result<Losses> {
        self.ask_result(Question::Losses, &())
    }

    /// Older recordings have none: that is nothing to tell of.
    fn own_cost(&mut self) -> Option<OwnCost> {
        self.find(Question::OwnCost, &()).flatten()
    }

    fn cpu_used(&mut self) -> Option<u64> {
        self.ask(Question::CpuUsed, &()).flatten()
    }

    fn words(&mut self) -> Vec<String> {
        self.ask(Question::Words, &()).unwrap_or_default()
    }

    fn hold(&mut self) -> Result<Pid> {
        self.ask_result(Question::Hold, &())
    }

    fn load(&mut self) -> Result<()> {
        self.ask_result(Question::Load, &())
    }

    fn resume(&mut self) -> Result<()> {
        self.ask_result(Question::Resume, &())
    }

    fn target(&mut self, pid: Pid) -> Target {
        let unknown = Target {
            pid,
            ..Target::default()
        };
        self.ask(Question::Target, &pid).unwrap_or(unknown)
    }

    fn settings(&mut self, pid: Pid) -> Settings {
        self.ask(Question::Settings, &pid).unwrap_or_default()
    }

    fn memory(&mut self, pid: Pid) -> Result<Memory> {
        self.ask_result(Question::Memory, &pid)
    }

    fn reading(&mut self, pid: Pid) -> Result<Reading> {
        self.ask_result(Question::Reading, &pid)
    }

    fn maps(&mut self, pid: Pid) -> Result<Vec<Vma>> {
        self.ask_result(Question::Maps, &pid)
    }

    fn residency(&mut self, pid: Pid) -> Result<Vec<Resident>> {
        self.ask_result(Question::Residency, &pid)
    }

    fn pages(&mut self, pid: Pid, _spans: &[Span]) -> Result<PageCensus> {
        self.ask_result(Question::Pages, &pid)
    }

    fn heap_walk(&mut self, pid: Pid, heap: Span) -> Option<HeapWalk> {
        self.ask(Question::HeapWalk, &(pid, heap)).flatten()
    }

    fn is_alive(&mut self, pid: Pid) -> bool {
        // Its end, if there was one, is in the records too.
        self.ask(Question::IsAlive, &pid).unwrap_or(true)
    }

    fn is_32_bit(&mut self, pid: Pid) -> bool {
        self.ask(Question::Is32Bit, &pid).unwrap_or(false)
    }

    fn pid_of_pidfd(&mut self, holder: Pid, fd: PidFd) -> Option<Pid> {
        self.ask(Question::PidOfPidFd, &(holder, fd.0)).flatten()
    }

    fn code(&mut self, _pid: Pid, _news: CodeNews) {}

    fn unwind(&mut self, stack: &StackSlice) -> Unwound {
        let key = (stack.pid, stack.key);
        self.ask(Question::Unwind, &key).unwrap_or_default()
    }

    fn symbols(&mut self, pid: Pid, file: &CodeFile, _offsets: &[u64]) -> Result<Symbols, String> {
        self.ask(Question::Symbols, &(pid, file))
            .unwrap_or_else(|| Err(NOT_RECORDED.to_owned()))
    }

    fn made_code(&mut self, pid: Pid, _addresses: &[Addr]) -> Vec<(Addr, String)> {
        self.ask(Question::MadeCode, &pid).unwrap_or_default()
    }

    fn object_file(
        &mut self,
        pid: Pid,
        path: &str,
        inode: u64,
        _offsets: &BTreeSet<u64>,
    ) -> Result<ElfFacts, String> {
        self.ask(Question::ObjectFile, &(pid, path, inode))
            .unwrap_or_else(|| Err(NOT_RECORDED.to_owned()))
    }

    fn heap_look(&mut self, pid: Pid) -> Option<Look> {
        // Without the heap view nothing of it is recorded.
        self.find(Question::HeapLook, &pid)?
    }

    fn heap_executed(&mut self, _pid: Pid) {}

    fn heap_sums(&mut self, pid: Pid, spans: &[Span]) -> Option<Sums> {
        let sums: Sums = self.find::<Option<Sums>>(Question::HeapSums, &pid)??;
        // One of another session's model would be of other ranges.
        (sums.spans.len() == spans.len()).then_some(sums)
    }
}
