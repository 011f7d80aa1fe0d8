//! The options that say which table holds the labels, in place of folders.

use roentgen::data::LabelColumns;

/// Options of the subcommands that read a data set.
#[derive(clap::Args)]
pub struct Labels {
    /// Table (CSV) with the class of each image, in place of folders. Without class folders it is found without this option
    #[arg(long = "labels", value_name = "FILE")]
    table: Option<String>,
    /// Its column of file names; default: guessed
    #[arg(long, value_name = "TITLE")]
    file_column: Option<String>,
    /// Its column of classes, or columns that have a 1 for the class, as `A,B`; default: guessed
    #[arg(long, value_name = "TITLE")]
    label_column: Option<String>,
}

impl Labels {
    /// As the library takes them.
    pub fn columns(&self) -> LabelColumns {
        let Self { table, file_column, label_column } = self;
        LabelColumns { table: table.clone(), file: file_column.clone(), label: label_column.clone() }
    }
}
