//! Training: one batch at a time, every source of chance seeded, so that a run can be repeated and continued bit for bit.
//!
//! [`Trainer::step`] does one batch and returns; the loop, the clock and the files belong to the caller (the command
//! line, a worker in a page, a test).

mod checkpoint;
mod config;
mod descent;
mod features;
#[cfg(any(feature = "cli", feature = "training"))]
mod head;
mod history;
mod initial;
#[cfg(any(feature = "cli", feature = "training"))]
mod lbfgs;
mod loss;
mod mixup;
mod optimizer;
mod run;
mod schedule;
mod trainer;

pub use checkpoint::Checkpoint;
pub use config::{Freeze, Norms, Start, TrainConfig, WithinSources};
pub use descent::{Descent, DescentConfig};
#[cfg(any(feature = "cli", feature = "training"))]
pub use head::{HeadConfig, HeadExamples, fit_head};
pub use history::{EpochRecord, History, Phase, Running};
pub use initial::{Initial, Rows, initial_weights};
pub use loss::{binary_cross_entropy, categorical_cross_entropy, healthy_then_kind, share_among, smooth_labels};
pub use mixup::Mixup;
pub use optimizer::OptimizerConfig;
pub use run::{Run, fingerprint};
pub use schedule::Schedule;
pub use trainer::{StepReport, Trainer};
