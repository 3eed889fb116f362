//! Times contenders side by side: machines are noisy, ratios within one run are not.

use std::time::Instant;

/// A name and the work to be timed.
pub(crate) type Contender<'a> = (String, Box<dyn Fn() + 'a>);

/// Runs the contenders in turn, round after round; the median seconds of each.
pub(crate) fn medians(rounds: usize, contenders: &[Contender<'_>]) -> Vec<f64> {
    let mut seconds = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds {
        for (times, (_, run)) in seconds.iter_mut().zip(contenders) {
            let start = Instant::now();
            run();
            times.push(start.elapsed().as_secs_f64());
        }
    }
    for times in &mut seconds {
        times.sort_by(f64::total_cmp);
    }
    seconds.iter().map(|times| times[rounds / 2]).collect()
}
