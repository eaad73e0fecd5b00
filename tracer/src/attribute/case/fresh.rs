//! Which parts came since the attach.
//!
//! A call is no proof of that: a child begins with what its parent mapped. But flows count
//! since the attach, so no more of a source can be new than its flow has mapped; of the
//! parts of one source the youngest are taken for the new ones.

use std::collections::HashMap;

use super::Part;
use crate::{
    space::{
        flow::{Flows, Source},
        piece::Provenance,
    },
    units::Bytes,
};

/// Marks them.
pub fn mark(parts: &mut [Part], flows: &Flows) {
    let mut by_source: HashMap<Source, Vec<&mut Part>> = HashMap::new();
    for part in parts {
        let how = part.piece.origin.how;
        if !matches!(how, Provenance::PreExisting | Provenance::Exec) {
            let source = Source::of(&part.piece);
            by_source.entry(source).or_default().push(part);
        }
    }
    for (source, mut parts) in by_source {
        let mapped = flows.get(&source).mapped;
        let mut counted = Bytes(0);
        parts.sort_by_key(|part| std::cmp::Reverse(part.piece.origin.at));
        for part in parts {
            part.fresh = counted < mapped;
            counted += part.span.len();
        }
    }
}
