//! A report as one page of HTML that needs nothing else: plots are SVG.

use std::fmt::Write as _;

use super::report::{Point, Report};

/// The size of a plot, and of its margins.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 8.0;
const RIGHT: f64 = 12.0;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem;color:#1a1a2e;background:#fff}\
h1{margin-bottom:0}h2{margin:2rem 0 .4rem;font-size:1.1rem}pre{background:#f4f4f8;padding:1rem;white-space:pre-wrap;font-size:13px}\
.good{color:#137333}.bad{color:#b3261e}table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}\
td:first-child{white-space:nowrap}td:first-child,th:first-child,.words td,.words th{text-align:left;vertical-align:top}svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#555}\
.legend span{margin-right:1rem;white-space:nowrap}.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.3em;border-radius:2px}";

/// A line of a plot.
struct Series<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// The whole page.
pub fn page(report: &Report) -> String {
    let is_good = report.verdict.is_good();
    let (class, word) = if is_good {
        ("good", "passed")
    } else {
        ("bad", "failed")
    };
    let (scenario, about) = (escape(&report.scenario), escape(&report.about));
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{scenario}: {word}</title><style>{STYLE}</style><h1>{scenario}: <span class=\"{class}\">{word}</span></h1><p>{about}.</p>\
         <pre>{}</pre>",
        escape(&report.verdict.to_string())
    );
    let packets = format!(
        "{} packets forwarded, {} lost",
        report.packets, report.packets_lost
    );
    let _ = write!(page, "<p>{packets}</p>");
    faults(&mut page, report);
    liars(&mut page, report);
    over_time(&mut page, report, "Height over time", |point| {
        point.height as f64
    });
    propagation(&mut page, report);
    sources(&mut page, report);
    over_time(&mut page, report, "Bytes sent by BitTorrent", |point| {
        point.uploaded as f64
    });
    over_time(&mut page, report, "Bytes received by BitTorrent", |point| {
        point.downloaded as f64
    });
    over_time(&mut page, report, "Reorganisations", |point| {
        point.reorganisations as f64
    });
    page.push_str("</html>\n");
    page
}

fn faults(page: &mut String, report: &Report) {
    if report.faults.is_empty() {
        return;
    }
    page.push_str("<h2>What happened</h2><table class=\"words\">");
    for (second, fault) in &report.faults {
        let _ = write!(
            page,
            "<tr><td>{second} s</td><td>{}</td></tr>",
            escape(fault)
        );
    }
    page.push_str("</table>");
}

fn liars(page: &mut String, report: &Report) {
    if report.liars.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Liars</h2><table class=\"words\"><tr><th>lie</th><th>told</th><th>banned by</th></tr>",
    );
    for (name, exposure) in &report.liars {
        let told: Vec<_> = exposure.told.iter().map(String::as_str).collect();
        let bans = exposure.banned_by.iter();
        let bans: Vec<_> = bans
            .map(|(node, reason)| format!("{node}: {reason}"))
            .collect();
        let cells = [name, &told.join(", "), &bans.join(", ")].map(|cell| escape(cell));
        let _ = write!(page, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
    }
    page.push_str("</table>");
}

fn over_time(page: &mut String, report: &Report, title: &str, value: impl Fn(&Point) -> f64) {
    let names = report.samples.iter().flat_map(|sample| sample.nodes.keys());
    let names: std::collections::BTreeSet<_> = names.collect();
    let series = names.into_iter().map(|name| Series {
        name,
        points: report
            .samples
            .iter()
            .filter_map(|sample| Some((sample.second, value(sample.nodes.get(name)?))))
            .collect(),
    });
    let series: Vec<_> = series.collect();
    let is_flat = |series: &Series<'_>| series.points.iter().all(|point| point.1 == 0.0);
    if series.iter().all(is_flat) {
        let _ = write!(page, "<h2>{title}</h2><p>None.</p>");
        return;
    }
    let marks: Vec<_> = report.faults.iter().map(|(second, _)| *second).collect();
    let _ = write!(page, "<h2>{title}</h2>{}", lines(&series, &marks));
}

fn propagation(page: &mut String, report: &Report) {
    let total: u64 = report.propagation.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return;
    }
    let bars = report.propagation.iter();
    let bars: Vec<_> = bars
        .map(|(bound, count)| (seconds(*bound), *count as f64))
        .collect();
    let _ = write!(
        page,
        "<h2>Age of blocks when gossip brought them ({total}, by upper bound)</h2>{}",
        histogram(&bars)
    );
}

fn seconds(bound: f64) -> String {
    match bound < 1.0 {
        true => format!("{} ms", (bound * 1e4).round() / 10.0),
        false => format!("{bound:.0} s"),
    }
}

fn sources(page: &mut String, report: &Report) {
    let kinds = report.blocks_by_source.values().flat_map(|by| by.keys());
    let kinds: std::collections::BTreeSet<_> = kinds.collect();
    page.push_str("<h2>Blocks by source</h2><table><tr><th>node</th>");
    for kind in &kinds {
        let _ = write!(page, "<th>{}</th>", escape(kind));
    }
    page.push_str("</tr>");
    for (node, by) in &report.blocks_by_source {
        let _ = write!(page, "<tr><td>{}</td>", escape(node));
        for kind in &kinds {
            let _ = write!(page, "<td>{}</td>", by.get(*kind).unwrap_or(&0));
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}

/// A colour far from those of the numbers beside.
fn colour(at: usize) -> String {
    format!("hsl({},65%,45%)", (at * 137) % 360)
}

/// A plot of lines over seconds, with a dashed line at each mark.
fn lines(series: &[Series<'_>], marks: &[f64]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let x_max = points().map(|point| point.0).fold(1.0, f64::max);
    let y_max = points().map(|point| point.1).fold(1.0, f64::max);
    let y_max = *ticks(y_max).last().unwrap_or(&y_max);
    let x = |value: f64| LEFT + value / x_max * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / y_max * (HEIGHT - BOTTOM - TOP);
    let times = ticks(x_max).into_iter().filter(|time| *time <= x_max);
    let times: Vec<_> = times.map(|time| (x(time), format!("{time} s"))).collect();
    let mut svg = axes(y_max, &times);
    for mark in marks {
        let at = x(*mark);
        let _ = write!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{:.1}\" stroke=\"#999\" stroke-dasharray=\"3 4\"/>",
            HEIGHT - BOTTOM
        );
    }
    let mut legend = String::from("<p class=\"legend\">");
    for (at, one) in series.iter().enumerate() {
        let (colour, path) = (colour(at), one.points.iter());
        let path: Vec<_> = path
            .map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1)))
            .collect();
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{}\"/>",
            path.join(" ")
        );
        let _ = write!(
            legend,
            "<span><i style=\"background:{colour}\"></i>{}</span>",
            escape(one.name)
        );
    }
    format!("{svg}</svg>{legend}</p>")
}

fn histogram(bars: &[(String, f64)]) -> String {
    let y_max = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
    let y_max = *ticks(y_max).last().unwrap_or(&y_max);
    let room = (WIDTH - LEFT - RIGHT) / bars.len().max(1) as f64;
    let mut svg = axes(y_max, &[]);
    for (at, (label, value)) in bars.iter().enumerate() {
        let height = value / y_max * (HEIGHT - BOTTOM - TOP);
        let left = LEFT + at as f64 * room;
        let _ = write!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            left + 2.0,
            HEIGHT - BOTTOM - height,
            room - 4.0,
            colour(4),
            left + room / 2.0,
            HEIGHT - 10.0
        );
    }
    svg + "</svg>"
}

/// Round numbers from 0 up, some four steps of 1, 2 or 5 times a power of ten, the last one no less than `most`.
fn ticks(most: f64) -> Vec<f64> {
    let rough = (most / 4.0).max(1.0);
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    (0..=(most / step).ceil() as u32)
        .map(|at| f64::from(at) * step)
        .collect()
}

/// A plot's start: a grid, its labels, and those along it at their places.
fn axes(y_max: f64, x_labels: &[(f64, String)]) -> String {
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for tick in ticks(y_max) {
        let y = HEIGHT - BOTTOM - tick / y_max * (HEIGHT - BOTTOM - TOP);
        let (right, label) = (WIDTH - RIGHT, short(tick));
        let _ = write!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#e4e4ea\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            y + 4.0,
        );
    }
    for (x, label) in x_labels {
        let y = HEIGHT - 10.0;
        let _ = write!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>"
        );
    }
    svg
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e4 => format!("{} k", value / 1e3),
        value => format!("{value}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_beyond_the_most() {
        assert_eq!(ticks(1.0), [0.0, 1.0]);
        assert_eq!(ticks(3.0), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(ticks(92.0), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(115.0), [0.0, 50.0, 100.0, 150.0]);
        assert_eq!(ticks(7_000.0), [0.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0]);
    }
}
