//! The learning rate over a run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// What the learning rate is multiplied by at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Schedule {
    /// 1 throughout, the tutorial's.
    #[default]
    Constant,
    /// Rising linearly over `warmup_steps`, then falling to 0 along half a cosine at the end of the run.
    ///
    /// Source: Loshchilov and Hutter, arXiv:1608.03983, eq. 5, one period; the warm-up as in Goyal et al., arXiv:1706.02677.
    Cosine {
        /// Steps of the rise.
        warmup_steps: u64,
    },
}

impl Schedule {
    /// The factor at `step` (0 is the first) of `total` steps, in `(0, 1]`.
    pub fn factor(self, step: u64, total: u64) -> f32 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine { warmup_steps } if step < warmup_steps => (step + 1) as f32 / warmup_steps as f32,
            Self::Cosine { warmup_steps } => {
                let done = (step - warmup_steps) as f64 / total.saturating_sub(warmup_steps).max(1) as f64;
                (0.5 * (1.0 + (PI * done.min(1.0)).cos())) as f32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_rises_to_one_and_falls_to_half_in_the_middle() {
        let schedule = Schedule::Cosine { warmup_steps: 10 };
        assert_eq!(schedule.factor(0, 110), 0.1);
        assert_eq!(schedule.factor(9, 110), 1.0);
        assert_eq!(schedule.factor(10, 110), 1.0);
        assert!((schedule.factor(60, 110) - 0.5).abs() < 1e-6);
        assert!(schedule.factor(109, 110) < 0.001);
    }

    #[test]
    fn constant_is_one_throughout() {
        assert!([0, 5, 1_000_000].into_iter().all(|step| Schedule::Constant.factor(step, 10) == 1.0));
    }

    #[test]
    fn cosine_without_warm_up_is_pytorchs_annealing() {
        // PyTorch 2.12: CosineAnnealingLR(SGD(lr=1.0), T_max=8).
        const EXPECTED: [f32; 8] =
            [1.0, 0.961_939_8, 0.853_553_4, 0.691_341_7, 0.5, 0.308_658_3, 0.146_446_6, 0.038_060_2];
        for (step, expected) in EXPECTED.into_iter().enumerate() {
            let found = Schedule::Cosine { warmup_steps: 0 }.factor(step as u64, 8);
            assert!((found - expected).abs() < 1e-6, "step {step}: {found} against {expected}");
        }
    }

    #[test]
    fn cosine_stays_in_range_beyond_the_end_and_where_the_warm_up_is_the_whole_run() {
        assert_eq!(Schedule::Cosine { warmup_steps: 0 }.factor(99, 10), 0.0);
        assert_eq!(Schedule::Cosine { warmup_steps: 10 }.factor(9, 10), 1.0);
        assert_eq!(Schedule::Cosine { warmup_steps: 20 }.factor(9, 10), 0.5);
    }
}
