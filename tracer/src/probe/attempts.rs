//! In which order loading is tried, with less and less, and which part a refusal is blamed on:
//! parts that can be left out in, what was loaded and what it lacks out.

use super::error::ProbeError;

/// What can be left out, as a kernel may refuse the programs that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Loading from the kernel's structures directly; a helper copies them otherwise.
    DirectLoads,
    /// The heap view.
    Heap,
    /// Copying callers' stacks.
    Stacks,
}

/// What one attempt leaves out of what was wanted.
type LeftOut = Vec<Part>;

/// Why a part was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blame {
    /// The part.
    pub part: Part,
    /// How the kernel refused it, with all else that was loaded in the end.
    pub refusal: String,
}

impl Blame {
    /// What is to be said of it, if it costs more than time.
    pub fn note(&self) -> Option<String> {
        let Self { part, refusal } = self;
        match part {
            Part::DirectLoads => None,
            Part::Heap => Some(format!(
                "this kernel refuses the programs of the heap view, so that there is none \
                 ({refusal})"
            )),
            Part::Stacks => Some(format!(
                "this kernel refuses the programs that copy callers' stacks, so that callers are \
                 told from the top words of the stack only ({refusal})"
            )),
        }
    }
}

/// Loads as much of what is wanted as the kernel accepts; earlier parts are given up first.
///
/// # Errors
/// The kernel refuses even the least, or permits nothing.
pub(super) fn load<T>(
    wanted: &[Part],
    mut load: impl FnMut(&[Part]) -> Result<T, ProbeError>,
) -> Result<(T, Vec<Blame>), ProbeError> {
    let mut refusals: Vec<(LeftOut, String)> = Vec::new();
    for left_out in attempts(wanted) {
        match load(&left_out) {
            Ok(loaded) => return Ok((loaded, blame(&left_out, &refusals))),
            Err(ProbeError::Unsupported(refusal)) => refusals.push((left_out, refusal)),
            Err(other) => return Err(other),
        }
    }
    // Of the attempt that left out most: nothing else can be to blame for it.
    let (_, refusal) = refusals.pop().unwrap_or_default();
    Err(ProbeError::Unsupported(refusal))
}

/// What each attempt leaves out: nothing, then each part, then two of them, and so on.
fn attempts(wanted: &[Part]) -> Vec<LeftOut> {
    let mut attempts = vec![LeftOut::new()];
    for part in wanted {
        let further: Vec<LeftOut> = attempts
            .iter()
            .map(|left_out| left_out.iter().chain([part]).copied().collect())
            .collect();
        attempts.extend(further);
    }
    attempts.sort_by_key(Vec::len);
    attempts
}

/// A part is to blame for how the attempt was refused that left out the same but this part.
/// There was one: attempts that leave out less come first.
fn blame(left_out: &LeftOut, refusals: &[(LeftOut, String)]) -> Vec<Blame> {
    let blame = |part: &Part| {
        let others = left_out.iter().filter(|other| *other != part);
        let with_it = refusals.iter().find(|(tried, _)| others.clone().eq(tried));
        with_it.map(|(_, refusal)| Blame {
            part: *part,
            refusal: refusal.clone(),
        })
    };
    left_out.iter().filter_map(blame).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        Part::{DirectLoads, Heap, Stacks},
        *,
    };

    const ALL: [Part; 3] = [DirectLoads, Heap, Stacks];

    /// What is left out on a kernel that refuses attempts which have all of `refused` at once,
    /// and how many attempts that takes.
    fn on_a_kernel(wanted: &[Part], refused: &[&[Part]]) -> (Result<Vec<Blame>, String>, usize) {
        let mut attempts = 0;
        let loaded = load(wanted, |left_out| {
            attempts += 1;
            let has = |part: &Part| wanted.contains(part) && !left_out.contains(part);
            match refused.iter().find(|parts| parts.iter().all(has)) {
                Some(parts) => Err(ProbeError::Unsupported(format!("{parts:?}"))),
                None => Ok(()),
            }
        });
        let blamed = loaded.map(|((), blamed)| blamed);
        (blamed.map_err(|error| error.to_string()), attempts)
    }

    fn blame(part: Part, refusal: &str) -> Blame {
        let refusal = refusal.to_owned();
        Blame { part, refusal }
    }

    #[test]
    fn nothing_is_left_out_of_what_is_accepted() {
        assert_eq!(on_a_kernel(&ALL, &[]), (Ok(vec![]), 1));
        assert_eq!(on_a_kernel(&[], &[]), (Ok(vec![]), 1));
    }

    #[test]
    fn only_what_is_refused_is_left_out() {
        for part in ALL {
            let (blamed, _) = on_a_kernel(&ALL, &[&[part]]);
            assert_eq!(blamed, Ok(vec![blame(part, &format!("[{part:?}]"))]));
        }
        let (blamed, attempts) = on_a_kernel(&[Heap, Stacks], &[&[Heap], &[Stacks]]);
        let both = vec![blame(Heap, "[Heap]"), blame(Stacks, "[Stacks]")];
        assert_eq!((blamed, attempts), (Ok(both), 4));
    }

    #[test]
    fn of_parts_that_are_refused_together_the_earlier_is_given_up() {
        let (blamed, attempts) = on_a_kernel(&ALL, &[&[DirectLoads, Stacks]]);
        let direct = vec![blame(DirectLoads, "[DirectLoads, Stacks]")];
        assert_eq!((blamed, attempts), (Ok(direct), 2));
    }

    #[test]
    fn if_nothing_helps_the_barest_refusal_is_told() {
        let (blamed, attempts) = on_a_kernel(&ALL, &[&[Heap], &[]]);
        assert_eq!((blamed, attempts), (Err("[]".to_owned()), 8));
    }

    #[test]
    fn what_is_not_permitted_is_not_tried_with_less() {
        let mut attempts = 0;
        let refused = load(&ALL, |_| -> Result<(), ProbeError> {
            attempts += 1;
            Err(ProbeError::NotPermitted {
                what: String::new(),
                why: String::new(),
            })
        });
        assert!(matches!(refused, Err(ProbeError::NotPermitted { .. })));
        assert_eq!(attempts, 1);
    }
}
