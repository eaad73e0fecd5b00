//! Call sites: unwound stacks, or else the code addresses found on top of a caller's stack, each
//! kept once.
//!
//! Which of the latter are return addresses, and of which function, only the files can tell.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{
    code::Code,
    piece::{FileId, SiteId},
};
use crate::{
    event::{Call, StackTop},
    units::{Addr, StackId},
};

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
    lists: Vec<Site>,
    ids: FxHashMap<Site, SiteId>,
    last: Option<Last>,
}

/// What is known of a call site: one of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Site {
    path: StackId,
    addresses: Arc<[CodeAddress]>,
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

    /// The addresses of a site; empty for [`SiteId`] 0, and for one whose stack was unwound.
    #[must_use]
    pub fn get(&self, id: SiteId) -> &[CodeAddress] {
        self.find(id).map_or(&[], |site| &site.addresses)
    }

    /// The unwound stack of a site; [`StackId`] 0 if there is none.
    #[must_use]
    pub fn path(&self, id: SiteId) -> StackId {
        self.find(id).map_or(StackId(0), |site| site.path)
    }

    fn find(&self, id: SiteId) -> Option<&Site> {
        self.lists.get((id.0 as usize).checked_sub(1)?)
    }

    /// All of them, in the order of their ids, beginning with the empty one of id 0: the
    /// unwound stack, or else the addresses.
    pub fn iter(&self) -> impl Iterator<Item = (StackId, &[CodeAddress])> {
        let unknown = std::iter::once::<(StackId, &[CodeAddress])>((StackId(0), &[]));
        unknown.chain(self.lists.iter().map(|site| (site.path, &*site.addresses)))
    }

    /// The site of a call.
    pub(super) fn of(&mut self, call: &Call, code: &Code) -> SiteId {
        if call.path != StackId(0) {
            return self.intern(call.path, &[]);
        }
        match &call.callers {
            Some(top) => self.site(top, code),
            None => SiteId::default(),
        }
    }

    /// The site of a caller: the address behind the system call where it lies in a file,
    /// then every word of the stack that points into one's code.
    fn site(&mut self, top: &StackTop, code: &Code) -> SiteId {
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
        let site = self.intern(StackId(0), &addresses);
        self.last = Some(Last {
            top: top.clone(),
            code_version: code.version(),
            site,
        });
        site
    }

    fn intern(&mut self, path: StackId, addresses: &[CodeAddress]) -> SiteId {
        if path == StackId(0) && addresses.is_empty() {
            return SiteId::default();
        }
        let site = Site {
            path,
            addresses: addresses.into(),
        };
        if let Some(&id) = self.ids.get(&site) {
            return id;
        }
        if self.lists.len() >= Self::LIMIT {
            return SiteId::default();
        }
        self.lists.push(site.clone());
        let id = SiteId(u32::try_from(self.lists.len()).unwrap_or_default());
        self.ids.insert(site, id);
        id
    }
}
