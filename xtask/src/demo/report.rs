//! The tracer's report, version 1, as far as the comparison shows it: JSON in, plain data out.
//!
//! Any number may be null, and any part may be missing: both are "unknown", never an error.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The document's name and version.
const SCHEMA: (&str, u64) = ("tracer.report", 1);

#[derive(Deserialize)]
struct Document {
    schema: Schema,
    #[serde(default)]
    processes: Vec<Process>,
    #[serde(flatten)]
    only: Process,
}

#[derive(Deserialize)]
struct Schema {
    name: String,
    version: u64,
}

/// What the tracer says about one process.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Who.
    #[serde(deserialize_with = "or_default")]
    pub target: Target,
    /// VmSize by the tracer's model and by the kernel.
    #[serde(deserialize_with = "or_default")]
    pub vm_size: Size,
    /// Resident memory.
    #[serde(deserialize_with = "or_default")]
    pub rss: Size,
    /// What the probes sent.
    #[serde(deserialize_with = "or_default")]
    pub events: Events,
    /// How the model compared with the kernel's own map.
    #[serde(deserialize_with = "or_default")]
    pub reconciliation: Reconciliation,
    /// Who holds the address space, and in what state.
    #[serde(deserialize_with = "or_default")]
    pub ledger: Vec<LedgerRow>,
    /// Why it is held.
    #[serde(deserialize_with = "or_default")]
    pub findings: Vec<Finding>,
    /// The answer.
    #[serde(deserialize_with = "or_default")]
    pub verdict: Verdict,
}

/// Who was observed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The kernel's short name of the program.
    #[serde(deserialize_with = "or_default")]
    pub comm: String,
}

/// A size at three moments, in bytes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Size {
    /// When observation began.
    pub at_attach: Option<u64>,
    /// At its highest.
    pub peak: Option<u64>,
    /// When observation ended.
    pub at_end: Option<u64>,
    /// The kernel's own figure then.
    pub kernel_at_end: Option<u64>,
}

/// What the probes sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Events {
    /// How many arrived.
    pub received: Option<u64>,
    /// How many did not.
    pub lost: Option<u64>,
    /// Counts by system call.
    #[serde(deserialize_with = "or_default")]
    pub by_call: BTreeMap<String, Call>,
}

/// The calls of one kind.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Call {
    /// How many, failed ones included.
    pub calls: Option<u64>,
    /// How many the kernel refused.
    pub failed: Option<u64>,
    /// Bytes of those that succeeded.
    pub bytes: Option<u64>,
}

/// How the model compared with the kernel's own map.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reconciliation {
    /// Comparisons made.
    pub checks: Option<u64>,
    /// Comparisons that differed.
    pub mismatches: Option<u64>,
    /// Times the model was taken anew from the kernel.
    pub resyncs: Option<u64>,
    /// Model minus kernel at the end.
    pub drift_bytes: Option<i64>,
}

/// Bytes with one owner in one state.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LedgerRow {
    /// Who holds them.
    #[serde(deserialize_with = "or_default")]
    pub owner: String,
    /// What became of them.
    #[serde(deserialize_with = "or_default")]
    pub state: String,
    /// How many.
    pub bytes: Option<u64>,
}

/// One reason, with what speaks for it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// The reason's identifier.
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
    /// How many bytes it explains.
    pub bytes: Option<u64>,
    /// How sure the tracer is.
    #[serde(deserialize_with = "or_default")]
    pub confidence: String,
    /// The reason in words.
    #[serde(deserialize_with = "or_default")]
    pub summary: String,
    /// What speaks for it.
    #[serde(deserialize_with = "or_default")]
    pub evidence: Vec<String>,
    /// What would change it.
    #[serde(deserialize_with = "or_default")]
    pub remedy: String,
}

/// The answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// In words.
    #[serde(deserialize_with = "or_default")]
    pub summary: String,
}

/// The workload's process, or the only one there is.
pub fn parse(json: &str) -> Result<Process> {
    let document: Document = serde_json::from_str(json)?;
    let schema = &document.schema;
    ensure!(
        (schema.name.as_str(), schema.version) == SCHEMA,
        "it is {} version {} and not {} version {}: build the tracer anew",
        schema.name,
        schema.version,
        SCHEMA.0,
        SCHEMA.1
    );
    let mut processes = document.processes.into_iter();
    let Some(first) = processes.next() else {
        return Ok(document.only);
    };
    let is_workload = |process: &Process| process.target.comm == "workload";
    if is_workload(&first) {
        return Ok(first);
    }
    Ok(processes.find(is_workload).unwrap_or(first))
}

/// Null is as good as missing.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + serde::de::DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    if value.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_gaps_are_unknown() {
        let json = r#"{"schema":{"name":"tracer.report","version":1},
            "vm_size":{"peak":null},"rss":null,"events":{"by_call":null},"more":[1]}"#;
        let process = parse(json).expect("tolerated");
        assert_eq!(process.vm_size.peak, None);
        assert_eq!(process.events.received, None);
        assert!(process.findings.is_empty());
    }

    #[test]
    fn of_several_processes_the_workload_is_taken() {
        let json = r#"{"schema":{"name":"tracer.report","version":1},"processes":[
            {"target":{"comm":"sh"}},{"target":{"comm":"workload"},"vm_size":{"peak":7}}]}"#;
        assert_eq!(parse(json).expect("well formed").vm_size.peak, Some(7));
    }

    #[test]
    fn another_version_is_refused() {
        let json = r#"{"schema":{"name":"tracer.report","version":2}}"#;
        let error = parse(json).expect_err("unknown version");
        assert!(error.to_string().contains("build the tracer anew"));
    }
}
