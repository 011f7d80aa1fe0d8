//! What a run did, epoch by epoch.

use serde::{Deserialize, Serialize};

use super::StepReport;

/// Loss and accuracy over some images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Mean categorical cross-entropy.
    pub loss: f64,
    /// Share of images classified correctly.
    pub accuracy: f64,
}

/// Sums of an epoch under way.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Running {
    n: usize,
    correct: usize,
    loss: f64,
}

impl Running {
    /// Adds one step.
    pub fn add(&mut self, report: &StepReport) {
        self.n += report.n;
        self.correct += report.correct;
        self.loss += f64::from(report.loss) * report.n as f64;
    }

    /// The means so far.
    pub fn phase(&self) -> Phase {
        let n = self.n.max(1) as f64;
        Phase { loss: self.loss / n, accuracy: self.correct as f64 / n }
    }
}

/// One finished epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// 1 is the first.
    pub epoch: usize,
    /// Means over the epoch's steps, augmentation and dropout included.
    pub train: Phase,
    /// On the validation images, with the weights at the end of the epoch.
    pub validation: Phase,
    /// Learning rate of the last step.
    pub learning_rate: f32,
}

/// All finished epochs, and the sums of the one under way.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// Finished epochs in order.
    pub epochs: Vec<EpochRecord>,
    /// The epoch under way.
    pub running: Running,
}

impl History {
    /// The epoch with the highest validation accuracy; of equals the one with the lowest validation loss.
    pub fn best(&self) -> Option<&EpochRecord> {
        let better = |a: &EpochRecord, b: &EpochRecord| {
            let by_loss = b.validation.loss.total_cmp(&a.validation.loss);
            a.validation.accuracy.total_cmp(&b.validation.accuracy).then(by_loss)
        };
        // `max_by` keeps the last of equals; reversed, the first epoch that was as good stays the best.
        self.epochs.iter().rev().max_by(|a, b| better(a, b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: usize, accuracy: f64, loss: f64) -> EpochRecord {
        let train = Phase { loss: 0.0, accuracy: 1.0 };
        EpochRecord { epoch, train, validation: Phase { loss, accuracy }, learning_rate: 1e-4 }
    }

    #[test]
    fn best_epoch_is_the_most_accurate_then_the_surest_then_the_first() {
        let epochs = vec![record(1, 0.8, 0.5), record(2, 0.9, 0.4), record(3, 0.9, 0.3), record(4, 0.9, 0.3)];
        let history = History { epochs, ..History::default() };
        assert_eq!(history.best().map(|e| e.epoch), Some(3));
    }

    #[test]
    fn running_means_weigh_each_image_alike() {
        let mut running = Running::default();
        assert_eq!(running.phase(), Phase { loss: 0.0, accuracy: 0.0 });
        for (loss, correct, n) in [(1.0, 1, 1), (3.0, 1, 3)] {
            running.add(&StepReport { loss, correct, n, learning_rate: 0.1 });
        }
        assert_eq!(running.phase(), Phase { loss: 2.5, accuracy: 0.5 });
    }
}
