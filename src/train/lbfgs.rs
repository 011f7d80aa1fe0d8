//! Minimum of a smooth function of many numbers.

/// Steps that are remembered.
const MEMORY: usize = 10;
const STEPS: usize = 500;
/// Relative decrease over ten steps below which the minimum is there: single precision in the gradient gives no more.
const ENOUGH: f64 = 1e-6;

/// Where `function`, which gives its value and gradient, is least, going down from `start`.
///
/// # Source
/// Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4 and 7.5, with steps halved until they decrease
/// the value enough (Armijo).
pub fn minimise(start: Vec<f64>, function: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Vec<f64> {
    let mut at = start;
    let (mut value, mut gradient) = function(&at);
    let mut history: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let mut values = vec![value];
    for _ in 0..STEPS {
        let mut direction = direction(&gradient, &history);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            // Rounding has spoilt what is remembered.
            history.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &gradient);
        }
        let mut length = if history.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let (there, new_value, new_gradient) = loop {
            let there: Vec<f64> = at.iter().zip(&direction).map(|(a, d)| a + length * d).collect();
            let (new_value, new_gradient) = function(&there);
            if new_value <= value + 1e-4 * length * slope {
                break (there, new_value, new_gradient);
            }
            length *= 0.5;
            if length < 1e-12 {
                return at;
            }
        };
        let moved: Vec<f64> = there.iter().zip(&at).map(|(a, b)| a - b).collect();
        let bent: Vec<f64> = new_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        if dot(&moved, &bent) > 1e-12 * dot(&bent, &bent) {
            history.push((moved, bent));
            if history.len() > MEMORY {
                history.remove(0);
            }
        }
        (at, value, gradient) = (there, new_value, new_gradient);
        values.push(value);
        if values.len() > 10 && values[values.len() - 11] - value < ENOUGH * value.abs() {
            break;
        }
    }
    at
}

/// The direction to go from the gradient and what the last steps and their changes of the gradient say of the curvature.
fn direction(gradient: &[f64], history: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::new();
    for (moved, bent) in history.iter().rev() {
        let share = dot(moved, &direction) / dot(moved, bent);
        direction.iter_mut().zip(bent).for_each(|(d, b)| *d -= share * b);
        shares.push(share);
    }
    if let Some((moved, bent)) = history.last() {
        let scale = dot(moved, bent) / dot(bent, bent);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((moved, bent), share) in history.iter().zip(shares.into_iter().rev()) {
        let back = share - dot(bent, &direction) / dot(moved, bent);
        direction.iter_mut().zip(moved).for_each(|(d, m)| *d += back * m);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley in two dimensions: the minimum is 0 at (1, 1).
    #[test]
    fn the_end_of_a_bent_valley_is_found() {
        let valley = |x: &[f64]| {
            let (along, across) = (1.0 - x[0], x[1] - x[0] * x[0]);
            let slopes = vec![-2.0 * along - 400.0 * x[0] * across, 200.0 * across];
            (along * along + 100.0 * across * across, slopes)
        };
        let found = minimise(vec![-1.2, 1.0], valley);
        assert!(found.iter().all(|x| (x - 1.0).abs() < 1e-3), "{found:?}");
    }

    #[test]
    fn a_bowl_is_left_at_its_bottom() {
        let bowl = |x: &[f64]| {
            (x.iter().map(|x| (x - 3.0).powi(2)).sum::<f64>() + 1.0, x.iter().map(|x| 2.0 * (x - 3.0)).collect())
        };
        assert!(minimise(vec![0.0; 5], bowl).iter().all(|x| (x - 3.0).abs() < 1e-3));
    }
}
