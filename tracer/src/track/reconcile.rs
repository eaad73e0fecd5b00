//! The model's VmSize held against the kernel's: figures in, judgements out.
//!
//! Only quiet events are judged: their figures contain this event and all before it, and
//! nothing else. Growth without a call that equals the growth of the kernel's `stack_vm`
//! is the stack's. Another difference is believed at the second quiet event in a row,
//! because a stack may grow between the kernel's two figures being read.

use crate::{
    event::{Event, KernelFigures},
    report::Reconciliation,
    space::effect::Difference,
    units::Bytes,
};

/// How many mismatches, and how many corrections, are kept in words.
const MOST_DETAILS: usize = 8;

/// How many differences of one comparison are.
const MOST_DIFFERENCES: usize = 4;

/// Compares, counts and remembers.
#[derive(Clone, Debug, Default)]
pub struct Reconciler {
    sums: Reconciliation,
    stack: Option<Bytes>,
    /// The figure before `stack`: the kernel counts a growing stack's pages in two steps, so
    /// that an event can have the new figure of the stack and the old VmSize.
    stack_before: Option<Bytes>,
    /// The event after which model and kernel differed first, in words.
    suspect: Option<String>,
    mismatches: Vec<String>,
    /// The last mismatch was one of sizes, and the map was not read since.
    is_mismatched: bool,
    readings: Vec<String>,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Equal to the byte.
    Agrees,
    /// The stack grew by this much, without a call.
    StackGrew(Bytes),
    /// Different; the next comparison decides.
    Suspect,
    /// Different again: the map is to be read anew.
    Differs,
}

impl Reconciler {
    /// The figures that the space begins with.
    pub(super) const fn begin(&mut self, figures: KernelFigures) {
        self.stack = Some(figures.stack);
    }

    /// The map was read: earlier figures are of no use any more. Stacks were as large as the
    /// kernel `said`, or, if they grew before it did, as the map `showed`.
    pub(super) fn restart(&mut self, said: Bytes, showed: Bytes) {
        self.suspect = None;
        self.stack = Some(said);
        self.stack_before = Some(showed);
    }

    pub(super) fn judge(
        &mut self,
        kernel: &KernelFigures,
        model: Bytes,
        event: &Event,
    ) -> Judgement {
        self.sums.checks += 1;
        let before = [self.stack, self.stack_before];
        self.stack_before = self.stack.replace(kernel.stack);
        if kernel.vm_size == model {
            self.suspect = None;
            return Judgement::Agrees;
        }
        let growth = kernel.vm_size - model;
        let is_stack = |before| kernel.stack - before == growth;
        if growth > Bytes(0) && before.into_iter().flatten().any(is_stack) {
            self.suspect = None;
            return Judgement::StackGrew(growth);
        }
        let Some(first) = self.suspect.take() else {
            self.suspect = Some(format!(
                "{} (thread {}, left at {} ns)",
                event.words(),
                event.tid,
                event.exited.0
            ));
            return Judgement::Suspect;
        };
        self.mismatch(format!(
            "VmSize was {} by the model and {} by the kernel from {first} on; seen at {}",
            model.0,
            kernel.vm_size.0,
            event.words()
        ));
        self.is_mismatched = true;
        Judgement::Differs
    }

    /// Whether growth without a call is the stack's, by `VmStk` of a reading. Without an
    /// earlier figure the stack is believed: nothing else grows without a call.
    pub(super) fn stack_grew(&mut self, stack: Bytes, growth: Bytes) -> bool {
        let before = self.stack.replace(stack);
        before.is_none_or(|before| stack - before == growth)
    }

    /// The whole map was compared.
    pub(super) fn verified(&mut self, differences: &[Difference]) {
        self.sums.checks += 1;
        self.sums.full_checks += 1;
        self.suspect = None;
        self.stack = None;
        self.stack_before = None;
        if !differences.is_empty() {
            self.mismatch(format!("whole maps: {}", describe_all(differences)));
            self.sums.resyncs += 1;
        }
    }

    /// The model was taken anew from the kernel. After a mismatch of sizes the differences are what
    /// it was about.
    pub(super) fn healed(&mut self, differences: &[Difference]) {
        self.sums.resyncs += 1;
        if std::mem::take(&mut self.is_mismatched) {
            let found = format!("then {}", describe_all(differences));
            keep(&mut self.mismatches, found);
        } else if let Some(first) = differences.first() {
            let reading = format!("read anew: {}", describe(first));
            keep(&mut self.readings, reading);
        }
    }

    /// Threads raced for the same bytes.
    pub(super) const fn raced(&mut self) {
        self.sums.races += 1;
    }

    /// The sums so far.
    #[must_use]
    pub const fn sums(&self) -> Reconciliation {
        self.sums
    }

    /// The first mismatches, and the first corrections, in words.
    pub fn details(&self) -> impl Iterator<Item = &String> {
        self.mismatches.iter().chain(&self.readings)
    }

    fn mismatch(&mut self, detail: String) {
        self.sums.mismatches += 1;
        keep(&mut self.mismatches, detail);
    }
}

fn keep(details: &mut Vec<String>, detail: String) {
    if details.len() < MOST_DETAILS {
        details.push(detail);
    }
}

fn describe_all(differences: &[Difference]) -> String {
    let shown = differences.iter().take(MOST_DIFFERENCES).map(describe);
    let shown: Vec<_> = shown.collect();
    format!("{} (differences: {})", shown.join("; "), differences.len())
}

fn describe(difference: &Difference) -> String {
    let side = |vma: &Option<crate::space::vma::Vma>| match vma {
        Some(vma) => {
            let sharing = if vma.shared { 's' } else { 'p' };
            format!("{}{sharing} {}", vma.prot, vma.name)
                .trim_end()
                .to_owned()
        }
        None => "nothing".to_owned(),
    };
    format!(
        "at {}-{} the model has {}, the kernel {}",
        difference.span.start,
        difference.span.end,
        side(&difference.model),
        side(&difference.kernel)
    )
}
