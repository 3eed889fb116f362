//! A node's metrics, read from Prometheus' text.

use std::collections::BTreeMap;

/// The names of the metrics that netsim reads; a test looks each up in the node's list.
pub(crate) mod name {
    /// Blocks taken, by `source`.
    pub(crate) const BLOCKS_IMPORTED: &str = "lyceum_blocks_imported_total";
    /// How often the chain was reorganised.
    pub(crate) const REORGANISATIONS: &str = "lyceum_reorganisations_total";
    /// Pending transactions.
    pub(crate) const MEMPOOL: &str = "lyceum_mempool_transactions";
    /// Sealed segments.
    pub(crate) const SEGMENTS: &str = "lyceum_segments_sealed";
    /// Bytes over BitTorrent, by `direction`.
    pub(crate) const TORRENT_BYTES: &str = "lyceum_torrent_bytes_total";
    /// Ages of blocks when gossip brings them, a histogram.
    pub(crate) const PROPAGATION: &str = "lyceum_block_propagation_seconds";
}

/// What a node counts at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Metrics(BTreeMap<String, Vec<Sample>>);

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Reads Prometheus' text format; lines that are none are passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, sample)) = sample(line) {
                metrics.0.entry(name).or_default().push(sample);
            }
        }
        metrics
    }

    /// The sum of a metric over all its labels; 0 where there is none.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let samples = self.0.get(name).into_iter().flatten();
        // From a plain 0, for the sum of nothing is -0.
        samples.fold(0.0, |sum, sample| sum + sample.value)
    }

    /// A metric by one of its labels.
    pub(crate) fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::new();
        for sample in self.0.get(name).into_iter().flatten() {
            for (key, value) in &sample.labels {
                if key == label {
                    *values.entry(value.clone()).or_default() += sample.value;
                }
            }
        }
        values
    }
}

/// Reads `name{label="value",…} number`.
fn sample(line: &str) -> Option<(String, Sample)> {
    let name_end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((key.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name.to_owned(), Sample { labels, value }))
}

/// Reads up to the closing quotation mark; gives what follows it too.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_samples_with_and_without_labels() {
        let text = "# HELP a_total Things.\n# TYPE a_total counter\n\
            a_total{source=\"sync\",to=\"x, {y} \\\"z\\\"\"} 3\na_total{source=\"torrent\"} 1e1\nb 2.5 1700000000\n\
            broken{source=\"\nno_number x\n# EOF\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a_total"), 13.0);
        assert_eq!(metrics.sum("b"), 2.5);
        assert_eq!(metrics.sum("broken"), 0.0);
        let by = metrics.by("a_total", "source");
        assert_eq!(
            by.into_iter().collect::<Vec<_>>(),
            [("sync".to_owned(), 3.0), ("torrent".to_owned(), 10.0)]
        );
        assert!(metrics.by("a_total", "to").contains_key("x, {y} \"z\""));
    }
}
