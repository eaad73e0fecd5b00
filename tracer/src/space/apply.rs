//! Which change each call makes. Failed calls change nothing but where it says so.

use super::{
    Space, attach,
    effect::{Doubt, Effect},
};
use crate::{
    event::{Call, Errno, Event, EventKind, Request},
    units::{Addr, Bytes, Span},
};

impl Space {
    /// Applies a call event (others change nothing here).
    ///
    /// `madvise` of another process (with a `target`) is that process's to apply.
    pub fn apply(&mut self, event: &Event) -> Effect {
        let EventKind::Call(call) = &event.kind else {
            return Effect::default();
        };
        self.latest = self.latest.max(event.exited);
        let before = self.vm_size();
        let pieces = self.map.len();
        let raced = self.raced(event, call);
        if self.handles_unclaimed(call) {
            self.actor(call);
        }
        let mut effect = match call.outcome {
            Ok(result) => self.succeeded(event, call, result),
            Err(errno) => self.failed(event, call, errno),
        };
        effect.mapped = self.vm_size() - before;
        effect.unmapped = before - self.vm_size();
        if effect.unmapped.0 > 0 || effect.discarded.0 > 0 {
            let site = self.actor(call);
            self.flows.acted(site, effect.unmapped, effect.discarded);
        }
        let more = self.map.len().saturating_sub(pieces);
        if more > 0 && splits(&call.request) {
            let site = self.actor(call);
            self.flows.split(call.syscall, site, more as u64);
        }
        if raced && effect.doubt.is_none() {
            effect.doubt = Some(Doubt::Race);
        }
        // What changes until the next call is nobody's doing.
        self.actor = None;
        effect
    }

    /// Whether a call may take, give back or protect memory that was there before and that nobody
    /// handled so far. One that maps asks for its actor by itself, before it takes the place of
    /// anything.
    fn handles_unclaimed(&self, call: &Call) -> bool {
        let is_some = |span: Span| {
            let span = self.range(span.start, span.len().0);
            let mut pieces = self.map.overlapping(span);
            pieces.any(|(_, piece)| piece.is_unclaimed())
        };
        match &call.request {
            Request::Unmap(span) | Request::Protect { span, .. } => is_some(*span),
            Request::Remap { old, .. } => is_some(*old),
            Request::Advise { spans, .. } => spans.iter().any(|span| is_some(*span)),
            Request::Brk { .. } => call.outcome.is_ok(),
            _ => false,
        }
    }

    fn succeeded(&mut self, event: &Event, call: &Call, result: u64) -> Effect {
        match &call.request {
            Request::Map { .. } => self.map_memory(event, call, result),
            &Request::Unmap(span) => self.unmap(event, span),
            &Request::Brk { wanted, before } => self.brk(event, call, (wanted, before), result),
            &Request::Remap {
                old,
                new_len,
                flags,
            } => self.remap(event, call, (old, new_len, flags), result),
            &Request::Protect { span, prot } => self.protect(event, span, prot),
            Request::Advise {
                target: None,
                spans,
                advice,
            } => self.advise(event, call, spans, *advice),
            &Request::Attach { flags, grown, .. } => {
                self.attach(event, call, result, (flags, grown))
            }
            &Request::Detach(addr) | &Request::RingDestroy(addr) => self.detach(event, addr),
            &Request::RemapFile { span, offset } => self.remap_file(event, span, offset),
            Request::Name { span, name } => self.name(event, *span, name.as_deref()),
            &Request::Lock { span, lock } => self.lock(event, span, lock),
            &Request::LockAll { flags } => self.lock_all(event, flags),
            &Request::RingSetup { ring, grown } => self.ring_setup(event, call, ring, grown),
            &Request::ShadowStack { len } => self.shadow_stack(event, call, result, len),
            Request::Advise {
                target: Some(_), ..
            }
            | Request::Task => Effect::default(),
        }
    }

    fn failed(&mut self, event: &Event, call: &Call, errno: Errno) -> Effect {
        match &call.request {
            &Request::Protect { span, prot } => self.protect_failed(event, span, prot, errno),
            &Request::Remap {
                old,
                new_len,
                flags,
            } => self.remap_failed(call, (old, new_len, flags)),
            Request::Map { .. } => self.unless_whole(event, self.map_failed(call, errno)),
            &Request::RemapFile { span, .. } => {
                self.unless_whole(event, self.remap_file_failed(span))
            }
            &Request::Attach { flags, .. } if flags & attach::SHM_REMAP != 0 => {
                let span = self.range(Addr(call.args[1]), 1);
                let effect = Effect {
                    doubt: Some(Doubt::PartialFailure(span)),
                    ..Effect::default()
                };
                self.unless_whole(event, effect)
            }
            // `madvise_walk_vmas` goes on behind a hole and tells of it at the end.
            Request::Advise {
                target: None,
                spans,
                advice,
            } if errno == Errno::ENOMEM => Effect {
                doubt: None,
                ..self.advise(event, call, spans, *advice)
            },
            // Without `CONFIG_ANON_VMA_NAME` every naming fails with EINVAL; the name
            // tells as much. ENOMEM is a hole, as with `madvise`.
            Request::Name { span, name } if [Errno::EINVAL, Errno::ENOMEM].contains(&errno) => {
                Effect {
                    doubt: None,
                    ..self.name(event, *span, name.as_deref())
                }
            }
            _ => Effect::default(),
        }
    }

    /// The effect of a call that failed and may have unmapped a range before that. If no other
    /// call was under way, VmSize tells whether it has.
    fn unless_whole(&self, event: &Event, effect: Effect) -> Effect {
        let figures = event.kernel.filter(|_| event.quiet);
        match figures {
            Some(figures) if figures.vm_size == self.vm_size() => Effect::default(),
            _ => effect,
        }
    }
}

/// Whether a request that makes more pieces makes more mappings of those there are: others add
/// one, or tell pieces apart that are one mapping to the kernel.
const fn splits(request: &Request) -> bool {
    matches!(
        request,
        Request::Protect { .. } | Request::Unmap(_) | Request::Name { .. } | Request::Lock { .. }
    )
}

/// The effect of a call that succeeded, hence on bytes that are all mapped: if `covered` of
/// them are known, the rest is the model's lack.
pub(super) fn effect_on(span: Span, covered: Bytes) -> Effect {
    Effect {
        concerned: span.len(),
        doubt: (covered < span.len()).then_some(Doubt::UnknownRange(span)),
        ..Effect::default()
    }
}
