use prometheus_client::registry::Registry;

/// In which text form metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0, for those who ask for it: Prometheus does.
    OpenMetrics,
    /// Prometheus' own text format 0.0.4, for everyone else.
    Prometheus,
}

impl Exposition {
    /// What the header `Accept` asks for.
    pub fn negotiate(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// The content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    pub(super) fn encode(self, registry: &Registry) -> String {
        let mut text = String::new();
        let encoded = prometheus_client::encoding::text::encode(&mut text, registry);
        encoded.expect("writing to memory can't fail");
        match self {
            Self::OpenMetrics => text,
            Self::Prometheus => to_prometheus(&text),
        }
    }
}

/// OpenMetrics as Prometheus' older format: a counter's family has its samples' name, an info is a gauge, and there are no units.
fn to_prometheus(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        let comment = line.strip_prefix("# ").map(|rest| rest.split_once(' '));
        match comment {
            // The type decides the family's name, and comes after its help.
            Some(Some(("HELP", rest))) => help = Some(rest),
            Some(Some(("TYPE", rest))) => {
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, "unknown"));
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                if let Some((_, help)) = help.take().and_then(|help| help.split_once(' ')) {
                    out.push_str(&format!("# HELP {name}{suffix} {help}\n"));
                }
                out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
            }
            // `UNIT` and `EOF`.
            Some(_) => {}
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_counters_by_their_samples() {
        let open = "# HELP a_bytes Help, of two words.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                    a_bytes_total{x=\"# TYPE\"} 1\n# HELP b B.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
                    # HELP c C.\n# TYPE c unknown\nc 2\n# HELP d D.\n# TYPE d histogram\nd_sum 0\n# EOF\n";
        let want = "# HELP a_bytes_total Help, of two words.\n# TYPE a_bytes_total counter\n\
                    a_bytes_total{x=\"# TYPE\"} 1\n# HELP b_info B.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
                    # HELP c C.\n# TYPE c untyped\nc 2\n# HELP d D.\n# TYPE d histogram\nd_sum 0\n";
        assert_eq!(to_prometheus(open), want);
        let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        assert_eq!(Exposition::negotiate(accept), Exposition::OpenMetrics);
        assert_eq!(Exposition::negotiate("*/*"), Exposition::Prometheus);
    }
}
