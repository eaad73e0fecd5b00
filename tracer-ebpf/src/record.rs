//! A call that was left, as a record in the ring: one function for each kind.

use aya_ebpf::helpers::generated::{
    bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_probe_read_user, bpf_probe_read_user_str,
};
use tracer_ebpf::{
    CallRecord, Figures, FileRecord, Header, Iovec, NAME_LEN, NamingRecord, PlacingRecord,
    RANGE_RECORDS, RANGES_PER_RECORD, RangesRecord, Target, kind,
};

use crate::{
    emit, file,
    memory::{self, Running},
    opaque::opaque,
    regs::Registers,
};

/// `mmap`'s bit that tells a file with code (`include/uapi/asm-generic/mman-common.h`).
const PROT_EXEC: u64 = 4;

/// Of no address space.
pub const NO_FIGURES: Figures = Figures {
    mm: 0,
    total_vm: 0,
    stack_vm: 0,
    brk: 0,
    start_brk: 0,
    rss_file: 0,
    rss_anon: 0,
    rss_shmem: 0,
    hiwater_rss: 0,
};

/// A call that was left.
pub struct Call {
    /// The thread, and in the upper half its process.
    pub id: u64,
    /// The kind of its record.
    pub kind: u32,
    /// When it was entered.
    pub entered: u64,
    /// [`CallRecord::before`].
    pub before: u64,
    /// Its result.
    pub ret: i64,
    /// The thread, to be asked for more.
    pub task: Running,
    /// Whether it takes part in the sequence lock of [`Target`].
    pub counted: bool,
    /// Whether nothing but this call changed what [`Call::before`] is to be compared with.
    pub sized_alone: bool,
    /// [`CallRecord::stack`].
    pub stack: u64,
    /// What it was made with.
    pub regs: Registers,
}

/// Arguments and result say all.
#[inline(always)]
pub fn write_call(call: &Call, target: Option<*mut Target>) {
    let counts = Counts::of(target);
    if let Some(mut entry) = emit::reserve::<CallRecord>(call.regs.nr as u32) {
        // SAFETY: the entry is ours until it is submitted, and every field is written.
        unsafe { fill(entry.as_mut_ptr(), call, &counts) };
        emit::submit(entry, false);
    }
}

/// Who called matters. `context`: whether it returned one behind its second argument.
#[inline(always)]
pub fn write_placing(call: &Call, context: bool, target: Option<*mut Target>) {
    let counts = Counts::of(target);
    if let Some(mut entry) = emit::reserve::<PlacingRecord>(call.regs.nr as u32) {
        let record = entry.as_mut_ptr();
        // SAFETY: as above.
        unsafe {
            fill_placing(record, call, &counts);
            if context {
                (*record).call.context = memory::read_user_u64(call.regs.args[1]);
            }
        }
        emit::submit(entry, false);
    }
}

/// Which file it is matters too.
#[inline(always)]
pub fn write_file(call: &Call, target: Option<*mut Target>) {
    let counts = Counts::of(target);
    if let Some(mut entry) = emit::reserve::<FileRecord>(call.regs.nr as u32) {
        let record = entry.as_mut_ptr();
        // SAFETY: as above; parts beyond `count` stay as they were and are never looked at.
        unsafe {
            fill_placing(&raw mut (*record).placing, call, &counts);
            (*record).placing.call.header.kind = kind::FILE;
            file::describe(call.regs.args[4], record);
        }
        // What brings code says whose calls come from there: to be read at once.
        emit::submit(entry, call.regs.args[2] & PROT_EXEC != 0);
    }
}

/// With the name that was given.
#[inline(always)]
pub fn write_naming(call: &Call) {
    if let Some(mut entry) = emit::reserve::<NamingRecord>(call.regs.nr as u32) {
        let record = entry.as_mut_ptr();
        // SAFETY: as above; the name is zeroed first because the helper leaves what lies
        // behind the string as it was.
        unsafe {
            fill(&raw mut (*record).call, call, &Counts::of(None));
            (*record).name = [0; NAME_LEN];
            bpf_probe_read_user_str(
                (&raw mut (*record).name).cast(),
                NAME_LEN as u32,
                call.regs.args[4] as *const _,
            );
        }
        emit::submit(entry, false);
    }
}

/// With its vector of ranges, in as many records as that takes.
#[inline(always)]
pub fn write_ranges(call: &Call) {
    for index in 0..RANGE_RECORDS {
        let first = (index * RANGES_PER_RECORD) as u64;
        let left = call.regs.args[2].saturating_sub(first);
        if left == 0 && index > 0 {
            return;
        }
        let Some(mut entry) = emit::reserve::<RangesRecord>(call.regs.nr as u32) else {
            return;
        };
        let record = entry.as_mut_ptr();
        let vector = call.regs.args[1] + first * size_of::<Iovec>() as u64;
        let count = left.min(RANGES_PER_RECORD as u64) as u32;
        // SAFETY: as above; the helper zeroes what it cannot read.
        unsafe {
            fill_call(&raw mut (*record).call, call);
            (*record).call.header.quiet = 0;
            // Nothing is read of the kernel in here: the verifier follows each turn by itself.
            (*record).call.header.figures = NO_FIGURES;
            (*record).first = first as u32;
            (*record).count = count;
            bpf_probe_read_user(
                (&raw mut (*record).ranges).cast(),
                // No more than there is: the vector may end where its mapping does.
                count * size_of::<Iovec>() as u32,
                vector as *const _,
            );
        }
        emit::submit(entry, false);
    }
}

/// Fills every field of the record.
///
/// # Safety
/// `record` must be valid for writes.
#[inline(always)]
unsafe fn fill_placing(record: *mut PlacingRecord, call: &Call, counts: &Counts) {
    // SAFETY: by this function's contract.
    unsafe {
        fill(&raw mut (*record).call, call, counts);
        (*record).ip = call.regs.ip;
        memory::user_stack(call.regs.sp, &raw mut (*record).stack);
    }
}

/// Fills every field of the record.
///
/// # Safety
/// `record` must be valid for writes.
#[inline(always)]
unsafe fn fill(record: *mut CallRecord, call: &Call, counts: &Counts) {
    // SAFETY: by this function's contract.
    unsafe {
        let header = &raw mut (*record).header;
        // The time before the counts: a call that is not counted yet is entered after it.
        fill_call(record, call);
        call.task.figures(&raw mut (*header).figures);
        let alone = call.counted && call.sized_alone && counts.still_are_of_one_call();
        (*header).quiet = u64::from(alone);
    }
}

/// Fills the record but for `quiet` and the figures.
///
/// # Safety
/// `record` must be valid for writes.
#[inline(always)]
unsafe fn fill_call(record: *mut CallRecord, call: &Call) {
    // SAFETY: by this function's contract.
    unsafe {
        (*record).nr = call.regs.nr;
        (*record).ret = call.ret;
        (*record).args = call.regs.args;
        (*record).before = call.before;
        (*record).context = 0;
        (*record).stack = call.stack;
        fill_header(&raw mut (*record).header, call.id, call.kind, call.entered);
    }
}

/// Fills the header but for `quiet` and the figures.
///
/// # Safety
/// `header` must be valid for writes.
#[inline(always)]
pub unsafe fn fill_header(header: *mut Header, id: u64, record: u32, entered: u64) {
    // Taken apart here and not before: either half would be kept on the stack until then, of which
    // Linux 5.10 has little.
    let id = opaque(id as usize) as u64;
    // SAFETY: by this function's contract; the helpers take nothing and cannot fail.
    unsafe {
        (*header).kind = record;
        (*header).cpu = bpf_get_smp_processor_id();
        (*header).tgid = (id >> 32) as u32;
        (*header).tid = id as u32;
        (*header).entered = entered;
        (*header).exited = bpf_ktime_get_ns();
    }
}

/// The calls of a process that were entered and left before its record got its place in the ring.
struct Counts {
    target: Option<*mut Target>,
    entered: u64,
    exited: u64,
}

impl Counts {
    /// Those of now; of no process there are none.
    #[inline(always)]
    fn of(target: Option<*mut Target>) -> Self {
        let (entered, exited) = Self::read(target);
        Self {
            target,
            entered,
            exited,
        }
    }

    /// Whether one call is under way, and none was entered or left since: then what is in the
    /// record is the work of that call and of those whose records are before its own.
    #[inline(always)]
    fn still_are_of_one_call(&self) -> bool {
        self.entered == self.exited.wrapping_add(1)
            && Self::read(self.target) == (self.entered, self.exited)
    }

    #[inline(always)]
    fn read(target: Option<*mut Target>) -> (u64, u64) {
        match target {
            // SAFETY: the value lives as long as the program runs; volatile because other
            // processors write it.
            Some(target) => unsafe {
                (
                    core::ptr::read_volatile(&raw const (*target).entered),
                    core::ptr::read_volatile(&raw const (*target).exited),
                )
            },
            None => (0, 0),
        }
    }
}
