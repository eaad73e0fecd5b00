//! Call sites: the code addresses found on top of a caller's stack, each list kept once.
//!
//! Which of them are return addresses, and of which function, only the files can tell.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{
    code::Code,
    piece::{FileId, SiteId},
};
use crate::{event::StackTop, units::Addr};

/// A code address as a place in a file, so that it outlives the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeAddress {
    /// The object.
    pub file: FileId,
    /// Offset in it, bytes.
    pub offset: u64,
}

/// All call sites of one address space; at most [`Sites::LIMIT`], then "unknown".
#[derive(Clone, Debug, Default)]
pub struct Sites {
    lists: Vec<Arc<[CodeAddress]>>,
    ids: FxHashMap<Arc<[CodeAddress]>, SiteId>,
    last: Option<Last>,
}

/// The last stack looked at: the next one is often the same.
#[derive(Clone, Debug)]
struct Last {
    top: StackTop,
    code_version: u64,
    site: SiteId,
}

impl Sites {
    /// How many call sites are kept apart.
    pub const LIMIT: usize = 4096;
    /// How many code addresses of one call site are kept, innermost first.
    pub const DEPTH: usize = 6;

    /// The addresses of a site; empty for [`SiteId`] 0.
    #[must_use]
    pub fn get(&self, id: SiteId) -> &[CodeAddress] {
        (id.0 as usize)
            .checked_sub(1)
            .and_then(|index| self.lists.get(index))
            .map_or(&[], |list| list)
    }

    /// All of them, in the order of their ids, beginning with the empty one of id 0.
    pub fn iter(&self) -> impl Iterator<Item = &[CodeAddress]> {
        std::iter::once::<&[CodeAddress]>(&[]).chain(self.lists.iter().map(|list| &**list))
    }

    /// The site of a caller: the address behind the system call where it lies in a file,
    /// then every word of the stack that points into one's code.
    pub(super) fn site(&mut self, top: &StackTop, code: &Code) -> SiteId {
        if let Some(last) = &self.last
            && last.code_version == code.version()
            && last.top == *top
        {
            return last.site;
        }
        let addresses: SmallVec<[CodeAddress; Self::DEPTH]> = std::iter::once(top.ip)
            .chain(top.words.iter().copied().map(Addr))
            .filter_map(|addr| code.find(addr))
            .take(Self::DEPTH)
            .collect();
        let site = self.intern(&addresses);
        self.last = Some(Last {
            top: top.clone(),
            code_version: code.version(),
            site,
        });
        site
    }

    fn intern(&mut self, addresses: &[CodeAddress]) -> SiteId {
        if addresses.is_empty() {
            return SiteId::default();
        }
        if let Some(&id) = self.ids.get(addresses) {
            return id;
        }
        if self.lists.len() >= Self::LIMIT {
            return SiteId::default();
        }
        let list: Arc<[CodeAddress]> = addresses.into();
        self.lists.push(Arc::clone(&list));
        let id = SiteId(u32::try_from(self.lists.len()).unwrap_or_default());
        self.ids.insert(list, id);
        id
    }
}
