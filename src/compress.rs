//! Makes a trained network small enough to download: the widest dense layer as two thin factors.
//!
//! The scratch CNN's first dense layer has 27.6 million weights, most of them still near their random start; what it
//! computes on films varies in a few dozen directions only. Those are found from its outputs on training films, which is
//! optimal for them, where a singular value decomposition of the weight alone would keep directions that no film has.

use nalgebra::{DMatrix, SymmetricEigen};

/// Mean and covariance of a layer's outputs, summed film by film.
pub struct OutputMoments {
    n: usize,
    sum: Vec<f64>,
    products: DMatrix<f64>,
}

/// A dense layer's weight as a product, with the bias that makes up for the mean of what is left out.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// Left factor, `[outputs, rank]`, orthonormal columns.
    pub u: Vec<f32>,
    /// Right factor, `[rank, inputs]`.
    pub v: Vec<f32>,
    /// New bias, `[outputs]`.
    pub bias: Vec<f32>,
    /// Share of the outputs' variance that the factors keep, in `[0, 1]`.
    pub variance_kept: f64,
}

impl OutputMoments {
    /// No film yet.
    pub fn new(outputs: usize) -> Self {
        Self { n: 0, sum: vec![0.0; outputs], products: DMatrix::zeros(outputs, outputs) }
    }

    /// Adds rows of outputs before bias and rectifier, `[n, outputs]`.
    pub fn add(&mut self, rows: &[f32]) {
        let outputs = self.sum.len();
        let rows = DMatrix::from_row_iterator(rows.len() / outputs, outputs, rows.iter().map(|v| f64::from(*v)));
        self.n += rows.nrows();
        for (sum, column) in self.sum.iter_mut().zip(rows.column_iter()) {
            *sum += column.sum();
        }
        self.products += rows.tr_mul(&rows);
    }

    /// Factors of `weight`, `[outputs, inputs]`, of rank `rank`, and the bias that goes with them.
    ///
    /// With `μ` and `C` the mean and covariance of the outputs `y = Wx` and `U` the eigenvectors of `C` with the largest
    /// eigenvalues, `y ≈ U Uᵀ(y - μ) + μ`; so `u = U`, `v = UᵀW` and `b' = b + (I - U Uᵀ)μ`. No other factors of this
    /// rank have a smaller mean squared error on these films.
    ///
    /// # Panics
    /// When `rank` is zero or above the number of outputs, when no film was added, or when a slice has another length.
    ///
    /// # Source
    /// Principal component analysis; Pearson, Phil. Mag. 2 (1901); Eckart and Young, Psychometrika 1 (1936).
    pub fn factor(&self, weight: &[f32], bias: &[f32], rank: usize) -> LowRank {
        let outputs = self.sum.len();
        assert!((1..=outputs).contains(&rank) && self.n > 0 && bias.len() == outputs);
        let inputs = weight.len() / outputs;
        assert_eq!(weight.len(), outputs * inputs);
        let n = self.n as f64;
        let mean = DMatrix::from_iterator(outputs, 1, self.sum.iter().map(|sum| sum / n));
        let covariance = &self.products / n - &mean * mean.transpose();
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..outputs).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let basis = eigen.eigenvectors.select_columns(&order[..rank]);
        let kept: f64 = order[..rank].iter().map(|&i| eigen.eigenvalues[i]).sum();
        let left_out = &mean - &basis * basis.tr_mul(&mean);

        let mut v = vec![0.0_f32; rank * inputs];
        for (r, row) in v.chunks_exact_mut(inputs).enumerate() {
            let mut sums = vec![0.0_f64; inputs];
            for (o, weight) in weight.chunks_exact(inputs).enumerate() {
                let factor = basis[(o, r)];
                for (sum, w) in sums.iter_mut().zip(weight) {
                    *sum += factor * f64::from(*w);
                }
            }
            for (to, sum) in row.iter_mut().zip(sums) {
                *to = sum as f32;
            }
        }
        LowRank {
            u: basis.transpose().iter().map(|v| *v as f32).collect(),
            v,
            bias: bias.iter().zip(left_out.iter()).map(|(b, m)| (f64::from(*b) + m) as f32).collect(),
            variance_kept: kept / eigen.eigenvalues.sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference::dense;

    /// Inputs on a line through (1, 2, 3) + t·(1, -1, 0): their outputs vary in one direction whatever the weight.
    fn films() -> Vec<f32> {
        (0..8).flat_map(|t| [1.0 + t as f32, 2.0 - t as f32, 3.0]).collect()
    }

    #[test]
    fn one_direction_of_films_needs_one_factor() {
        let (weight, bias) = ([0.5, -1.0, 2.0, 1.5, 0.25, -0.75], [0.1, -0.2]);
        let outputs = dense(&films(), &weight, &[0.0; 2]);
        let mut moments = OutputMoments::new(2);
        moments.add(&outputs[..6]);
        moments.add(&outputs[6..]);
        let low = moments.factor(&weight, &bias, 1);
        assert!(low.variance_kept > 0.999_999);
        let found = dense(&dense(&films(), &low.v, &[0.0]), &low.u, &low.bias);
        for (a, b) in found.iter().zip(dense(&films(), &weight, &bias)) {
            assert!((a - b).abs() < 1e-4, "{a} against {b}");
        }
    }

    #[test]
    fn full_rank_changes_nothing() {
        let (weight, bias) = ([1.0, 2.0, -3.0, 4.0, 0.5, 0.25], [0.0, 1.0]);
        let mut moments = OutputMoments::new(2);
        moments.add(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.5]);
        let low = moments.factor(&weight, &bias, 2);
        let product = |o: usize, i: usize| low.u[2 * o] * low.v[i] + low.u[2 * o + 1] * low.v[3 + i];
        for (k, w) in weight.iter().enumerate() {
            assert!((product(k / 3, k % 3) - w).abs() < 1e-5);
        }
        assert!((low.bias[0] - bias[0]).abs() < 1e-6 && (low.bias[1] - bias[1]).abs() < 1e-6);
    }
}
