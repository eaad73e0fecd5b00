//! What a daemon tells of itself in, its status in JSON out. `docs/serve.md` describes it.

use serde::Serialize;

use super::own::Own;
use crate::{
    audit::{
        counts::Turnover,
        export::Digest,
        row::{Coverage, Sums, Tracing},
    },
    view::json::Schema,
};

#[derive(Serialize)]
struct Status<'a> {
    schema: Schema,
    #[serde(flatten)]
    own: &'a Own,
    totals: &'a Sums,
    coverage: &'a Coverage,
    counting: &'a Option<Turnover>,
    tracing: &'a Option<Tracing>,
    cgroups_unnamed: usize,
}

/// The document and a line end.
#[must_use]
pub fn render(digest: &Digest, own: &Own) -> String {
    let status = Status {
        schema: Schema::STATUS,
        own,
        totals: &digest.totals,
        coverage: &digest.coverage,
        counting: &digest.counting,
        tracing: &digest.tracing,
        cgroups_unnamed: digest.other_groups.2,
    };
    // Text, numbers and lists can always be written.
    let mut document = serde_json::to_string_pretty(&status).unwrap_or_default();
    document.push('\n');
    document
}
