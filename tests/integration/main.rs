//! Behaviour across modules, one binary.

mod backbones;
mod boundaries;
mod cli_audit;
mod cli_calibrate;
mod cli_card;
mod cli_dataset;
mod cli_evaluate;
mod cli_lungs;
mod cli_model_folder;
mod cli_predict;
mod cli_refusal;
mod cli_summary;
mod cli_train;
mod common;
mod data;
mod decode;
mod explain;
mod formats;
mod formula;
mod gradient_check;
mod initialisation;
mod mirrored;
mod onnx;
mod pytorch_files;
mod pytorch_parity;
mod refusal;
