//! The workload's own account: JSON Lines in, steps out.

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::amount::Bytes;

/// What the workload did, and its size after that by its own reading.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// Counted from zero.
    pub step: u64,
    /// `start`, `alloc`, `free`, `end`.
    pub action: String,
    /// How much was allocated or freed.
    pub bytes: Option<u64>,
    vm_size_kb: Option<u64>,
    vm_rss_kb: Option<u64>,
}

impl Step {
    /// VmSize after the step.
    pub fn vm_size(&self) -> Option<Bytes> {
        self.vm_size_kb.map(Bytes::from_kib)
    }

    /// VmRSS after the step.
    pub fn rss(&self) -> Option<Bytes> {
        self.vm_rss_kb.map(Bytes::from_kib)
    }

    /// The step in C's words.
    pub fn label(&self) -> String {
        let verb = match self.action.as_str() {
            "alloc" => "malloc",
            other => other,
        };
        match self.bytes {
            Some(bytes) if bytes > 0 => format!("{verb} {}", Bytes(bytes).short()),
            _ => verb.to_owned(),
        }
    }
}

/// Every line that is a step; other lines are not the workload's.
pub fn parse(text: &str) -> Result<Vec<Step>> {
    let steps: Vec<Step> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    ensure!(
        !steps.is_empty(),
        "the workload printed no step: run it by hand with `seed --format json`"
    );
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_among_other_lines() {
        let text = "note\n{\"step\":1,\"action\":\"alloc\",\"bytes\":134217728,\"blocks\":1,\
            \"address\":\"0x10\",\"vm_size_kb\":134076,\"vm_rss_kb\":null}\n";
        let steps = parse(text).expect("one step");
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0].label(), "malloc 128 MiB");
        assert_eq!(steps[0].vm_size(), Some(Bytes(134_076 * 1024)));
        assert_eq!(steps[0].rss(), None);
        assert!(parse("nothing\n").is_err());
    }
}
