//! The tracer's word: its JSON, checked against its own schema, and against the kernel.

use std::fmt;

use serde_json::Value;

use super::kernel::{Line, Picture, join};

const SCHEMA: &str = include_str!("../../../../docs/report.schema.json");

/// A report.
pub struct Report(Value);

/// What is said of a process.
pub struct Account(Value);

impl Report {
    pub fn parse(text: &str) -> Self {
        let report = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
        let validator = jsonschema::draft202012::new(&schema).expect("the schema compiles");
        let errors = validator.iter_errors(&report);
        let errors: Vec<String> = errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "against docs/report.schema.json: {errors:#?}"
        );
        Self(report)
    }

    pub fn processes(&self) -> Vec<Account> {
        match self.0.get("processes").and_then(Value::as_array) {
            Some(processes) => processes.iter().cloned().map(Account).collect(),
            None => vec![Account(self.0.clone())],
        }
    }
}

impl Account {
    fn at(&self, pointer: &str) -> &Value {
        self.0
            .pointer(pointer)
            .unwrap_or_else(|| panic!("no {pointer} in {}", self.0))
    }

    /// Whether there is something.
    pub fn has(&self, pointer: &str) -> bool {
        self.0
            .pointer(pointer)
            .is_some_and(|value| !value.is_null())
    }

    pub fn number(&self, pointer: &str) -> u64 {
        number(self.at(pointer))
    }

    pub fn text(&self, pointer: &str) -> &str {
        text(self.at(pointer))
    }

    pub fn is_absent(&self, pointer: &str) -> bool {
        self.0.pointer(pointer).is_none()
    }

    pub fn flag(&self, pointer: &str) -> bool {
        self.at(pointer).as_bool().expect("a flag")
    }

    pub fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().expect("a list")
    }

    pub fn pid(&self) -> u32 {
        u32::try_from(self.number("/target/pid")).expect("a process id")
    }

    /// How its pages were looked at, if they were.
    pub fn method(&self) -> Option<String> {
        let method = self.at("/residency/method").as_str();
        method.map(str::to_owned)
    }

    /// Its id in its own pid namespace, if that is another one.
    pub fn ns_pid(&self) -> Option<u64> {
        self.0.pointer("/target/ns_pid").map(number)
    }

    pub fn verdict(&self) -> &str {
        self.text("/verdict/code")
    }

    /// How often a system call was made.
    pub fn calls(&self, call: &str) -> u64 {
        self.0
            .pointer(&format!("/events/by_call/{call}/calls"))
            .map_or(0, number)
    }

    /// Bytes of an owner in a state.
    pub fn ledger(&self, owner: &str, state: &str) -> u64 {
        let rows = self.list("/ledger").iter();
        let rows = rows.filter(|row| text(&row["owner"]) == owner && text(&row["state"]) == state);
        rows.map(|row| number(&row["bytes"])).sum()
    }

    /// What an owner has in memory, as far as it is known.
    pub fn resident(&self, owner: &str) -> u64 {
        let rows = self.list("/ledger").iter();
        let rows = rows.filter(|row| text(&row["owner"]) == owner);
        rows.filter_map(|row| row["resident"].as_u64()).sum()
    }

    /// Whether a reason is among the findings.
    pub fn finds(&self, reason: &str) -> bool {
        self.finding(reason).is_some()
    }

    /// The finding of a reason, the largest if there are several.
    pub fn finding(&self, reason: &str) -> Option<&Value> {
        let mut findings = self.list("/findings").iter();
        findings.find(|finding| text(&finding["reason"]) == reason)
    }

    /// What an owner mapped since the attach and did not unmap, bytes.
    pub fn net_growth(&self, owner: &str) -> i64 {
        let mut rows = self.list("/growth").iter();
        let row = rows.find(|row| text(&row["owner"]) == owner);
        row.map_or(0, |row| row["net"].as_i64().expect("a number"))
    }

    /// Asserts the verdict: the one that is expected, or one of them ("this or that").
    pub fn expect_verdict(&self, expected: &str) {
        let found = self.verdict();
        let is_expected = expected.split(" or ").any(|one| one == found);
        assert!(is_expected, "the verdict is {found}, not {expected} {self}");
    }

    /// Asserts that the model kept to the kernel throughout.
    pub fn check_trust(&self) {
        let mut faults = Vec::new();
        let mut expect = |what: &str, found: i128, expected: i128| {
            if found != expected {
                faults.push(format!("{what}: {found}, not {expected}"));
            }
        };
        let vm_size = i128::from(self.number("/vm_size/at_end"));
        let ledger = self
            .list("/ledger")
            .iter()
            .map(|row| i128::from(number(&row["bytes"])))
            .sum();
        expect("events lost", self.number("/events/lost").into(), 0);
        expect(
            "mismatches",
            self.number("/reconciliation/mismatches").into(),
            0,
        );
        expect("drift", self.drift().into(), 0);
        expect(
            "VmSize by the kernel",
            self.number("/vm_size/kernel_at_end").into(),
            vm_size,
        );
        expect("sum of the ledger", ledger, vm_size);
        assert!(faults.is_empty(), "{faults:#?} {self}");
    }

    /// Asserts that it tells what the kernel told when the process stood still.
    pub fn check_against(&self, picture: &Picture) {
        self.check_trust();
        let difference = self.differs_from(picture);
        assert!(
            difference.is_none(),
            "{} {self}",
            difference.unwrap_or_default()
        );
    }

    /// How it differs from what the kernel told when the process stood still, if it does.
    pub fn differs_from(&self, picture: &Picture) -> Option<String> {
        let own = self.mappings();
        let only = |these: &[Line], those: &[Line]| -> String {
            let lines = these.iter().filter(|line| !those.contains(line));
            lines.map(|line| format!("\n  {line}")).collect()
        };
        if own != picture.lines {
            return Some(format!(
                "the maps differ\nonly the tracer has:{}\nonly the kernel has:{}",
                only(&own, &picture.lines),
                only(&picture.lines, &own)
            ));
        }
        let vm_size = self.number("/vm_size/at_end");
        (vm_size != picture.vm_size).then(|| format!("VmSize: {vm_size}, not {}", picture.vm_size))
    }

    /// The model's VmSize at the end minus the kernel's.
    pub fn drift(&self) -> i64 {
        let drift = self.at("/reconciliation/drift_bytes");
        drift.as_i64().expect("a number")
    }

    fn mappings(&self) -> Vec<Line> {
        let mappings = self.list("/mappings").iter();
        join(mappings.map(|line| {
            let [start, end] = [&line["start"], &line["end"]].map(address);
            Line::new(start, end, text(&line["perms"]), text(&line["name"]))
        }))
    }
}

/// What one needs to know of an account if something is wrong with it.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for field in [
            "target",
            "verdict",
            "ending",
            "vm_size",
            "events",
            "reconciliation",
        ] {
            write!(f, "\n{field}: {}", self.0[field])?;
        }
        write!(f, "\nresidency: {}", self.0["residency"])?;
        for field in ["ledger", "growth", "findings", "notes"] {
            for item in self.list(&format!("/{field}")) {
                write!(f, "\n{field}: {item}")?;
            }
        }
        match self.0.get("heap") {
            Some(heap) => write!(f, "\nheap: {heap}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number of this kind"))
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

fn address(value: &Value) -> u64 {
    let digits = text(value).strip_prefix("0x").expect("hexadecimal");
    u64::from_str_radix(digits, 16).expect("hexadecimal")
}
