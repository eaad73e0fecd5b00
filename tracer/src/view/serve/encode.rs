//! Families and samples in, an exposition out: Prometheus' text format 0.0.4 or OpenMetrics 1.0.

use std::fmt::Write as _;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Exposition {
    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What rises and falls.
    Gauge,
    /// What only rises; its samples end with `_total`.
    Counter,
    /// 1, with what is to be told in labels; its samples end with `_info`.
    Info,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name, as samples have it.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it tells, in a sentence.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

impl Family {
    /// What OpenMetrics calls it: without the ending that its kind gives its samples.
    fn base(&self) -> &'static str {
        let end = match self.kind {
            Kind::Gauge => "",
            Kind::Counter => "_total",
            Kind::Info => "_info",
        };
        self.name.strip_suffix(end).unwrap_or(self.name)
    }

    /// Its unit, which its name ends with.
    fn unit(&self) -> Option<&'static str> {
        let units = ["bytes", "seconds"];
        units.into_iter().find(|unit| {
            self.base()
                .strip_suffix(unit)
                .is_some_and(|rest| rest.ends_with('_'))
        })
    }
}

/// A value. Whole numbers keep all their digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(i128),
    /// Another.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value.into())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// Writes an exposition, family by family.
pub struct Writer {
    text: String,
    exposition: Exposition,
    /// The family that is being written.
    current: Option<&'static str>,
}

impl Writer {
    pub const fn new(exposition: Exposition) -> Self {
        Self {
            text: String::new(),
            exposition,
            current: None,
        }
    }

    /// Writes a sample, with the values of its family's labels. Samples of a family follow each
    /// other.
    pub fn sample(&mut self, family: &Family, labels: &[&str], value: impl Into<Value>) {
        debug_assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
        if self.current != Some(family.name) {
            self.current = Some(family.name);
            self.head(family);
        }
        self.text.push_str(family.name);
        for (at, (name, value)) in family.labels.iter().zip(labels).enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, true, &mut self.text);
            self.text.push('"');
        }
        if !family.labels.is_empty() {
            self.text.push('}');
        }
        // Writing to text cannot fail.
        let _ = match value.into() {
            Value::Whole(value) => writeln!(self.text, " {value}"),
            Value::Real(value) if value.is_nan() => writeln!(self.text, " NaN"),
            Value::Real(value) => writeln!(self.text, " {value}"),
        };
    }

    fn head(&mut self, family: &Family) {
        let (name, kind) = match (self.exposition, family.kind) {
            (Exposition::Text, Kind::Gauge | Kind::Info) => (family.name, "gauge"),
            (Exposition::Text, Kind::Counter) => (family.name, "counter"),
            (Exposition::OpenMetrics, Kind::Gauge) => (family.base(), "gauge"),
            (Exposition::OpenMetrics, Kind::Counter) => (family.base(), "counter"),
            (Exposition::OpenMetrics, Kind::Info) => (family.base(), "info"),
        };
        let _ = write!(self.text, "# HELP {name} ");
        // Only OpenMetrics has quotes escaped here.
        escape(
            family.help,
            self.exposition == Exposition::OpenMetrics,
            &mut self.text,
        );
        let _ = writeln!(self.text, "\n# TYPE {name} {kind}");
        if self.exposition == Exposition::OpenMetrics
            && family.kind != Kind::Info
            && let Some(unit) = family.unit()
        {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }

    /// The exposition.
    pub fn end(mut self) -> String {
        if self.exposition == Exposition::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            _ => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: Family = Family {
        name: "x_asked_bytes_total",
        kind: Kind::Counter,
        help: "Bytes that \"calls\" asked for.",
        labels: &["what"],
    };
    const ABOUT: Family = Family {
        name: "x_build_info",
        kind: Kind::Info,
        help: "This build.",
        labels: &["version"],
    };

    fn write(exposition: Exposition) -> String {
        let mut writer = Writer::new(exposition);
        writer.sample(&BYTES, &["a\"b\\c\nd"], u64::MAX);
        writer.sample(&BYTES, &["e"], 0.5);
        writer.sample(&ABOUT, &["1"], 1_u64);
        writer.end()
    }

    #[test]
    fn text_is_as_prometheus_has_it() {
        assert_eq!(
            write(Exposition::Text),
            "# HELP x_asked_bytes_total Bytes that \"calls\" asked for.\n\
             # TYPE x_asked_bytes_total counter\n\
             x_asked_bytes_total{what=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n\
             x_asked_bytes_total{what=\"e\"} 0.5\n\
             # HELP x_build_info This build.\n\
             # TYPE x_build_info gauge\n\
             x_build_info{version=\"1\"} 1\n"
        );
    }

    #[test]
    fn openmetrics_has_units_and_an_end() {
        assert_eq!(
            write(Exposition::OpenMetrics),
            "# HELP x_asked_bytes Bytes that \\\"calls\\\" asked for.\n\
             # TYPE x_asked_bytes counter\n\
             # UNIT x_asked_bytes bytes\n\
             x_asked_bytes_total{what=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n\
             x_asked_bytes_total{what=\"e\"} 0.5\n\
             # HELP x_build This build.\n\
             # TYPE x_build info\n\
             x_build_info{version=\"1\"} 1\n\
             # EOF\n"
        );
    }
}
