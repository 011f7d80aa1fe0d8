//! Multinomial logistic regression that is held near where it starts: what is learned from few images changes little.

use super::temperature::softmax;

/// A regression to be solved: changes of a last layer that make the truth of some images likelier.
///
/// It minimises `Σᵢ wᵢ · −ln softmax(sᵢ + W xᵢ + b)[yᵢ] + ridge/2 |W|² + bias_ridge/2 |b|²`, `s` being the logits that are
/// there before. With all logits 0 before it is the ordinary regression with a ridge.
#[derive(Debug, Clone, Copy)]
pub struct Regression<'a> {
    /// `[n, columns]` row-major, finite; of deviation 1 or so in each column.
    pub rows: &'a [f64],
    /// How many columns; without any only `b` is found.
    pub columns: usize,
    /// `[n, classes]` row-major: the logits before.
    pub start: &'a [f64],
    /// How many classes.
    pub classes: usize,
    /// `[n]`, each below `classes`; `n` at least 1.
    pub labels: &'a [usize],
    /// `[n]`: how much each image counts; they sum to 1 for a mean.
    pub importance: &'a [f64],
    /// Holds `W`.
    pub ridge: f64,
    /// Holds `b`; above 0, or some `b` may have no end.
    pub bias_ridge: f64,
}

/// Newton's method needs fewer than ten steps from afar, and two or three from nearby.
const STEPS: usize = 60;
/// Steps of conjugate gradients for one of Newton's.
const INNER_STEPS: usize = 250;
/// Largest entry of the gradient at which the solution is there.
const SMALL: f64 = 1e-9;

impl Regression<'_> {
    /// The `W` and `b` that solve it: `[classes, columns + 1]` row-major, the last of each row being `b`.
    ///
    /// Newton's method, its linear equations solved by conjugate gradients; the function is convex.
    ///
    /// # Shapes
    /// - `from`: where to begin, as what is returned; zeros where nothing better is known
    ///
    /// # Source
    /// Nocedal and Wright, Numerical Optimization, 2nd edition, algorithm 7.1.
    pub fn solve(&self, from: Vec<f64>) -> Vec<f64> {
        let mut at = from;
        let (mut loss, mut gradient) = self.loss_and_gradient(&at);
        for _ in 0..STEPS {
            if largest(&gradient) < SMALL {
                break;
            }
            let step = self.newton_step(&at, &gradient);
            let slope: f64 = step.iter().zip(&gradient).map(|(s, g)| s * g).sum();
            // Halved until it goes down as it should: far from the solution a whole step may go too far.
            let mut share = 1.0;
            let better = loop {
                let there: Vec<f64> = at.iter().zip(&step).map(|(a, s)| a + share * s).collect();
                let (new_loss, new_gradient) = self.loss_and_gradient(&there);
                if new_loss <= loss + 1e-4 * share * slope {
                    break Some((there, new_loss, new_gradient));
                }
                share *= 0.5;
                if share < 1e-9 {
                    break None;
                }
            };
            // Nothing is lower: rounding is all that is left.
            let Some((there, new_loss, new_gradient)) = better else { break };
            (at, loss, gradient) = (there, new_loss, new_gradient);
        }
        at
    }

    /// What is minimised, and its gradient, for a `W` and `b` laid out as [`solve`](Self::solve) returns them.
    pub fn loss_and_gradient(&self, change: &[f64]) -> (f64, Vec<f64>) {
        let (k, width) = (self.classes, self.columns + 1);
        assert_eq!(change.len(), k * width);
        let (mut loss, mut gradient) = (0.0, vec![0.0; change.len()]);
        for (i, (&label, &counts)) in self.labels.iter().zip(self.importance).enumerate() {
            let mut p = softmax(self.logits(i, change));
            loss -= counts * p[label].max(f64::MIN_POSITIVE).ln();
            p[label] -= 1.0;
            self.add_outer(i, &p, counts, &mut gradient);
        }
        for (c, (value, slope)) in change.iter().zip(&mut gradient).enumerate() {
            let ridge = self.held(c);
            loss += 0.5 * ridge * value * value;
            *slope += ridge * value;
        }
        (loss, gradient)
    }

    /// The logits of image `i` after a change.
    fn logits(&self, i: usize, change: &[f64]) -> Vec<f64> {
        let row = self.row(i);
        let added = change.chunks_exact(self.columns + 1).map(|w| dot(row, &w[..row.len()]) + w[row.len()]);
        self.start[i * self.classes..].iter().zip(added).map(|(before, added)| before + added).collect()
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.columns..][..self.columns]
    }

    /// What holds entry `c` of a change.
    fn held(&self, c: usize) -> f64 {
        if c % (self.columns + 1) == self.columns { self.bias_ridge } else { self.ridge }
    }

    /// Adds `counts · v (x, 1)ᵀ` of image `i`.
    fn add_outer(&self, i: usize, v: &[f64], counts: f64, to: &mut [f64]) {
        let row = self.row(i);
        for (to, v) in to.chunks_exact_mut(self.columns + 1).zip(v) {
            let factor = counts * v;
            to.iter_mut().zip(row).for_each(|(to, x)| *to += factor * x);
            to[self.columns] += factor;
        }
    }

    /// The step that solves `H s = −g` well enough, `H` the Hessian at `at`, never built as a whole.
    fn newton_step(&self, at: &[f64], gradient: &[f64]) -> Vec<f64> {
        let probabilities: Vec<Vec<f64>> = (0..self.labels.len()).map(|i| softmax(self.logits(i, at))).collect();
        let times = |v: &[f64]| {
            let mut product: Vec<f64> = v.iter().enumerate().map(|(c, v)| self.held(c) * v).collect();
            for (i, (p, &counts)) in probabilities.iter().zip(self.importance).enumerate() {
                let row = self.row(i);
                let along = v.chunks_exact(self.columns + 1).map(|w| dot(row, &w[..row.len()]) + w[row.len()]);
                let along: Vec<f64> = along.collect();
                let mean = dot(p, &along);
                let curved: Vec<f64> = p.iter().zip(&along).map(|(p, along)| p * (along - mean)).collect();
                self.add_outer(i, &curved, counts, &mut product);
            }
            product
        };
        let mut step = vec![0.0; gradient.len()];
        let mut left: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut direction = left.clone();
        let mut size = dot(&left, &left);
        // Rough far from the solution, exact close to it: the convergence stays faster than linear.
        let enough = size * size.sqrt().min(0.25);
        for _ in 0..INNER_STEPS {
            if size <= enough {
                break;
            }
            let product = times(&direction);
            let curvature = dot(&direction, &product);
            if curvature <= 0.0 {
                break;
            }
            let share = size / curvature;
            step.iter_mut().zip(&direction).for_each(|(s, d)| *s += share * d);
            left.iter_mut().zip(&product).for_each(|(l, p)| *l -= share * p);
            let new_size = dot(&left, &left);
            direction.iter_mut().zip(&left).for_each(|(d, l)| *d = l + new_size / size * *d);
            size = new_size;
        }
        step
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums: one alone would wait for each addition before the next.
    let mut sums = [0.0; 4];
    let ((a4, a_rest), (b4, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    for (x, y) in a4.iter().zip(b4) {
        sums.iter_mut().zip(x).zip(y).for_each(|((sum, x), y)| *sum += x * y);
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, v| most.max(v.abs()))
}

/// Mean and one over the deviation of each column; 0 for one that never changes, which says nothing.
///
/// # Shapes
/// - `rows`: `[n, columns]` row-major, a row at least
pub fn standard(rows: &[f32], columns: usize) -> [Vec<f64>; 2] {
    let n = (rows.len() / columns) as f64;
    let (mut mean, mut scale) = (vec![0.0; columns], vec![0.0; columns]);
    let each = |f: &mut dyn FnMut(usize, f64)| rows.iter().enumerate().for_each(|(i, v)| f(i % columns, (*v).into()));
    each(&mut |column, v| mean[column] += v / n);
    each(&mut |column, v| scale[column] += (v - mean[column]).powi(2) / n);
    let one_over = |(square, mean): (f64, &f64)| {
        // What rounding leaves of a column of one value is no deviation.
        if square.sqrt() > 1e-9 * mean.abs().max(1e-30) { square.sqrt().recip() } else { 0.0 }
    };
    let scale = scale.into_iter().zip(&mean).map(one_over).collect();
    [mean, scale]
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 30;
    const COLUMNS: usize = 4;

    /// Rows and labels of `tests/fixtures/make_logistic.py`.
    fn rows() -> (Vec<f64>, Vec<usize>) {
        let value = |i: usize, j: usize| ((i * 37 + j * 11 + i * j) % 23) as f64 / 11.5 - 1.0;
        let rows = (0..N).flat_map(|i| (0..COLUMNS).map(move |j| value(i, j))).collect();
        (rows, (0..N).map(|i| i * 13 % 7 % 3).collect())
    }

    fn regression<'a>(rows: &'a [f64], labels: &'a [usize], start: &'a [f64], importance: &'a [f64]) -> Regression<'a> {
        Regression { rows, columns: COLUMNS, start, classes: 3, labels, importance, ridge: 0.1, bias_ridge: 1e-9 }
    }

    /// scikit-learn 1.9.1, `LogisticRegression`, with every image and with every class counting the same: printed by
    /// `tests/fixtures/make_logistic.py`.
    #[test]
    fn pulled_to_zero_it_is_scikit_learns() {
        let (rows, labels) = rows();
        let count = |class: usize| labels.iter().filter(|label| **label == class).count() as f64;
        let balanced: Vec<f64> = labels.iter().map(|&class| 1.0 / (3.0 * count(class))).collect();
        let expected = [
            (
                vec![1.0 / N as f64; N],
                [
                    [0.5365333986987147, 0.24920426380448546, 0.21426233749679977],
                    [0.4226491477403459, 0.3982258734774621, 0.17912497878219197],
                    [0.5290533453360015, 0.15435940595401734, 0.31658724870998123],
                ],
            ),
            (
                balanced,
                [
                    [0.39450368696029436, 0.3219414759896045, 0.28355483705010126],
                    [0.2996478259307369, 0.5023221511203184, 0.1980300229489447],
                    [0.38580761316595286, 0.18636183021175026, 0.42783055662229685],
                ],
            ),
        ];
        let start = vec![0.0; 3 * N];
        for (importance, expected) in expected {
            let regression = regression(&rows, &labels, &start, &importance);
            let solved = regression.solve(vec![0.0; 3 * (COLUMNS + 1)]);
            for (i, expected) in expected.iter().enumerate() {
                let found = softmax(regression.logits(i, &solved));
                assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}, not {expected:?}");
            }
        }
    }

    /// From anywhere, with logits before, and with biases alone: where it ends nothing is lower.
    #[test]
    fn the_gradient_agrees_with_finite_differences_and_vanishes_at_the_solution() {
        let (rows, labels) = rows();
        let start: Vec<f64> = (0..3 * N).map(|i| ((i * 29) % 17) as f64 / 4.0 - 2.0).collect();
        let importance: Vec<f64> = (0..N).map(|i| (i % 5 + 1) as f64 / 90.0).collect();
        let whole = Regression { bias_ridge: 0.02, ..regression(&rows, &labels, &start, &importance) };
        let biases = Regression { rows: &[], columns: 0, ..whole };
        for regression in [whole, biases] {
            let len = 3 * (regression.columns + 1);
            let at: Vec<f64> = (0..len).map(|i| ((i * 7) % 5) as f64 / 5.0 - 0.4).collect();
            let (_, gradient) = regression.loss_and_gradient(&at);
            for c in 0..len {
                let loss = |by: f64| {
                    let mut there = at.clone();
                    there[c] += by;
                    regression.loss_and_gradient(&there).0
                };
                // A step h leaves h²/6 of a third derivative below 1, and rounding 1e-16 / h.
                let slope = (loss(1e-5) - loss(-1e-5)) / 2e-5;
                assert!((gradient[c] - slope).abs() < 1e-9, "{c}: {}, differences say {slope}", gradient[c]);
            }
            let (lowest, flat) = regression.loss_and_gradient(&regression.solve(at));
            assert!(largest(&flat) < 1e-8, "{}", largest(&flat));
            assert!(lowest < regression.loss_and_gradient(&vec![0.0; len]).0);
        }
    }

    #[test]
    fn columns_are_standardised_and_one_that_never_changes_is_left_out() {
        // By hand: 1, 3, 5 have mean 3 and deviation √(8/3).
        let [mean, scale] = standard(&[1.0, 7.0, 3.0, 7.0, 5.0, 7.0], 2);
        assert_eq!((mean[0], scale[1]), (3.0, 0.0));
        assert!((mean[1] - 7.0).abs() < 1e-12 && (scale[0] - (3.0_f64 / 8.0).sqrt()).abs() < 1e-12);
    }
}
